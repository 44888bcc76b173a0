"""What the controller knows, and which groups each input touches."""

import asyncio
from collections.abc import Set
from dataclasses import replace

import pytest

from provider.config.diff import edit
from provider.controller.state import State
from provider.controller.traefik_view import Fetched
from provider.model import (
    Applied,
    ByColour,
    Colour,
    Desired,
    Endpoint,
    FixedServers,
    GroupState,
    Health,
    HealthCheck,
    Instant,
    Pause,
    Phase,
    Plan,
    Probe,
    ProbeMode,
    Protocol,
    Rollout,
    Route,
    Router,
    Served,
    Server,
    ServerHealth,
    Service,
    ServiceState,
    Trigger,
)
from provider.model.desired import group_key
from provider.rollout.health import assess, doubt_of
from provider.rollout.serving import serving
from provider.store import Stored, StoredServers
from provider.traefik.document.render import render_service
from provider.traefik.elsewhere import PollerElsewhere, ReplicaPolls
from provider.traefik.pollers import Poller
from provider.traefik.readback import Reading
from tests.support.endpoints import broker
from tests.support.worlds import BLUE, EPOCH, GREEN, at, candidate, server, service

ONE, TWO = server(1), server(2, "r2")
NOW, LATER = at(1000.0), at(1005.0)
HEALTHY = ServerHealth(Health.HEALTHY, None, EPOCH)


def fixed(*ports: int, version: str = "1") -> FixedServers:
    return FixedServers(tuple(f"http://127.0.0.1:{port}" for port in ports), version, f"r{version}")


def state(*services: Service, docker: bool = True, stored: Stored | None = None) -> State:
    made = State(stored or Stored({}, {}, {}, None, 0), docker_enabled=docker)
    if services:
        load(made, desired(*services), NOW)
        look(made, NOW)
    return made


def look(of: State, now: Instant) -> None:
    """Work out what is due, as the controller's loops do before they look at a group."""
    for key in of.members:
        of.tracked.refresh(key, now)


def load(of: State, wanted: Desired, now: Instant) -> Set[str]:
    return of.load(edit(of.desired, wanted), str(wanted), now).decide or set()


def desired(*services: Service) -> Desired:
    return Desired("production", {each.name: each for each in services})


def listed(of: State, name: str = "shop", *, blue: tuple[Server, ...] = (), green: tuple[Server, ...] = ()) -> Set[str]:
    touched = of.docker_listed({name: ByColour(blue, green)}, 1000.0, at(1000.0))
    look(of, NOW)
    return touched.decide or set()


def probe(of: State, name: str = "shop") -> Probe:
    of.services[name].adopt_probes()
    (only,) = of.services[name].probes
    return only


# --- the file ------------------------------------------------------------------------------------------------------


class _Open(asyncio.BaseTransport):
    """A connection that is not closing."""

    def is_closing(self) -> bool:
        return False


def test_who_answers_and_does_not_poll_has_surely_fetched_nothing() -> None:
    """Rule 7: an API that answers need not belong to a Traefik that polls us."""
    of = State(Stored({}, {}, {}, None, 0), docker_enabled=False)
    of.traefik.published(7, "bluegreen-000000000007", 1000.0)
    of.traefik.pollers.answered(of.traefik.pollers.polled(_Open(), "10.0.0.1", "edge-1", NOW), 7, NOW, was_held=False)
    of.traefik.readings.is_given = True
    of.traefik.read(Reading("http://10.0.0.1:8080", "bluegreen-000000000007"), 1001.0)
    of.traefik.read(Reading("http://10.0.0.2:8080"), 1001.0)
    assert of.traefik.fetched() == Fetched(7, True, {"http://10.0.0.1:8080": NOW.mono_s}, True)


def test_who_has_fetched_the_last_document_is_asked_again_when_there_is_another_one() -> None:
    """P2: a batch of snapshots goes on while a document is published."""
    of = state(service())
    of.traefik.published(7, "bluegreen-000000000007", 1000.0)
    of.traefik.pollers.polled(_Open(), "10.0.0.1", "edge-1", NOW).received = 7
    before = of.traefik.fetched()
    assert [one.fetched for one in of.snapshot("shop", before).members] == [True]
    of.traefik.published(8, "bluegreen-000000000008", 1001.0)
    assert [one.fetched for one in of.snapshot("shop", before).members] == [False]


