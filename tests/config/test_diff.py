"""What an edit of the desired state touches, and what it leaves as it is."""

from provider.config.diff import edit
from provider.model import Desired, Service
from provider.model.desired import group_key
from tests.support.worlds import service


def desired(*services: Service) -> Desired:
    return Desired("production", {each.name: each for each in services})


def test_what_is_described_as_before_is_the_very_same_and_is_not_touched() -> None:
    before = desired(service("shop"), service("pay"))
    found = edit(before, desired(service("pay", hold=True), service("shop")))
    assert found.changed == {"pay"}
    assert found.groups == {"pay"}
    assert found.desired.services["shop"] is before.services["shop"]
    assert found.desired.services["pay"].hold


def test_services_stand_in_the_order_of_their_names_whatever_that_of_the_file() -> None:
    found = edit(None, desired(service("shop", group="b"), service("pay"), service("cart", group="b")))
    assert list(found.desired.services) == ["cart", "pay", "shop"]
    assert found.members == {"@b": ("cart", "shop"), "pay": ("pay",)}


def test_a_service_touches_the_group_that_it_leaves_and_the_one_that_it_joins() -> None:
    before = desired(service("shop", group="a"), service("pay", group="a"), service("cart"))
    assert edit(before, desired(service("shop", group="b"), service("pay", group="a"))).groups == {"@a", "@b", "cart"}


def test_the_first_desired_state_is_all_new() -> None:
    found = edit(None, desired(service("shop"), service("pay")))
    assert found.changed == {"shop", "pay"}
    assert found.groups == {group_key(service("shop")), group_key(service("pay"))}
