"""Several endpoints of one service: they switch together, and each needs its own servers (rules 31 and 33)."""

from dataclasses import replace

import pytest

from provider.model import (
    Affinity,
    Canary,
    Child,
    Endpoint,
    GateState,
    Health,
    HealthCheck,
    Member,
    ProbeMode,
    Protocol,
    Server,
    Service,
    Shown,
    Step,
)
from provider.model.desired import Router, SmokeTest
from provider.model.vocabulary import Phase
from provider.rollout import watching
from provider.rollout.explain import explain
from provider.rollout.gates.asked import Asked
from provider.rollout.gates.health import verdict
from provider.rollout.gates.smoke import smoke_run
from provider.rollout.health import assess, network_check
from provider.rollout.serving import serve, serving, shown
from tests.support.phases import facts, group, in_step, old
from tests.support.worlds import BLUE, GREEN, at, candidate, member, runs, server, service, snapshot

WEB = Endpoint("default")
ADMIN = Endpoint("admin", port=9000)
MQTT = Endpoint("mqtt", Protocol.TCP, 1883)
DNS = Endpoint("dns", Protocol.UDP, 53)
ENDPOINTS = (WEB, ADMIN, MQTT)
ADDRESSES = {"default": "http://10.0.0.{}:80", "admin": "http://10.0.0.{}:9000", "mqtt": "tcp://10.0.0.{}:1883"}


def broker(**fields: object) -> Service:
    routers = (
        Router("broker", "Host(`broker.example.com`)", {}),
        Router("broker-mqtt", "HostSNI(`*`)", {}, "mqtt"),
    )
    return service("broker", **{"endpoints": ENDPOINTS, "routers": routers, **fields})


def container(number: int, release: str) -> tuple[Server, ...]:
    """Run a container that listens at every endpoint."""
    made = server(number, release)
    return tuple(replace(made, url=url.format(number), endpoint=name) for name, url in ADDRESSES.items())


OLD, NEW = container(1, "r1"), container(2, "r2")


def seen(
    of: Service | None = None,
    *,
    blue: tuple[Server, ...] = OLD,
    green: tuple[Server, ...] = NEW,
    sick: tuple[Server, ...] = (),
) -> Member:
    health = {one: Health.UNHEALTHY if one in sick else Health.HEALTHY for one in (*blue, *green)}
    return member(of or broker(), blue=runs(*blue), green=runs(*green), health=health, published=OLD)


def test_the_entries_of_every_endpoint_have_one_weight_and_long_names_but_for_default() -> None:
    """Rule 31."""
    served = serve(seen())
    assert served is not None
    assert served.children == (
        Child("broker-blue", 100, BLUE, "default"),
        Child("broker-admin-blue", 100, BLUE, "admin"),
        Child("broker-mqtt-blue", 100, BLUE, "mqtt"),
    )
    assert [one.url for one in served.servers_at("mqtt", BLUE)] == ["tcp://10.0.0.1:1883"]


@pytest.mark.parametrize("affinity", Affinity)
def test_a_step_gives_every_endpoint_its_share_and_keeps_clients_of_http_alone(affinity: Affinity) -> None:
    """Rule 31: affinity concerns HTTP only."""
    canary = Canary((Step(25, 60.0),), affinity)
    state = in_step(1, candidate("r2", of="broker"), canary=canary)
    served = serve(seen(broker(canary=canary)), state.rollout)
    assert served is not None
    assert served.affinity is affinity
    for endpoint in ENDPOINTS:
        children = served.children_at(endpoint.name)
        shares = {colour: sum(one.weight for one in children if one.colour is colour) for colour in (BLUE, GREEN)}
        assert shares == {BLUE: 75, GREEN: 25}
    assert [one.name for one in served.children_at("mqtt")] == ["broker-mqtt-blue", "broker-mqtt-green"]


def test_a_session_keeps_its_alias_at_endpoints_of_http() -> None:
    canary = Canary((Step(25, 60.0),))
    of = broker(canary=canary, sticky={"cookie": {}})
    state = in_step(1, candidate("r2", of="broker"), canary=canary)
    served = serve(seen(of), state.rollout)
    assert served is not None
    assert state.rollout is not None
    assert [one.name for one in served.children if one.colour is GREEN] == [
        f"broker-green-{state.rollout.id}",
        f"broker-admin-green-{state.rollout.id}",
        "broker-mqtt-green",
    ]


def test_a_dead_admin_port_takes_no_server_out_of_web() -> None:
    """Rule 31."""
    other = container(3, "r1")
    of = seen(blue=(*OLD, *other), sick=(other[1],))
    chosen = serving(of, BLUE)
    assert [one.url for one in chosen if one.endpoint == "default"] == ["http://10.0.0.1:80", "http://10.0.0.3:80"]
    assert [one.url for one in chosen if one.endpoint == "admin"] == ["http://10.0.0.1:9000"]


def test_where_none_is_healthy_at_an_endpoint_all_of_it_are_served() -> None:
    """Rule 3, for each endpoint by itself."""
    other = container(3, "r1")
    of = seen(blue=(*OLD, *other), sick=(OLD[1], other[1]))
    assert len([one for one in serving(of, BLUE) if one.endpoint == "admin"]) == 2