@pytest.mark.parametrize("count", [3, 1200])
def test_groups_are_looked_at_in_one_order_whichever_were_touched(count: int) -> None:
    of = state(*(service(f"s{number:04}") for number in range(1500)))
    names = [f"s{number:04}" for number in range(count)]
    assert list(of.ordered({*names, "@gone"})) == ["@gone", *names]


def test_a_reload_touches_only_the_groups_of_services_that_changed() -> None:
    of = state(service(), service("pay"), service("cart", group="front"))
    kept = of.services["pay"]
    touched = load(of, desired(service(hold=True), service("pay"), service("new")), LATER)
    assert touched == {"shop", "new", "@front"}
    assert list(of.services) == ["new", "pay", "shop"]
    assert of.services["pay"] is kept


def test_a_service_that_changes_its_group_touches_both() -> None:
    of = state(service(group="a"), service("pay", group="a"))
    assert load(of, desired(service(group="b"), service("pay", group="a")), LATER) == {"@a", "@b"}
    assert [one.service.name for one in of.snapshot("@a").members] == ["pay"]
    assert of.snapshot("@gone").members == ()


def test_a_snapshot_reports_which_group_a_member_left_and_which_member_left_its_rollout() -> None:
    """Rule 11: what was decided there goes along with it, and the rollout there is superseded."""
    noted = ServiceState(active=BLUE, group="a")
    left = GroupState(under_way(), paused=Pause("ann", None, EPOCH))
    of = state(service(group="b"), docker=False, stored=Stored({"shop": noted}, {"@a": left}, {}, None, 7))
    assert of.snapshot("@b").left == {"shop": of.groups["@a"]}
    assert of.snapshot("@a").gone == {"shop"}
    assert (of.snapshot("@a").left, of.snapshot("@b").gone) == ({}, frozenset())
    of.adopt("@b", Plan(GroupState(), {"shop": replace(noted, group="b")}))
    assert of.snapshot("@b").left == {}
    load(of, desired(), LATER)
    assert of.snapshot("@a").gone == frozenset()


def test_a_group_and_a_service_of_one_name_are_two_groups() -> None:
    assert group_key(service("front")) != group_key(service(group="front"))


def test_an_edit_keeps_what_is_known_of_the_servers() -> None:
    """Rule 12: health, what is published and when the set changed do not begin again."""
    of = state(service())
    listed(of, blue=(ONE,))
    tracked = of.services["shop"]
    of.health_verdict(probe(of), HEALTHY)
    tracked.assess(tracked.member(), NOW)
    tracked.published = frozenset({ONE.key})
    before = replace(tracked)
    load(of, desired(service(hold=True)), LATER)
    look(of, LATER)
    edited = of.services["shop"]
    assert edited.service.hold
    assert (edited.observed, edited.probed, edited.health, edited.published, edited.since_utc) == (
        *(before.observed, before.probed, before.health, before.published, before.since_utc),
    )


def test_fixed_servers_take_the_place_of_those_in_docker_for_both_colours() -> None:
    of = state(service())
    listed(of, blue=(ONE,), green=(TWO,))
    load(of, desired(service(servers=ByColour(fixed(8081), None))), LATER)
    look(of, LATER)
    observed = of.services["shop"].observed
    assert [one.url for one in observed.blue.servers] == ["http://127.0.0.1:8081"]
    assert (observed.green.known, observed.green.servers, observed.green.from_docker) == (True, (), False)
    assert observed.blue.changed_mono_s == 1005.0


def test_without_docker_a_service_without_fixed_servers_has_none() -> None:
    observed = state(service(), docker=False).services["shop"].observed
    assert (observed.blue.known, observed.blue.servers, observed.blue.from_docker) == (True, (), False)


# --- Docker --------------------------------------------------------------------------------------------------------


def test_before_the_first_complete_list_dockers_servers_are_unknown() -> None:
    """Rule 1."""
    of = state(service())
    assert not of.services["shop"].observed.blue.known
    assert of.docker_service("shop", ByColour((ONE,), ()), 999.0, NOW).decide == set(), (
        "a list of one is no complete list"
    )
    assert not of.services["shop"].observed.blue.known
    assert listed(of, "other") == {"shop"}
    assert of.services["shop"].observed.blue.known


