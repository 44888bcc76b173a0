"""Services among the containers that an engine lists (rule 37). tests/integration/test_import.py asks a real one."""

from collections.abc import Mapping
from typing import Any

from provider import config
from provider.cli.importing.imported import Options, imported
from provider.cli.importing.running import of_listed

SECOND = "a second colour would not start beside the first"
CHECK = "which was taken: check which of them is right"
REMOVE = "remove it from the compose file"
RULE = "traefik.http.routers.{0}.rule"


def listed(
    name: str, labels: Mapping[str, str], *, compose: tuple[str, str] | None = None, **more: Any
) -> dict[str, Any]:
    of_compose = zip(("com.docker.compose.project", "com.docker.compose.service"), compose or (), strict=False)
    return {
        "Id": name * 12,
        "Names": [f"/{name}"],
        "ImageID": "sha256:1",
        "State": "running",
        "Labels": {**dict(of_compose), **labels},
        "Ports": [{"PrivatePort": 8080, "Type": "tcp"}, {"PrivatePort": 53, "Type": "udp"}],
        "NetworkSettings": {"Networks": {"bridge": {"IPAddress": "10.0.0.2"}}},
        **more,
    }


def rules(*containers: Mapping[str, Any]) -> tuple[dict[str, list[str]], list[str]]:
    founds, lefts = of_listed(containers)
    result = imported(founds, "the engine", Options())
    services = config.load(result.text, "printed.yaml").services if result.text else {}
    return {name: [router.rule for router in one.routers] for name, one in services.items()}, [
        str(left) for left in (*lefts, *result.lefts)
    ]


def test_a_service_has_the_name_of_its_label_else_of_compose_else_of_its_container() -> None:
    found, lefts = rules(
        listed("a", {"bluegreen.service": "shop", RULE.format("x"): "Host(`x`)"}, compose=("shop-blue", "web")),
        listed("blog-web-1", {RULE.format("y"): "Host(`y`)"}, compose=("blog", "web")),
        listed("plain", {RULE.format("z"): "Host(`z`)"}),
        listed("postgres", {}, compose=("blog", "db")),
    )
    assert found == {"shop": ["Host(`x`)"], "web": ["Host(`y`)"], "plain": ["Host(`z`)"]}
    assert lefts == [f"container a: container_name: a: two containers cannot have one name, so {SECOND}: {REMOVE}"]


def test_services_of_one_name_in_two_projects_have_that_of_the_project_before_theirs() -> None:
    found, _ = rules(
        listed("blog-web-1", {RULE.format("blog"): "Host(`blog`)"}, compose=("blog", "web")),
        listed("shop-blue-web-1", {RULE.format("shop"): "Host(`shop`)"}, compose=("shop-blue", "web")),
        listed("shop-green-web-1", {RULE.format("shop"): "Host(`shop`)"}, compose=("shop-green", "web")),
    )
    assert found == {"blog-web": ["Host(`blog`)"], "shop-web": ["Host(`shop`)"]}


def test_containers_of_one_service_with_other_labels_are_named() -> None:
    found, lefts = rules(
        listed("shop-web-1", {RULE.format("a"): "Host(`a`)"}, compose=("shop", "web")),
        listed("shop-web-2", {RULE.format("a"): "Host(`b`)"}, compose=("shop", "web")),
    )
    assert found == {"web": ["Host(`a`)"]}
    assert lefts == [f"container shop-web-2: {RULE.format('a')}: differs from that of container shop-web-1, {CHECK}"]


def test_a_router_without_a_rule_has_the_one_that_traefik_makes_of_the_project() -> None:
    found, lefts = rules(listed("shop-web-1", {"traefik.enable": "true"}, compose=("shop", "web")))
    assert found == {"web": ["Host(`web-shop`)"]}
    assert "traefik.http.routers.web.rule: no label has it, so it is Host(`web-shop`)" in lefts[0]


def test_what_stops_a_second_colour_is_listed_and_what_cannot_be_read_is_too() -> None:
    port = {"PrivatePort": 80, "PublicPort": 8081, "IP": "0.0.0.0", "Type": "tcp"}
    found, lefts = rules(
        listed("shop", {RULE.format("a"): "Host(`a`)"}, Ports=[port], HostConfig={"NetworkMode": "host"}), {"Id": None}
    )
    assert found == {"shop": ["Host(`a`)"]}
    ports = f"ports: 8081: a port of the host belongs to one container, so {SECOND}"
    mode = f"network_mode: host: both colours would listen on the same ports of the host, so {SECOND}"
    assert lefts[0] == "a container: the engine describes it in a way that cannot be read"
    assert [left.partition(": remove")[0].partition(": give")[0] for left in lefts[1:]] == [
        f"container shop: {ports}",
        f"container shop: {mode}",
    ]


def test_a_swarm_service_is_named_whose_labels_its_containers_do_not_have() -> None:
    task = {"com.docker.swarm.service.name": "stack_web"}
    found, lefts = rules(listed("stack_web.1.x", task), listed("stack_web.2.y", task))
    assert found == {}
    (left,) = lefts
    assert left.startswith("Swarm service stack_web: its containers do not have the labels of the service")