def test_an_endpoint_without_a_server_of_the_candidate_stays_with_the_active_colour_in_a_step() -> None:
    """Rules 19b and 31: the others have their share."""
    canary = Canary((Step(25, 60.0),))
    state = in_step(1, candidate("r2", of="broker"), canary=canary)
    of = seen(broker(canary=canary), sick=(NEW[2],))
    served = serve(of, state.rollout)
    assert served is not None
    assert [(one.name, one.weight) for one in served.children_at("mqtt")] == [("broker-mqtt-blue", 100)]
    assert len(served.children_at("default")) == 2
    both = ((BLUE, 75), (GREEN, 25))
    assert shown(of, state.rollout, served) == Shown(both, both, (("mqtt", ((BLUE, 100),)),))


def asked(of: Member) -> Asked:
    state = group(Phase.WAITING, of).state
    return Asked(of, candidate("r2", of="broker"), state.rollout, at(2000.0), True)


@pytest.mark.parametrize("endpoint", range(len(ENDPOINTS)))
def test_every_endpoint_must_be_healthy(endpoint: int) -> None:
    """Rule 33."""
    sick = NEW[endpoint]
    found = verdict(asked(seen(sick=(sick,))))
    assert found.state is GateState.RUNNING
    assert sick.url in (found.reason or "")
    assert verdict(asked(seen())).state is GateState.PASSED


@pytest.mark.parametrize("missing", [one.name for one in ENDPOINTS])
def test_every_endpoint_needs_min_servers(missing: str) -> None:
    """Rule 31."""
    left = tuple(one for one in NEW if one.endpoint != missing)
    found = verdict(asked(seen(green=left)))
    assert found.state is GateState.PENDING
    assert f"0 of at least 1 servers (minServers) are there at endpoint {missing}" == found.reason


def test_the_watch_counts_each_endpoint() -> None:
    """Rules 8 and 31: two servers are left in all, and none for MQTT."""
    failing = watching.failing(seen(sick=(OLD[2],)), BLUE, {})
    assert failing is not None
    assert failing.reason.startswith("blue has 0 of at least 1 servers (minServers) at endpoint mqtt: tcp://10.0.0.1")
    assert watching.failing(seen(), BLUE, {}) is None


@pytest.mark.parametrize(
    ("siblings", "health"),
    [
        ((Health.HEALTHY, Health.UNHEALTHY), Health.HEALTHY),
        ((Health.UNHEALTHY, Health.UNHEALTHY), Health.UNHEALTHY),
        ((Health.UNKNOWN, Health.UNHEALTHY), Health.UNKNOWN),
    ],
)
def test_udp_that_cannot_be_asked_has_the_health_of_its_siblings(
    siblings: tuple[Health, Health], health: Health
) -> None:
    """Rule 33."""
    web, admin, _ = OLD
    dns = replace(web, url="udp://10.0.0.1:53", endpoint="dns")
    of = member(
        broker(endpoints=(WEB, ADMIN, DNS)),
        blue=runs(web, admin, dns),
        health=dict(zip((web, admin), siblings, strict=True)),
    )
    assert assess(of, dns).health is health


def test_udp_alone_that_cannot_be_asked_is_not_judged_and_says_how_it_would_be() -> None:
    """Rule 33 and P2."""
    dns = replace(server(1), url="udp://10.0.0.1:53", endpoint="dns")
    found = assess(member(broker(endpoints=(DNS,)), blue=runs(dns)), dns)
    assert found.health is Health.UNKNOWN
    assert "healthCheck.send" in (found.cause or "")


@pytest.mark.parametrize(
    ("endpoint", "docker", "mode"),
    [
        (WEB, None, ProbeMode.TCP),
        (WEB, Health.HEALTHY, None),
        (MQTT, None, ProbeMode.TCP),
        (replace(WEB, health_check=HealthCheck(ProbeMode.HTTP)), Health.HEALTHY, ProbeMode.HTTP),
        (replace(MQTT, health_check=HealthCheck(ProbeMode.GRPC)), None, ProbeMode.GRPC),
        (replace(MQTT, health_check=HealthCheck(ProbeMode.DOCKER)), Health.HEALTHY, None),
        (DNS, None, None),
        (replace(DNS, health_check=HealthCheck(send="x")), None, ProbeMode.UDP),
    ],
)
def test_how_a_server_is_checked_follows_from_its_endpoint(
    endpoint: Endpoint, docker: Health | None, mode: ProbeMode | None
) -> None:
    """Rules 5 and 33."""
    check = network_check(endpoint, server(1, docker_health=docker))
    assert (check.mode if check else None) is mode


def test_a_smoke_test_asks_the_servers_of_its_endpoint() -> None:
    """Rule 31."""
    tests = (SmokeTest("home"), SmokeTest("panel", endpoint="admin"))
    run = smoke_run(seen(broker(smoke_tests=tests)), candidate("r2", of="broker"))
    assert run is not None
    assert run.all_tests == {("home", "http://10.0.0.2:80"), ("panel", "http://10.0.0.2:9000")}


def test_explain_says_that_connections_stay_where_they_are() -> None:
    """Rule 32."""
    lines = explain(facts(snapshot(seen()), at(2000.0)))
    assert any("mqtt (TCP)" in line and "new connections only" in line for line in lines)
    assert "3 servers at 3 endpoints" in lines[0]
    assert not any("new connections only" in line for line in explain(facts(snapshot(old()), at(2000.0))))