def test_a_list_touches_only_what_it_changes() -> None:
    of = state(service(), service("pay"))
    both = {"shop": ByColour((ONE,), ()), "pay": ByColour((TWO,), ())}
    assert of.docker_listed(both, 1000.0, at(1000.0)).decide == {"shop", "pay"}
    look(of, NOW)
    assert of.docker_listed(both, 1001.0, at(1001.0)).decide == set()
    assert of.services["shop"].observed.blue.changed_mono_s == 1000.0
    assert of.docker_service("shop", ByColour((ONE,), (server(3),)), 1002.0, LATER).decide == {"shop"}
    assert of.services["shop"].observed.green.changed_mono_s == 1005.0
    assert of.services["shop"].observed.blue.changed_mono_s == 1000.0


def test_a_list_always_touches_a_group_with_a_rollout() -> None:
    """Rule 6: the switch may wait for nothing but this list."""
    of = state(service())
    listed(of, blue=(ONE,), green=(TWO,))
    of.rollouts.under_way.add("shop")
    assert of.docker_service("shop", ByColour((ONE,), (TWO,)), 1004.0, LATER).decide == {"shop"}
    assert of.services["shop"].observed.green.listed_mono_s == 1004.0
    assert of.docker_listed({"shop": ByColour((ONE,), (TWO,))}, 1006.0, at(1006.0)).decide == {"shop"}
    look(of, LATER)
    assert of.services["shop"].observed.green.listed_mono_s == 1006.0


def test_docker_that_comes_or_goes_touches_the_groups_with_a_rollout() -> None:
    """Rules 6 and 14: their clocks stand still, or go on."""
    of = state(service(), service("pay"))
    of.rollouts.under_way.add("shop")
    assert of.docker_connected(connected=False).decide == {"shop"}


def test_what_one_list_of_a_service_says_is_not_undone_by_an_older_list_of_all() -> None:
    """A complete list is worked out service by service; one may have been listed again meanwhile."""
    of = state(service())
    listed(of, blue=(ONE,))
    of.docker_listed({"shop": ByColour((ONE,), (server(3),))}, 1001.0, at(1001.0))
    of.docker_service("shop", ByColour((ONE,), (TWO,)), 1004.0, LATER)
    look(of, LATER)
    assert of.services["shop"].observed.green.servers == (TWO,)
    assert of.services["shop"].observed.green.listed_mono_s == 1004.0


@pytest.mark.parametrize(
    ("after", "is_new_set"),
    [
        (replace(ONE, leaving_mono_s=1003.0), True),
        (replace(ONE, release="r9"), True),
        (replace(ONE, container="c9"), True),
        (replace(ONE, docker_health=Health.HEALTHY), False),
    ],
    ids=["leaving", "another release", "another container", "Docker's health"],
)
def test_the_set_is_dated_again_when_other_servers_are_in_it(after: Server, is_new_set: bool) -> None:
    """Rule 5: health is not the set."""
    of = state(service())
    listed(of, blue=(ONE,))
    assert of.docker_service("shop", ByColour((after,), ()), 1004.0, LATER).decide == {"shop"}
    assert (of.services["shop"].observed.blue.changed_mono_s == 1005.0) is is_new_set


@pytest.mark.parametrize("health", [Health.HEALTHY, Health.UNHEALTHY])
def test_what_was_asked_to_stop_and_still_passes_its_checks_when_its_time_is_over_returns(health: Health) -> None:
    """Rule 4: it handled the signal and lives on. One that fails its checks is on its way out, however slowly."""
    asked = replace(TWO, leaving_mono_s=1000.0)
    of = state(service())
    listed(of, blue=(ONE,), green=(asked,))
    [wanted] = [one for one in of.services["shop"].probes if one.colour is GREEN]
    of.health_verdict(wanted, ServerHealth(health, None, EPOCH))
    of.tracked.refresh("shop", at(1059.9))
    assert not of.services["shop"].observed.green.staying
    of.tracked.refresh("shop", at(1060.0))
    returned = of.services["shop"].observed.green
    assert (returned.staying == (TWO,)) is (health is Health.HEALTHY)
    assert (returned.changed_mono_s == 1060.0) is (health is Health.HEALTHY), "the gate's settle begins with it"
    of.docker_service("shop", ByColour((ONE,), (asked,)), 1061.0, at(1061.0))
    assert (of.services["shop"].observed.green.staying == (TWO,)) is (health is Health.HEALTHY), "the list knows no end"
    of.docker_service("shop", ByColour((ONE,), (replace(TWO, leaving_mono_s=1070.0),)), 1070.0, at(1070.0))
    assert not of.services["shop"].observed.green.staying, "asked once more, it leaves once more"


