"""What the controller knows, and which groups each input touches."""

import asyncio
from dataclasses import replace

import pytest

from provider.edit import edit, group_key
from provider.gates import assess, doubt_of
from provider.model import (
    Applied,
    ByColour,
    Colour,
    Desired,
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
from provider.readback import Reading
from provider.render import render_service
from provider.serving import serving
from provider.store import Stored, StoredServers
from provider.world import Fetched, World
from tests.worlds import BLUE, EPOCH, GREEN, at, candidate, server, service

ONE, TWO = server(1), server(2, "r2")
NOW, LATER = at(1000.0), at(1005.0)
HEALTHY = ServerHealth(Health.HEALTHY, None, EPOCH)


def fixed(*ports: int, version: str = "1") -> FixedServers:
    return FixedServers(tuple(f"http://127.0.0.1:{port}" for port in ports), version, f"r{version}")


def world(*services: Service, docker: bool = True, stored: Stored | None = None) -> World:
    made = World(stored or Stored({}, {}, {}, None, 0), docker_enabled=docker)
    if services:
        load(made, desired(*services), NOW)
        look(made, NOW)
    return made


def look(of: World, now: Instant) -> None:
    """Work out what is due, as the controller's loops do before they look at a group."""
    for key in of.members:
        of.refresh(key, now)


def load(of: World, wanted: Desired, now: Instant) -> set[str]:
    return of.load(edit(of.desired, wanted), now)


def desired(*services: Service) -> Desired:
    return Desired("production", {each.name: each for each in services})


def listed(of: World, name: str = "shop", *, blue: tuple[Server, ...] = (), green: tuple[Server, ...] = ()) -> set[str]:
    touched = of.list_docker({name: ByColour(blue, green)}, 1000.0)
    look(of, NOW)
    return touched


def probe(of: World, name: str = "shop") -> Probe:
    of.entries[name].adopt_probes()
    (only,) = of.entries[name].probes
    return only


# --- the file ------------------------------------------------------------------------------------------------------


class _Open(asyncio.BaseTransport):
    """A connection that is not closing."""

    def is_closing(self) -> bool:
        return False


def test_who_answers_and_does_not_poll_has_surely_fetched_nothing() -> None:
    """Rule 7: an API that answers need not belong to a Traefik that polls us."""
    of = World(Stored({}, {}, {}, None, 0), docker_enabled=False)
    of.published(7, "bluegreen-000000000007", 1000.0)
    of.pollers.answered(of.pollers.asked(_Open(), "10.0.0.1", "edge-1", NOW), 7, NOW, was_held=False)
    of.traefiks.is_given = True
    of.read(Reading("http://10.0.0.1:8080", "bluegreen-000000000007"), 1001.0)
    of.read(Reading("http://10.0.0.2:8080"), 1001.0)
    assert of.fetched() == Fetched(7, True, {"http://10.0.0.1:8080": NOW.mono_s}, True)


def test_who_has_fetched_the_last_document_is_asked_anew_when_there_is_another_one() -> None:
    """P2: a batch of snapshots goes on while a document is published."""
    of = world(service())
    of.published(7, "bluegreen-000000000007", 1000.0)
    of.pollers.asked(_Open(), "10.0.0.1", "edge-1", NOW).received = 7
    before = of.fetched()
    assert [one.fetched for one in of.snapshot("shop", before).members] == [True]
    of.published(8, "bluegreen-000000000008", 1001.0)
    assert [one.fetched for one in of.snapshot("shop", before).members] == [False]


@pytest.mark.parametrize("count", [3, 1200])
def test_groups_are_looked_at_in_one_order_whichever_were_touched(count: int) -> None:
    of = world(*(service(f"s{number:04}") for number in range(1500)))
    names = [f"s{number:04}" for number in range(count)]
    assert list(of.ordered({*names, "@gone"})) == ["@gone", *names]


def test_a_reload_touches_only_the_groups_of_services_that_changed() -> None:
    of = world(service(), service("pay"), service("cart", group="front"))
    kept = of.entries["pay"]
    touched = load(of, desired(service(hold=True), service("pay"), service("new")), LATER)
    assert touched == {"shop", "new", "@front"}
    assert list(of.entries) == ["new", "pay", "shop"]
    assert of.entries["pay"] is kept


def test_a_service_that_changes_its_group_touches_both() -> None:
    of = world(service(group="a"), service("pay", group="a"))
    assert load(of, desired(service(group="b"), service("pay", group="a")), LATER) == {"@a", "@b"}
    assert [one.service.name for one in of.snapshot("@a").members] == ["pay"]
    assert of.snapshot("@gone").members == ()


def test_a_snapshot_tells_which_group_a_member_left_and_which_member_left_its_rollout() -> None:
    """Rule 11: what was decided there goes along with it, and the rollout there is superseded."""
    noted = ServiceState(active=BLUE, group="a")
    left = GroupState(under_way(), paused=Pause("ann", None, EPOCH))
    of = world(service(group="b"), docker=False, stored=Stored({"shop": noted}, {"@a": left}, {}, None, 7))
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
    """Rule 12: health, what is published and when the set changed do not begin anew."""
    of = world(service())
    listed(of, blue=(ONE,))
    entry = of.entries["shop"]
    of.judge(probe(of), HEALTHY)
    entry.assess(entry.member(), NOW)
    entry.published = frozenset({ONE.key})
    before = replace(entry)
    load(of, desired(service(hold=True)), LATER)
    look(of, LATER)
    edited = of.entries["shop"]
    assert edited.service.hold
    assert (edited.observed, edited.probed, edited.health, edited.published, edited.since_utc) == (
        *(before.observed, before.probed, before.health, before.published, before.since_utc),
    )


def test_fixed_servers_take_the_place_of_those_in_docker_for_both_colours() -> None:
    of = world(service())
    listed(of, blue=(ONE,), green=(TWO,))
    load(of, desired(service(servers=ByColour(fixed(8081), None))), LATER)
    look(of, LATER)
    observed = of.entries["shop"].observed
    assert [one.url for one in observed.blue.servers] == ["http://127.0.0.1:8081"]
    assert (observed.green.known, observed.green.servers, observed.green.from_docker) == (True, (), False)
    assert observed.blue.changed_mono_s == 1005.0


def test_without_docker_a_service_without_fixed_servers_has_none() -> None:
    observed = world(service(), docker=False).entries["shop"].observed
    assert (observed.blue.known, observed.blue.servers, observed.blue.from_docker) == (True, (), False)


# --- Docker --------------------------------------------------------------------------------------------------------


def test_before_the_first_complete_list_dockers_servers_are_unknown() -> None:
    """Rule 1."""
    of = world(service())
    assert not of.entries["shop"].observed.blue.known
    assert of.list_service("shop", ByColour((ONE,), ()), 999.0, NOW) == set(), "a list of one is no complete list"
    assert not of.entries["shop"].observed.blue.known
    assert listed(of, "other") == {"shop"}
    assert of.entries["shop"].observed.blue.known


def test_a_list_touches_only_what_it_changes() -> None:
    of = world(service(), service("pay"))
    both = {"shop": ByColour((ONE,), ()), "pay": ByColour((TWO,), ())}
    assert of.list_docker(both, 1000.0) == {"shop", "pay"}
    look(of, NOW)
    assert of.list_docker(both, 1001.0) == set()
    assert of.entries["shop"].observed.blue.changed_mono_s == 1000.0
    assert of.list_service("shop", ByColour((ONE,), (server(3),)), 1002.0, LATER) == {"shop"}
    assert of.entries["shop"].observed.green.changed_mono_s == 1005.0
    assert of.entries["shop"].observed.blue.changed_mono_s == 1000.0


def test_a_list_always_touches_a_group_with_a_rollout() -> None:
    """Rule 6: the switch may wait for nothing but this list."""
    of = world(service())
    listed(of, blue=(ONE,), green=(TWO,))
    of.with_rollout.add("shop")
    assert of.list_service("shop", ByColour((ONE,), (TWO,)), 1004.0, LATER) == {"shop"}
    assert of.entries["shop"].observed.green.listed_mono_s == 1004.0
    assert of.list_docker({"shop": ByColour((ONE,), (TWO,))}, 1006.0) == {"shop"}
    look(of, LATER)
    assert of.entries["shop"].observed.green.listed_mono_s == 1006.0


def test_what_one_list_of_a_service_says_is_not_undone_by_an_older_list_of_all() -> None:
    """A complete list is worked out service by service; one may have been listed anew meanwhile."""
    of = world(service())
    listed(of, blue=(ONE,))
    of.list_docker({"shop": ByColour((ONE,), (server(3),))}, 1001.0)
    of.list_service("shop", ByColour((ONE,), (TWO,)), 1004.0, LATER)
    look(of, LATER)
    assert of.entries["shop"].observed.green.servers == (TWO,)
    assert of.entries["shop"].observed.green.listed_mono_s == 1004.0


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
def test_the_set_is_dated_anew_when_other_servers_are_in_it(after: Server, is_new_set: bool) -> None:
    """Rule 5: health is not the set."""
    of = world(service())
    listed(of, blue=(ONE,))
    assert of.list_service("shop", ByColour((after,), ()), 1004.0, LATER) == {"shop"}
    assert (of.entries["shop"].observed.blue.changed_mono_s == 1005.0) is is_new_set


@pytest.mark.parametrize("health", [Health.HEALTHY, Health.UNHEALTHY])
def test_what_was_asked_to_stop_and_still_passes_its_checks_when_its_time_is_over_returns(health: Health) -> None:
    """Rule 4: it handled the signal and lives on. One that fails its checks is on its way out, however slowly."""
    asked = replace(TWO, leaving_mono_s=1000.0)
    of = world(service())
    listed(of, blue=(ONE,), green=(asked,))
    [wanted] = [one for one in of.entries["shop"].probes if one.colour is GREEN]
    of.judge(wanted, ServerHealth(health, None, EPOCH))
    of.refresh("shop", at(1059.9))
    assert not of.entries["shop"].observed.green.staying
    of.refresh("shop", at(1060.0))
    returned = of.entries["shop"].observed.green
    assert (returned.staying == (TWO,)) is (health is Health.HEALTHY)
    assert (returned.changed_mono_s == 1060.0) is (health is Health.HEALTHY), "the gate's settle begins with it"
    of.list_service("shop", ByColour((ONE,), (asked,)), 1061.0, at(1061.0))
    assert (of.entries["shop"].observed.green.staying == (TWO,)) is (health is Health.HEALTHY), "the list knows no end"
    of.list_service("shop", ByColour((ONE,), (replace(TWO, leaving_mono_s=1070.0),)), 1070.0, at(1070.0))
    assert not of.entries["shop"].observed.green.staying, "asked once more, it leaves once more"


def test_a_container_that_is_known_by_another_id_has_that_as_a_former_one() -> None:
    """Rule 40: no container changes; what an id covers does, as with `ignoreEnv`. It stays published, too (rule 3)."""
    stored = StoredServers(ByColour((ONE,), (TWO,)), frozenset({ONE.key}))
    of = world(service(), stored=Stored({"shop": ServiceState(active=BLUE)}, {}, {"shop": stored}, None, 0))
    renamed = replace(ONE, release="n1", former=("r0",))
    for _ in range(2):  # a second list takes nothing away of it: the first may not have been decided on
        listed(of, blue=(renamed,), green=(TWO,))
        entry = of.entries["shop"]
        assert entry.observed.blue.servers[0].former == ("r0", "r1")
        assert entry.observed.green.servers[0].former == ()
        assert entry.published == {renamed.key}


BOTH_NETWORKS = (Route("a", "http://10.1.0.2:80"), Route("b", "http://10.2.0.2:80"))
GUESSED = replace(ONE, url=BOTH_NETWORKS[0].url, routes=BOTH_NETWORKS)


def guess(of: World, colour: Colour) -> tuple[str, bool]:
    """Tell where a colour's server is, and whether its checks are evidence."""
    of.refresh("shop", NOW)
    entry = of.entries["shop"]
    [one] = entry.observed[colour].servers
    return one.url, doubt_of(entry.member(), one) is None


def test_the_network_of_the_active_colour_may_be_a_guess_and_the_standbys_may_not() -> None:
    """Rules 3 and 38: the active colour is served as it stands; once it was, it is no guess when it stands by."""
    of = world(service())
    listed(of, blue=(GUESSED,))
    assert guess(of, BLUE) == ("http://10.1.0.2:80", False)
    of.adopt("shop", Plan(GroupState(), {"shop": ServiceState(active=BLUE)}))
    assert guess(of, BLUE) == ("http://10.1.0.2:80", True)
    of.entries["shop"].published = frozenset({GUESSED.key})
    routes = (Route("a", "http://10.1.0.3:80"), *BOTH_NETWORKS[1:])
    green = replace(GUESSED, container="c2", release="r2", routes=routes)
    listed(of, blue=(GUESSED,), green=(green,))
    assert guess(of, GREEN) == ("http://10.1.0.3:80", False)
    of.entries["shop"].published = frozenset()
    of.adopt("shop", Plan(GroupState(), {"shop": ServiceState(active=GREEN)}))
    assert guess(of, BLUE) == ("http://10.1.0.2:80", True), "it was served there, and is the rollback target"


def test_the_files_network_and_the_daemons_own_are_followed_at_once() -> None:
    """Rule 38."""
    of = world(service())
    listed(of, blue=(GUESSED,))
    assert of.name_networks(frozenset({"b"})) == {"shop"}
    assert guess(of, BLUE) == ("http://10.2.0.2:80", True)
    assert of.name_networks(frozenset({"b"})) == set()
    assert load(of, replace(desired(service()), docker_network="a"), LATER) == {"shop"}
    assert guess(of, BLUE) == ("http://10.1.0.2:80", True)


@pytest.mark.parametrize("health", [Health.HEALTHY, Health.UNHEALTHY])
def test_what_answers_at_an_address_of_both_colours_is_evidence_for_neither(health: Health) -> None:
    """Rule 39: not that one is well, nor that one fails; the active colour is still served."""
    of = world(service())
    listed(of, blue=(ONE,), green=(replace(TWO, url=ONE.url),))
    of.adopt("shop", Plan(GroupState(), {"shop": ServiceState(active=BLUE)}))
    for wanted in of.entries["shop"].probes:
        of.judge(wanted, ServerHealth(health, None, EPOCH))
    look(of, NOW)
    member = of.entries["shop"].member()
    found = {assess(member, server).health for _, seen in member.observed.items() for server in seen.servers}
    assert found == {Health.UNKNOWN}
    assert serving(member, BLUE) == member.observed.blue.servers


def test_services_of_labels_that_the_file_does_not_name_are_known_until_they_are_gone() -> None:
    of = world(service())
    of.list_docker({"web": ByColour((ONE,), ()), "shop": ByColour((), ())}, 1000.0)
    assert list(of.unnamed) == ["web"]
    of.list_service("web", ByColour((), ()), 1001.0, NOW)
    assert not of.unnamed


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
    of = world(service(health_check=check))
    listed(of, blue=(replace(ONE, docker_health=docker_health),))
    of.entries["shop"].adopt_probes()
    assert [one.check.mode for one in of.entries["shop"].probes] == ([mode] if mode else [])


def test_another_definition_of_the_check_voids_its_evidence_and_nothing_else() -> None:
    """Rule 12."""
    of = world(service())
    listed(of, blue=(ONE,))
    before = probe(of)
    assert of.judge(before, HEALTHY) == {"shop"}
    load(of, desired(service(health_check=HealthCheck(path="/ready", mode=ProbeMode.HTTP))), LATER)
    of.judge(before, HEALTHY)
    look(of, LATER)
    assert of.entries["shop"].probed == {}, "voided before anything is decided, which may be before the next document"
    assert of.judge(before, HEALTHY) == set(), "the old check's last word comes too late"
    assert not of.entries["shop"].adopt_probes()


def test_a_verdict_on_a_service_that_is_gone_is_dropped() -> None:
    of = world(service())
    listed(of, blue=(ONE,))
    gone = probe(of)
    load(of, desired(), LATER)
    assert of.judge(gone, HEALTHY) == set()


def test_health_is_dated_by_its_change_and_not_by_its_cause() -> None:
    of = world(service())
    listed(of, blue=(ONE,))
    entry, only = of.entries["shop"], probe(of)
    found = entry.assess(entry.member(), NOW)
    assert [(colour, one, after.health, before) for colour, one, after, before in found] == [
        (BLUE, ONE, Health.UNKNOWN, None)
    ]
    of.judge(only, ServerHealth(Health.UNHEALTHY, "refused", EPOCH))
    assert [after.health for _, _, after, _ in entry.assess(entry.member(), NOW)] == [Health.UNHEALTHY]
    of.judge(only, ServerHealth(Health.UNHEALTHY, "timed out", EPOCH))
    assert entry.assess(entry.member(), LATER) == []
    assert entry.health[ONE.key] == ServerHealth(Health.UNHEALTHY, "timed out", NOW.utc)


# --- the store -----------------------------------------------------------------------------------------------------


def under_way(phase: Phase = Phase.SHIFTING) -> Rollout:
    return Rollout("r1", phase, (candidate(),), ("shop",), Trigger.DOCKER, None, EPOCH, 5.0, 605.0)


def test_what_is_stored_stands_until_docker_answers() -> None:
    """Rules 3, 4 and 14: the last servers are served, and a rollout under way begins its phase anew."""
    stored = Stored(
        {"shop": ServiceState(active=BLUE)},
        {"shop": GroupState(rollout=under_way())},
        {"shop": StoredServers(ByColour((ONE,), (TWO,)), frozenset({ONE.key}))},
        None,
        7,
    )
    of = World(stored, docker_enabled=True)
    assert "shop" in load(of, desired(service()), NOW)
    entry = of.entries["shop"]
    assert (entry.observed.blue.known, entry.observed.blue.servers) == (True, (ONE,))
    assert entry.observed.green.listed_mono_s is None
    assert (entry.state.active, entry.published) == (BLUE, frozenset({ONE.key}))
    resumed = of.groups["shop"].rollout
    assert resumed is not None
    assert (resumed.entered_mono_s, resumed.deadline_mono_s) == (1000.0, 1600.0)
    listed(of)
    assert entry.observed.blue.servers == ()


def test_a_stored_rollout_of_a_group_that_left_the_file_is_looked_at_once() -> None:
    """Rule 12: it must be ended."""
    of = World(Stored({}, {"@front": GroupState(rollout=under_way())}, {}, None, 7), docker_enabled=False)
    assert load(of, desired(service()), NOW) == {"@front", "shop"}
    assert load(of, desired(service()), LATER) == set()
    assert of.with_rollout == {"@front"}


def test_a_decision_is_kept_for_a_service_that_left_the_file_meanwhile() -> None:
    """Rule 12: its colour is remembered."""
    of = world(service(), docker=False)
    load(of, desired(), LATER)
    of.adopt("shop", Plan(GroupState(rollouts=3), {"shop": ServiceState(active=GREEN)}))
    assert of.groups["shop"].rollouts == 3
    load(of, desired(service()), LATER)
    assert of.entries["shop"].state.active is GREEN


def test_a_snapshot_has_the_members_of_its_group_by_name() -> None:
    of = world(service(group="front"), service("pay", group="front"), service("cart"))
    of.docker.connected = True
    found = of.snapshot("@front")
    assert [one.service.name for one in found.members] == ["pay", "shop"]
    assert found.docker_connected
    assert {colour for one in found.members for colour, _ in one.observed.items()} == set(Colour)


def test_a_snapshot_tells_what_traefik_shows_before_a_rollout_begins() -> None:
    """Rule 7: one that begins may switch at once, and its errors are compared with those of before."""
    of = world(service())
    of.traefiks.expect(("http://traefik:8080",))
    (member,) = of.snapshot("shop").members
    assert member.applied == (Applied("http://traefik:8080", answers=False),)


def test_a_colour_that_is_not_known_is_not_stored_as_one_without_servers() -> None:
    """Rule 1: the next start would decide first sight by it, before Docker's first list."""
    of = world(service())
    assert of.stored_servers(["shop"]) == {}
    listed(of, blue=(ONE,))
    assert of.stored_servers(["shop"])["shop"].colours.blue == (ONE,)


def test_a_service_that_left_the_file_stays_unless_its_names_are_given_anew() -> None:
    """P4, and a document never has a name twice."""
    of = world(service())
    listed(of, blue=(ONE,))
    of.entries["shop"].fragment = render_service(Served(of.entries["shop"].service, (), {}))
    other = service("pay")
    load(of, desired(other), LATER)
    assert of.retired.keys() == {"shop"}
    load(of, desired(replace(other, routers=(Router("shop", "Host(`x`)", {}),))), LATER)
    assert of.retired == {}


def test_a_preview_that_left_the_file_does_not_stay_beside_a_router_of_its_name() -> None:
    """P4, and a document never has a name twice."""
    of = world(service(preview=Router("shop-preview", "Host(`p`)", {})))
    listed(of, blue=(ONE,))
    of.entries["shop"].fragment = render_service(Served(of.entries["shop"].service, (), {}))
    load(of, desired(replace(service("pay"), routers=(Router("shop-preview", "Host(`x`)", {}),))), LATER)
    assert of.retired == {}


def test_a_service_that_only_the_text_has_that_traefik_applied_is_followed_and_let_go_of_with_it() -> None:
    """Rule 15: today's servers, with what was decided and published before, checked anew."""
    of = world(service("shop"), service("pay"))
    listed(of, blue=(ONE,))
    of.entries["shop"].published = frozenset({ONE.key})
    of.judge(probe(of), HEALTHY)
    load(of, desired(service("pay")), LATER)
    assert of.hold({"shop": service("shop"), "pay": service("pay")}, LATER) == set()
    held = of.held["shop"]
    assert of.held.keys() == {"shop"}
    assert held.published == {ONE.key}
    assert not held.probed
    assert not held.asked
    of.refresh_held(LATER)
    (again,) = held.probes
    assert of.judge(again, HEALTHY) == {"shop"}
    assert held.probed == {ONE.key: HEALTHY}
    of.list_service("shop", ByColour((ONE, TWO), ()), 1010.0, LATER)
    assert [one.url for one in held.observed.blue.servers] == [ONE.url, TWO.url]
    of.list_docker({"shop": ByColour((TWO,), ())}, 1011.0)
    of.refresh_held(LATER)
    assert [one.url for one in held.observed.blue.servers] == [TWO.url]
    load(of, desired(service("pay"), service("shop")), LATER)
    assert of.entries["shop"] is held, "what is known of it is not forgotten when the file has it again"
    assert of.hold({}, LATER) == {"shop"}
    assert of.held == {}


def test_a_poller_was_given_a_document_twice_once_it_has_asked_again() -> None:
    """Rule 15: all pollers, or those that a Traefik may be where that is known."""
    of = world(service())
    one, other = (of.pollers.asked(_Open(), "10.0.0.1", name, NOW) for name in ("edge-1", "edge-2"))
    of.published(7, "bluegreen-000000000007", 1000.0)
    assert not of.has_fetched_twice("http://10.0.0.1:8080", 7)
    of.pollers.answered(one, 7, NOW, was_held=False)
    of.traefiks.is_given = True
    of.read(Reading("http://10.0.0.1:8080", "bluegreen-000000000007"), 1001.0)
    of.pollers.answered(one, 7, NOW, was_held=False)
    assert of.has_fetched_twice("http://10.0.0.1:8080", 7)
    assert not of.has_fetched_twice("http://10.0.0.2:8080", 7), "edge-2 may be this one"
    for _ in range(2):
        of.pollers.answered(other, 8, NOW, was_held=True)
    assert of.has_fetched_twice("http://10.0.0.2:8080", 7)


def test_of_services_that_left_the_file_only_those_are_remembered_that_a_traefik_may_have() -> None:
    of = world(service("shop"), service("pay"), service("cart"))
    load(of, desired(service("cart")), LATER)
    of.keep_left({"shop"})
    assert of._left.keys() == {"shop"}
    of.keep_left(())
    assert of._left == {}
