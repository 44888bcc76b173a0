"""Endpoints that an edit of the file brings to a service that runs: never dark until the engine lists again (P4)."""

from dataclasses import replace

import pytest

from provider.config.diff import edit
from provider.controller.unlisted_endpoints import with_unlisted
from provider.model import Endpoint, Protocol, Server, Service
from provider.model.desired import Router
from provider.model.observed import Route
from tests.support.labelled_services import World, container, stored
from tests.support.whole import whole
from tests.support.worlds import BLUE, service

RULE = "Host(`shop.example.com`)"


def with_endpoints(*endpoints: Endpoint) -> Service:
    routed = endpoints[0].name if endpoints else "default"
    router = Router("shop", RULE, {"rule": RULE}, routed)
    return service("shop", routers=(router,), endpoints=endpoints or (Endpoint(),), settle_s=0.0)


def servers(world: World) -> list[str]:
    """Return where the router leads."""
    http = whole(world.document)["http"]
    (child,) = http["services"][http["routers"]["shop"]["service"]]["weighted"]["services"]
    return [server["url"] for server in http["services"][child["name"]]["loadBalancer"]["servers"]]


def take(world: World, changed: Service) -> None:
    world.desired = replace(world.desired, services={"shop": changed})
    world.state.load(edit(world.state.desired, world.desired), "other", world.pass_s())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((), (Endpoint("web", port=80),)),
        ((), (Endpoint("web"), Endpoint("mqtt", Protocol.TCP, 1883))),
        ((Endpoint("web", port=80),), (Endpoint("api", port=80),)),
        ((Endpoint("web"), Endpoint("mqtt", Protocol.TCP, 1883)), ()),
    ],
)
def test_a_service_that_runs_is_served_at_endpoints_that_an_edit_brings(
    before: tuple[Endpoint, ...], after: tuple[Endpoint, ...]
) -> None:
    """P4: in the document of the edit, with the engine away, and over a restart."""
    world = World(with_endpoints(*before))
    world.run(container(1, BLUE, {}))
    assert servers(world) == ["http://10.0.0.1:80"]
    world.state.docker_connected(connected=False)
    take(world, with_endpoints(*after))
    world.decide()
    assert servers(world) == ["http://10.0.0.1:80"]
    again = World(with_endpoints(*after), stored=stored(world))
    again.decide()
    assert again.document == world.document
    take(again, with_endpoints(*before))
    again.decide()
    assert servers(again) == ["http://10.0.0.1:80"]


def test_what_is_listed_at_an_endpoint_stands_for_it() -> None:
    """A list that has the endpoint brings nothing else."""
    world = World(with_endpoints())
    world.run(container(1, BLUE, {}))
    take(world, with_endpoints(Endpoint("web", port=81)))
    world.list_all()
    assert servers(world) == ["http://10.0.0.1:81"]
    assert [one.endpoint for one in world.state.services["shop"].observed.blue.servers] == ["web"]


def test_an_unlisted_endpoint_is_reached_by_its_own_protocol_and_port_in_every_network() -> None:
    """Rule 31; IPv6, too."""
    routes = (Route("a", "http://[fd00::1]:80"), Route("b", "http://10.0.0.1:80"))
    listed = Server("http://[fd00::1]:80", "r1", container="c1", routes=routes)
    web, mqtt, dns = with_unlisted(
        (listed,), (Endpoint(), Endpoint("mqtt", Protocol.TCP, 1883), Endpoint("dns", Protocol.UDP, 53))
    )
    assert {one.url for one in (web, mqtt, dns)} == {
        "http://[fd00::1]:80",
        "tcp://[fd00::1]:1883",
        "udp://[fd00::1]:53",
    }
    assert [one.routes[1].url for one in (web, mqtt, dns) if one.endpoint == "mqtt"] == ["tcp://10.0.0.1:1883"]