def test_a_container_that_is_known_by_another_id_has_that_as_a_former_one() -> None:
    """Rule 40: no container changes; what an id covers does, as with `ignoreEnv`. It stays published, too (rule 3)."""
    stored = StoredServers(ByColour((ONE,), (TWO,)), frozenset({ONE.key}))
    of = state(service(), stored=Stored({"shop": ServiceState(active=BLUE)}, {}, {"shop": stored}, None, 0))
    renamed = replace(ONE, release="n1", former=("r0",))
    for _ in range(2):  # a second list takes nothing away of it: the first may not have been decided on
        listed(of, blue=(renamed,), green=(TWO,))
        tracked = of.services["shop"]
        assert tracked.observed.blue.servers[0].former == ("r0", "r1")
        assert tracked.observed.green.servers[0].former == ()
        assert tracked.published == {renamed.key}


BOTH_NETWORKS = (Route("a", "http://10.1.0.2:80"), Route("b", "http://10.2.0.2:80"))
GUESSED = replace(ONE, url=BOTH_NETWORKS[0].url, routes=BOTH_NETWORKS)


def guess(of: State, colour: Colour) -> tuple[str, bool]:
    """Tell where a colour's server is, and whether its checks are evidence."""
    of.tracked.refresh("shop", NOW)
    tracked = of.services["shop"]
    [one] = tracked.observed[colour].servers
    return one.url, doubt_of(tracked.member(), one) is None


def test_the_network_of_the_active_colour_may_be_a_guess_and_the_standbys_may_not() -> None:
    """Rules 3 and 38: the active colour is served as it stands; once it was, it is no guess when it stands by."""
    of = state(service())
    listed(of, blue=(GUESSED,))
    assert guess(of, BLUE) == ("http://10.1.0.2:80", False)
    of.adopt("shop", Plan(GroupState(), {"shop": ServiceState(active=BLUE)}))
    assert guess(of, BLUE) == ("http://10.1.0.2:80", True)
    of.services["shop"].published = frozenset({GUESSED.key})
    routes = (Route("a", "http://10.1.0.3:80"), *BOTH_NETWORKS[1:])
    green = replace(GUESSED, container="c2", release="r2", routes=routes)
    listed(of, blue=(GUESSED,), green=(green,))
    assert guess(of, GREEN) == ("http://10.1.0.3:80", False)
    of.services["shop"].published = frozenset()
    of.adopt("shop", Plan(GroupState(), {"shop": ServiceState(active=GREEN)}))
    assert guess(of, BLUE) == ("http://10.1.0.2:80", True), "it was served there, and is the rollback target"


def test_the_files_network_and_the_daemons_own_are_followed_at_once() -> None:
    """Rule 38."""
    of = state(service())
    listed(of, blue=(GUESSED,))
    assert of.docker_networks(frozenset({"b"})).decide == {"shop"}
    assert guess(of, BLUE) == ("http://10.2.0.2:80", True)
    assert of.docker_networks(frozenset({"b"})).decide == set()
    assert load(of, replace(desired(service()), docker_network="a"), LATER) == {"shop"}
    assert guess(of, BLUE) == ("http://10.1.0.2:80", True)


@pytest.mark.parametrize("health", [Health.HEALTHY, Health.UNHEALTHY])
def test_what_answers_at_an_address_of_both_colours_is_evidence_for_neither(health: Health) -> None:
    """Rule 39: not that one is well, nor that one fails; the active colour is still served."""
    of = state(service())
    listed(of, blue=(ONE,), green=(replace(TWO, url=ONE.url),))
    of.adopt("shop", Plan(GroupState(), {"shop": ServiceState(active=BLUE)}))
    for wanted in of.services["shop"].probes:
        of.health_verdict(wanted, ServerHealth(health, None, EPOCH))
    look(of, NOW)
    member = of.services["shop"].member()
    found = {assess(member, server).health for _, seen in member.observed.items() for server in seen.servers}
    assert found == {Health.UNKNOWN}
    assert serving(member, BLUE) == member.observed.blue.servers


