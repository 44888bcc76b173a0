from provider import config
from provider.controller.loading import Surroundings

ROUTER = "group: pair, router: {rule: 'Host(`x`)'}, servers: {blue: {urls: ['http://127.0.0.1:9000']}}"


def test_a_group_that_the_store_does_not_take_is_refused_with_its_file() -> None:
    """P11, rules of etcd: its rows have a size."""
    text = "environment: production\nservices:\n" + "".join(f"  s{number}: {{{ROUTER}}}\n" for number in range(3))
    desired = config.load(text, "desired.yaml")
    assert list(Surroundings("127.0.0.1:8900", True, writes_file=False, most_members=3).problems(desired, "f")) == []
    (found,) = Surroundings("127.0.0.1:8900", True, writes_file=False, most_members=2).problems(desired, "f")
    assert (
        str(found)
        == "f:1:1: services: group pair has 3 services, and the store takes 2 of one group: make it two groups"
    )
