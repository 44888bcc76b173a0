"""What the doctor says of containers, and of what compose would start."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from provider.cli.doctor.checks.compose import findings as composed
from provider.cli.doctor.checks.containers import Context, Port, ServiceContainer, check
from provider.cli.doctor.findings import Code, Finding
from provider.config import load
from provider.docker.container import Container
from provider.model import Desired, Severity
from tests.support.running import shop

DOCKER_MODE = shop(blue=None, more="    healthCheck: {mode: docker}\n")
HTTP_MODE = shop(blue=None, more="    healthCheck: {mode: http, path: /healthz}\n")


def shop_container(colour: str = "blue", /, networks: tuple[str, ...] = ("front",), **fields: Any) -> ServiceContainer:
    """Return a container of shop without findings, but for what is given; labels are added to its own."""
    labels = {"bluegreen.service": "shop", "bluegreen.colour": colour, **fields.pop("labels", {})}
    container = Container(
        id="0123456789ab",
        name=f"shop-{colour}",
        image_id="sha256:1",
        labels=labels,
        running=True,
        health=None,
        network_mode="front",
        addresses={name: f"172.18.0.{number}" for number, name in enumerate(networks, 2)},
        exposed=(80,),
        bindings=(),
    )
    good: dict[str, Any] = {"has_healthcheck": True, "restarts": True, "image": "shop:1.4.1"}
    return ServiceContainer(f"container shop-{colour}", container, **{**good, **fields})


def desired(text: str = HTTP_MODE) -> Desired:
    return load(text, "production.yaml")


def codes(*containers: ServiceContainer, **around: Any) -> list[Code]:
    return [one.code for one in found(*containers, **around)]


def found(*containers: ServiceContainer, **around: Any) -> list[Finding]:
    wanted = around.pop("desired", None) or desired()
    return list(check(containers, Context(desired=wanted, environment="production", **around)))


def test_two_copies_in_good_order_are_no_finding() -> None:
    assert codes(shop_container("blue"), shop_container("green"), peers={"Traefik edge": frozenset({"front"})}) == []


@pytest.mark.parametrize(
    ("labels", "code", "what", "fix"),
    [
        (
            {"bluegreen.colour": "bleu"},
            Code.CONTAINER_IGNORED,
            "the daemon ignores it: bluegreen.colour=bleu",
            "the colour must be blue or green",
        ),
        (
            {"bluegreen.port": "http"},
            Code.CONTAINER_IGNORED,
            "the daemon ignores it: bluegreen.port=http",
            "the port must be a number from 1 to 65535",
        ),
        (
            {"bluegreen.network": "back"},
            Code.CONTAINER_IGNORED,
            "the daemon ignores it: bluegreen.network=back: it has no address there",
            "write bluegreen.network=front, its only network, or attach it to back",
        ),
        (
            {"bluegreen.versoin": "1"},
            Code.LABEL_UNKNOWN,
            "unknown label bluegreen.versoin",
            "write bluegreen.version",
        ),
        (
            {"BlueGreen.Port": "80"},
            Code.LABEL_UNKNOWN,
            "unknown label BlueGreen.Port",
            "write bluegreen.port",
        ),
        (
            {"bluegreen.service": "shopp"},
            Code.SERVICE_NOT_IN_FILE,
            "bluegreen.service=shopp, but the desired state has no such service; did you mean shop?",
            "add the service to the desired state, or correct the label",
        ),
        (
            {"bluegreen.environment": "prod"},
            Code.OTHER_ENVIRONMENT,
            "it belongs to the environment prod; this daemon's is production, so it ignores the container",
            "nothing, if that is intended; else write bluegreen.environment=production",
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_a_label_that_is_wrong_is_named_with_the_way_out(
    labels: dict[str, str], code: Code, what: str, fix: str
) -> None:
    assert found(shop_container("blue", labels=labels)) == [Finding(code, "container shop-blue", what, fix)]


def test_the_environment_label_is_missed_only_where_the_file_requires_it() -> None:
    required = desired(HTTP_MODE.replace("services:", "requireEnvironmentLabel: true\nservices:"))
    assert codes(shop_container(), desired=required) == [Code.CONTAINER_IGNORED]
    assert codes(shop_container(labels={"bluegreen.environment": "production"}), desired=required) == []


def test_a_container_that_does_not_run_is_not_checked_by_its_address() -> None:
    stopped = shop_container(networks=())
    assert codes(stopped) == [Code.CONTAINER_IGNORED]
    assert codes(replace(stopped, docker=replace(stopped.docker, running=False))) == []


def test_several_networks_are_ambiguous_until_a_label_chooses() -> None:
    assert codes(shop_container(networks=("back", "front"))) == [Code.NETWORK_AMBIGUOUS]
    assert codes(shop_container(networks=("back", "front"), labels={"bluegreen.network": "front"})) == []


def test_a_network_that_traefik_is_not_on_is_found_and_one_that_both_share_is_proposed() -> None:
    peers = {"Traefik edge": frozenset({"front"})}
    (one,) = found(shop_container(networks=("back",)), peers=peers)
    assert (one.code, one.fix) == (
        Code.NETWORK_NOT_SHARED,
        "docker network connect back edge, and add the network where it is started",
    )
    both = shop_container(networks=("back", "front"), labels={"bluegreen.network": "back"})
    (one,) = found(both, peers=peers)
    assert one.fix == "choose a network that both are on: add the label bluegreen.network=front"
    assert codes(both, peers={"Traefik edge": frozenset({"host"})}) == [], "the host reaches every bridge"


def test_no_health_check_at_all_is_a_warning_and_one_that_never_passes_is_critical() -> None:
    bare = shop_container(has_healthcheck=False)
    assert codes(bare) == [], "the file has one"
    assert codes(bare, desired=desired(shop(blue=None))) == [Code.NO_HEALTH_CHECK]
    assert codes(bare, desired=desired(DOCKER_MODE)) == [Code.DOCKER_HEALTH_MISSING]
    assert codes(shop_container(has_healthcheck=None), desired=desired(DOCKER_MODE)) == [], "only the image knows"


def test_labels_for_traefik_count_unless_it_has_no_docker_provider_or_they_switch_it_off() -> None:
    routed = shop_container(labels={"traefik.http.routers.shop.rule": "Host(`shop.example.com`)"})
    assert codes(routed) == [Code.TRAEFIK_LABELS]
    unknown = check([routed], Context(environment="production"))
    assert Code.TRAEFIK_LABELS not in {one.code for one in unknown}, "they may be where the daemon has its routing from"
    assert codes(routed, has_docker_provider=False) == []
    assert codes(shop_container(labels={**routed.docker.labels, "traefik.enable": "false"})) == []
    assert codes(shop_container(labels={"traefik.docker.network": "front"})) == [], "that routes nothing"


@pytest.mark.parametrize(
    ("image", "moves"),
    [
        ("shop", True),
        ("shop:latest", True),
        ("registry.example.com:5000/shop", True),
        ("registry.example.com:5000/shop:1.4", False),
        ("shop@sha256:0123", False),
        (None, False),
    ],
)
def test_an_image_without_a_version_moves(image: str | None, moves: bool) -> None:
    assert codes(shop_container(image=image)) == [Code.IMAGE_MOVES] * moves


def test_a_container_that_nothing_starts_again_is_a_warning() -> None:
    assert codes(shop_container(restarts=False)) == [Code.RESTART_POLICY]


def test_what_both_colours_want_collides_once_however_many_replicas_there_are() -> None:
    ports = (Port("127.0.0.1", 8080),)
    blue = shop_container("blue", published=ports, writable=frozenset({"/srv/data"}), fixed_name="shop")
    green = shop_container("green", published=(Port("", 8080),), writable=frozenset({"/srv/data"}), fixed_name="shop")
    collisions = [Code.CONTAINER_NAME_FIXED, Code.PORT_COLLIDES, Code.VOLUME_SHARED]
    assert codes(blue, blue, green, green) == collisions
    assert set(codes(blue, blue)) == {Code.CONTAINER_NAME_FIXED}, "replicas of one colour share what they like"


@pytest.mark.parametrize(
    "other",
    [Port("127.0.0.1", 8081), Port("10.0.0.1", 8080), Port("127.0.0.1", 8080, "udp")],
    ids=str,
)
def test_ports_collide_only_where_both_want_the_same_number_address_and_protocol(other: Port) -> None:
    assert (
        codes(shop_container("blue", published=(Port("127.0.0.1", 8080),)), shop_container("green", published=(other,)))
        == []
    )


def test_a_name_that_was_chosen_must_have_the_colour_in_it() -> None:
    assert codes(shop_container(fixed_name="shop")) == [Code.CONTAINER_NAME_FIXED]
    assert codes(shop_container(fixed_name="shop-blue")) == []


# --- compose ---------------------------------------------------------------------------------------------------------


def service(colour: str, **fields: object) -> dict[str, object]:
    labels = {"bluegreen.service": "shop", "bluegreen.colour": colour}
    return {"image": "shop:1.4.1", "restart": "always", "labels": labels, **fields}


def from_compose(make: Any) -> list[Code]:
    return [one.code for one in judged(make)]


def judged(make: Any) -> list[Finding]:
    rendered = {colour: make(colour) for colour in ("blue", "green")}
    around = Context(desired=desired(), environment="production")
    return list(composed(rendered, "shop", "compose.yaml", around))


def test_a_compose_file_in_good_order_is_no_finding_in_either_notation() -> None:
    """Compose 2 writes objects, 1.29 short texts and lists."""
    new = {
        "ports": [{"target": 80, "published": "0", "protocol": "tcp"}, {"target": 81}],
        "volumes": [
            {"type": "volume", "source": "data", "target": "/data"},
            {"type": "bind", "source": "/srv", "target": "/srv", "read_only": True},
            {"type": "bind", "source": "/var/run/docker.sock", "target": "/docker.sock"},
            {"type": "tmpfs", "target": "/tmp"},
        ],
        "networks": {"default": None},
    }
    old = {
        "labels": ["bluegreen.service=shop", "bluegreen.colour=blue"],
        "ports": ["80", "127.0.0.1::81/tcp"],
        "volumes": ["data:/data:rw", "/srv:/srv:ro", "/anonymous"],
    }

    def made(more: Mapping[str, object]) -> Any:
        def make(colour: str) -> dict[str, object]:
            body = service(colour, **more)
            if isinstance(body["labels"], list):
                body["labels"] = ["bluegreen.service=shop", f"bluegreen.colour={colour}"]
            return {"services": {"web": body}, "volumes": {"data": {"name": f"data-{colour}"}}}

        return make

    assert from_compose(made(new)) == []
    assert from_compose(made(old)) == []


@pytest.mark.parametrize("mode", ["host", "bridge", "service:db", "container:db"])
def test_a_container_on_a_network_that_is_not_its_own_is_no_finding(mode: str) -> None:
    assert from_compose(lambda colour: {"services": {"web": service(colour, network_mode=mode)}}) == []
    assert Code.CONTAINER_IGNORED in from_compose(lambda c: {"services": {"web": service(c, network_mode="none")}})


@pytest.mark.parametrize(
    "fields",
    [
        {"container_name": "shop"},
        {"ports": ["8080:80"]},
        {"ports": [{"target": 80, "published": "8080-8081", "host_ip": "0.0.0.0"}]},
        {"volumes": ["/srv/data:/data"]},
        {"volumes": ["shared:/data"]},
        {"volumes": [{"type": "volume", "source": "shared", "target": "/data"}]},
        {"restart": "no"},
        {"image": "shop"},
        {"labels": {"bluegreen.service": "shop", "bluegreen.color": "blue"}},
        {"labels": {"bluegreen.sevice": "shop"}},
    ],
    ids=str,
)
def test_what_will_collide_is_found_before_anything_is_started(fields: dict[str, object]) -> None:
    def make(colour: str) -> dict[str, object]:
        return {"services": {"web": service(colour, **fields)}, "volumes": {"shared": {"external": True}}}

    expected = {
        "container_name": [Code.CONTAINER_NAME_FIXED],
        "ports": [Code.PORT_COLLIDES],
        "volumes": [Code.VOLUME_SHARED],
        "restart": [Code.RESTART_POLICY] * 2,
        "image": [Code.IMAGE_MOVES] * 2,
    }
    (key,) = fields
    if key != "labels":
        assert set(from_compose(make)) == set(expected[key])
    elif "bluegreen.color" in str(fields):
        assert from_compose(make) == [Code.COMPOSE_COLOUR_FIXED]
    else:
        assert from_compose(make) == [Code.COMPOSE_WITHOUT_SERVICE, Code.LABEL_UNKNOWN]


def test_a_file_with_both_colours_as_services_is_no_file_for_a_deployment_and_shares_its_volumes() -> None:
    """Rule 17: it would start, or replace, containers in the colour that has the traffic."""
    both: dict[str, Any] = {
        "services": {"shop-blue": service("blue", volumes=["data:/data"]), "shop-green": service("green")},
        "volumes": {"data": {}},
    }
    (one,) = judged(lambda _: both)
    assert (one.code, one.severity) == (Code.COMPOSE_BOTH_COLOURS, Severity.CRITICAL)
    assert "both colours of shop at once (shop-blue (blue), shop-green (green))" in one.what
    both["services"]["shop-green"]["volumes"] = ["data:/data"]
    assert from_compose(lambda _: both) == [Code.COMPOSE_BOTH_COLOURS, Code.VOLUME_SHARED]


def test_the_compose_service_that_is_at_fault_is_named_and_not_the_first_of_its_service() -> None:
    def make(colour: str) -> dict[str, object]:
        worker = service("blue", ports=["9000:9000"], container_name="worker", volumes=["/srv/jobs:/jobs"])
        return {"services": {"web": service(colour), "worker": worker, "app": service(colour)}}

    (fixed,) = judged(make)
    assert (fixed.code, fixed.where) == (Code.COMPOSE_COLOUR_FIXED, "compose.yaml, compose service worker")

    def collide(colour: str) -> dict[str, object]:
        worker = service(colour, ports=["9000:9000"], container_name="worker", volumes=["/srv/jobs:/jobs"])
        return {"services": {"app": service(colour), "worker": worker}}

    found = judged(collide)
    assert [one.code for one in found] == [Code.CONTAINER_NAME_FIXED, Code.PORT_COLLIDES, Code.VOLUME_SHARED]
    assert {one.where for one in found} == {"compose service worker (blue) and compose service worker (green)"}


def test_labels_under_deploy_are_reported_to_have_no_effect() -> None:
    lost = {"bluegreen.service": "shop", "bluegreen.colour": "blue", "com.example": "1"}

    def make(colour: str) -> dict[str, object]:
        return {"services": {"web": {"image": "shop:1", "restart": "always", "deploy": {"labels": lost}}}}

    (one,) = judged(make)
    assert (one.code, one.severity) == (Code.COMPOSE_DEPLOY_LABELS, Severity.CRITICAL)
    assert one.what.startswith("bluegreen.colour, bluegreen.service are under deploy.labels")
    assert from_compose(lambda c: {"services": {"web": service(c, deploy={"labels": lost})}}) == [], "written in both"


@pytest.mark.parametrize(
    ("networks", "wanted", "fix"),
    [
        (("proj_web", "proj_db"), "web", "write the whole name as Docker has it: bluegreen.network=proj_web"),
        (("a_web", "b_web"), "web", "write bluegreen.network= one of its networks (a_web, b_web), or attach it to web"),
        (("back", "front"), "edge", "write bluegreen.network= one of its networks (back, front), or attach it to edge"),
        ((), "edge", "attach it to edge; it has an address on no network"),
    ],
)
def test_a_network_that_a_container_is_not_on_comes_with_whole_advice(
    networks: tuple[str, ...], wanted: str, fix: str
) -> None:
    (one,) = found(shop_container(networks=networks, labels={"bluegreen.network": wanted}))
    assert (one.code, one.fix) == (Code.CONTAINER_IGNORED, fix)


def test_a_value_with_a_colon_in_it_cuts_no_advice() -> None:
    (one,) = found(shop_container(labels={"bluegreen.port": "http: 80"}))
    assert one.what == "the daemon ignores it: bluegreen.port=http: 80"
    assert one.fix == "the port must be a number from 1 to 65535"