def test_a_switch_waits_for_the_pollers_of_every_replica() -> None:
    """Rule 59."""
    of = state(service())
    of.traefik.published(7, "bluegreen-0123456789ab", NOW.mono_s)
    for revision, has_it in ((6, False), (7, True)):
        polls = ReplicaPolls((PollerElsewhere(Poller("edge-2", revision, 0.0)),))
        assert of.polled_elsewhere({"second": polls}, NOW).decide is None
        assert of.traefik.fetched()[1] is has_it
    of.rollouts.watched.add("shop")
    assert of.polled_elsewhere({}, NOW).decide == {"shop"}
    assert of.traefik.fetched()[1] is None


def test_services_of_labels_that_the_file_does_not_name_are_known_until_they_are_gone() -> None:
    of = state(service())
    of.docker_listed({"web": ByColour((ONE,), ()), "shop": ByColour((), ())}, 1000.0, at(1000.0))
    assert list(of.tracked.unnamed) == ["web"]
    of.docker_service("web", ByColour((), ()), 1001.0, NOW)
    assert not of.tracked.unnamed


# --- health --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("check", "docker_health", "mode"),
    [
        (HealthCheck(), None, ProbeMode.TCP),
        (HealthCheck(), Health.UNKNOWN, None),
        (HealthCheck(mode=ProbeMode.HTTP), Health.HEALTHY, ProbeMode.HTTP),
        (HealthCheck(mode=ProbeMode.DOCKER), None, None),
    ],
)
def test_a_server_is_probed_as_its_mode_says_else_as_docker_lets_us(
    check: HealthCheck, docker_health: Health | None, mode: ProbeMode | None
) -> None:
    """Rule 5."""
    of = state(service(health_check=check))
    listed(of, blue=(replace(ONE, docker_health=docker_health),))
    of.services["shop"].adopt_probes()
    assert [one.check.mode for one in of.services["shop"].probes] == ([mode] if mode else [])


def test_another_definition_of_the_check_voids_its_evidence_and_nothing_else() -> None:
    """Rule 12."""
    of = state(service())
    listed(of, blue=(ONE,))
    before = probe(of)
    assert of.health_verdict(before, HEALTHY).decide == {"shop"}
    load(of, desired(service(health_check=HealthCheck(path="/ready", mode=ProbeMode.HTTP))), LATER)
    of.health_verdict(before, HEALTHY)
    look(of, LATER)
    assert of.services["shop"].probed == {}, "voided before anything is decided, which may be before the next document"
    assert of.health_verdict(before, HEALTHY).decide == set(), "the old check's last word comes too late"
    assert not of.services["shop"].adopt_probes()


def test_a_verdict_on_a_service_that_is_gone_is_dropped() -> None:
    of = state(service())
    listed(of, blue=(ONE,))
    gone = probe(of)
    load(of, desired(), LATER)
    assert of.health_verdict(gone, HEALTHY).decide == set()


def test_health_is_dated_by_its_change_and_not_by_its_cause() -> None:
    of = state(service())
    listed(of, blue=(ONE,))
    tracked, only = of.services["shop"], probe(of)
    found = tracked.assess(tracked.member(), NOW)
    assert [(colour, one, after.health, before) for colour, one, after, before in found] == [
        (BLUE, ONE, Health.UNKNOWN, None)
    ]
    of.health_verdict(only, ServerHealth(Health.UNHEALTHY, "refused", EPOCH))
    assert [after.health for _, _, after, _ in tracked.assess(tracked.member(), NOW)] == [Health.UNHEALTHY]
    of.health_verdict(only, ServerHealth(Health.UNHEALTHY, "timed out", EPOCH))
    assert tracked.assess(tracked.member(), LATER) == ()
    assert tracked.health[ONE.key] == ServerHealth(Health.UNHEALTHY, "timed out", NOW.utc)


# --- the store -----------------------------------------------------------------------------------------------------


def under_way(phase: Phase = Phase.SHIFTING) -> Rollout:
    return Rollout("r1", phase, (candidate(),), ("shop",), Trigger.DOCKER, None, EPOCH, 5.0, 605.0)


def test_what_is_stored_stands_until_docker_answers() -> None:
    """Rules 3, 4 and 14: the last servers are served, and a rollout under way begins its phase again."""
    stored = Stored(
        {"shop": ServiceState(active=BLUE)},
        {"shop": GroupState(rollout=under_way())},
        {"shop": StoredServers(ByColour((ONE,), (TWO,)), frozenset({ONE.key}))},
        None,
        7,
    )
    of = State(stored, docker_enabled=True)
    assert "shop" in load(of, desired(service()), NOW)
    tracked = of.services["shop"]
    assert (tracked.observed.blue.known, tracked.observed.blue.servers) == (True, (ONE,))
    assert tracked.observed.green.listed_mono_s is None
    assert (tracked.state.active, tracked.published) == (BLUE, frozenset({ONE.key}))
    resumed = of.groups["shop"].rollout
    assert resumed is not None
    assert (resumed.entered_mono_s, resumed.deadline_mono_s) == (1000.0, 1600.0)
    listed(of)
    assert tracked.observed.blue.servers == ()


def test_a_stored_rollout_of_a_group_that_left_the_file_is_looked_at_once() -> None:
    """Rule 12: it must be ended."""
    of = State(Stored({}, {"@front": GroupState(rollout=under_way())}, {}, None, 7), docker_enabled=False)
    assert load(of, desired(service()), NOW) == {"@front", "shop"}
    assert load(of, desired(service()), LATER) == set()
    assert of.rollouts.under_way == {"@front"}


def test_a_decision_is_kept_for_a_service_that_left_the_file_meanwhile() -> None:
    """Rule 12: its colour is remembered."""
    of = state(service(), docker=False)
    load(of, desired(), LATER)
    of.adopt("shop", Plan(GroupState(rollouts=3), {"shop": ServiceState(active=GREEN)}))
    assert of.groups["shop"].rollouts == 3
    load(of, desired(service()), LATER)
    assert of.services["shop"].state.active is GREEN


def test_a_snapshot_has_the_members_of_its_group_by_name() -> None:
    of = state(service(group="front"), service("pay", group="front"), service("cart"))
    of.docker.connected = True
    found = of.snapshot("@front")
    assert [one.service.name for one in found.members] == ["pay", "shop"]
    assert found.docker_connected
    assert {colour for one in found.members for colour, _ in one.observed.items()} == set(Colour)


def test_a_snapshot_reports_what_traefik_shows_before_a_rollout_begins() -> None:
    """Rule 7: one that begins may switch at once, and its errors are compared with those of before."""
    of = state(service())
    of.traefik.readings.expect(("http://traefik:8080",))
    (member,) = of.snapshot("shop").members
    assert member.applied == (Applied("http://traefik:8080", answers=False),)


def test_a_colour_that_is_not_known_is_not_stored_as_one_without_servers() -> None:
    """Rule 1: the next start would decide first sight by it, before Docker's first list."""
    of = state(service())
    assert of.tracked.stored_servers(["shop"]) == {}
    listed(of, blue=(ONE,))
    assert of.tracked.stored_servers(["shop"])["shop"].colours.blue == (ONE,)


def test_a_service_that_left_the_file_stays_unless_its_names_are_given_again() -> None:
    """P4, and a document never has a name twice."""
    of = state(service())
    listed(of, blue=(ONE,))
    of.services["shop"].fragment = render_service(Served(of.services["shop"].service, (), {}))
    other = service("pay")
    load(of, desired(other), LATER)
    assert of.tracked.retired.keys() == {"shop"}
    load(of, desired(replace(other, routers=(Router("shop", "Host(`x`)", {}),))), LATER)
    assert of.tracked.retired == {}


@pytest.mark.parametrize(("section", "stays"), [("tcp", True), ("udp", True), ("http", False)])
def test_a_service_that_left_the_file_stays_beside_its_name_in_another_section(section: str, stays: bool) -> None:
    """Rule 31: names of TCP and of HTTP do not clash."""
    of = state(service())
    listed(of, blue=(ONE,))
    of.services["shop"].fragment = render_service(Served(of.services["shop"].service, (), {}))
    passed = {section: {"routers": {"shop": {"service": "shop"}}, "services": {"shop": {"loadBalancer": {}}}}}
    load(of, replace(desired(service("pay")), pass_through=passed), LATER)
    assert of.tracked.retired.keys() == ({"shop"} if stays else set())


def test_a_service_whose_endpoints_speak_tcp_leaves_when_its_names_there_are_given_again() -> None:
    """Rule 31: the sections are those of its endpoints."""
    old = broker(endpoints=(Endpoint("mqtt", Protocol.TCP),), routers=())
    of = state(old)
    listed(of, "broker", blue=(ONE,))
    of.services["broker"].fragment = render_service(Served(old, (), {}))
    load(of, desired(service("broker-mqtt")), LATER)
    assert of.tracked.retired.keys() == {"broker"}
    load(of, desired(replace(service("broker-mqtt"), endpoints=(Endpoint(protocol=Protocol.TCP),))), LATER)
    assert of.tracked.retired == {}


def test_a_preview_that_left_the_file_does_not_stay_beside_a_router_of_its_name() -> None:
    """P4, and a document never has a name twice."""
    of = state(service(preview=Router("shop-preview", "Host(`p`)", {})))
    listed(of, blue=(ONE,))
    of.services["shop"].fragment = render_service(Served(of.services["shop"].service, (), {}))
    load(of, desired(replace(service("pay"), routers=(Router("shop-preview", "Host(`x`)", {}),))), LATER)
    assert of.tracked.retired == {}


def test_a_service_that_only_the_text_has_that_traefik_applied_is_followed_and_let_go_of_with_it() -> None:
    """Rule 15: today's servers, with what was decided and published before, checked again."""
    of = state(service("shop"), service("pay"))
    listed(of, blue=(ONE,))
    of.services["shop"].published = frozenset({ONE.key})
    of.health_verdict(probe(of), HEALTHY)
    of.tracked.load(edit(of.desired, desired(service("pay"))), LATER)
    assert of.tracked.hold({"shop": service("shop"), "pay": service("pay")}, LATER) == set()
    held = of.tracked.held["shop"]
    assert of.tracked.held.keys() == {"shop"}
    assert held.published == {ONE.key}
    assert not held.probed
    assert not held.asked
    of.tracked.refresh_held(LATER)
    (again,) = held.probes
    assert of.health_verdict(again, HEALTHY).decide == {"shop"}
    assert held.probed == {ONE.key: HEALTHY}
    of.docker_service("shop", ByColour((ONE, TWO), ()), 1010.0, LATER)
    assert [one.url for one in held.observed.blue.servers] == [ONE.url, TWO.url]
    of.docker_listed({"shop": ByColour((TWO,), ())}, 1011.0, at(1011.0))
    of.tracked.refresh_held(LATER)
    assert [one.url for one in held.observed.blue.servers] == [TWO.url]
    load(of, desired(service("pay"), service("shop")), LATER)
    assert of.services["shop"] is held, "what is known of it is not forgotten when the file has it again"
    assert of.tracked.hold({}, LATER) == {"shop"}
    assert of.tracked.held == {}


def test_a_poller_was_given_a_document_twice_once_it_has_asked_again() -> None:
    """Rule 15: all pollers, or those that a Traefik may be where that is known."""
    of = state(service())
    one, other = (of.traefik.pollers.polled(_Open(), "10.0.0.1", name, NOW) for name in ("edge-1", "edge-2"))
    of.traefik.published(7, "bluegreen-000000000007", 1000.0)
    assert not of.traefik.has_fetched_twice("http://10.0.0.1:8080", 7)
    of.traefik.pollers.answered(one, 7, NOW, was_held=False)
    of.traefik.readings.is_given = True
    of.traefik.read(Reading("http://10.0.0.1:8080", "bluegreen-000000000007"), 1001.0)
    of.traefik.pollers.answered(one, 7, NOW, was_held=False)
    assert of.traefik.has_fetched_twice("http://10.0.0.1:8080", 7)
    assert not of.traefik.has_fetched_twice("http://10.0.0.2:8080", 7), "edge-2 may be this one"
    for _ in range(2):
        of.traefik.pollers.answered(other, 8, NOW, was_held=True)
    assert of.traefik.has_fetched_twice("http://10.0.0.2:8080", 7)


def test_of_services_that_left_the_file_only_those_are_remembered_that_a_traefik_may_have() -> None:
    of = state(service("shop"), service("pay"), service("cart"))
    of.tracked.load(edit(of.desired, desired(service("cart"))), LATER)
    of.tracked.keep_left({"shop"})
    assert of.tracked._left.keys() == {"shop"}
    of.tracked.keep_left(())
    assert of.tracked._left == {}
