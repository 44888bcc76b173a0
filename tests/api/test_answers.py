"""What the admin API and Prometheus read of the controller's state."""

import asyncio
from dataclasses import replace

import orjson

from provider.api import answers as report
from provider.api import scrape
from provider.config.diff import edit
from provider.controller.state import State
from provider.model import (
    ByColour,
    Candidate,
    Condition,
    ConditionCode,
    Desired,
    GroupState,
    Health,
    Instant,
    Outcome,
    Override,
    Pause,
    Phase,
    Plan,
    Quarantine,
    RollbackTarget,
    Rollout,
    Server,
    ServerHealth,
    ServiceState,
    Severity,
    Trigger,
)
from provider.model.dates import time_status
from provider.observability.active_conditions import Conditions
from provider.observability.metrics import ServiceReading
from provider.store import Stored
from tests.support.worlds import BLUE, EPOCH, GREEN, all_on, at, server, service


def load(of: State, wanted: Desired, now: Instant) -> None:
    of.load(edit(of.desired, wanted), str(wanted), now)


class Open(asyncio.BaseTransport):
    """A connection that is not closing."""

    def is_closing(self) -> bool:
        return False


ONE, TWO = server(1), server(2, "r2")
NOW = at()


def state() -> State:
    """Two services in Docker; the shop's blue is active, with one of two servers healthy."""
    made = State(Stored({}, {}, {}, None, 0), docker_enabled=True)
    load(made, Desired("production", {"shop": service(), "pay": service("pay")}), NOW)
    made.docker_listed({"shop": ByColour((ONE, TWO), ()), "web": ByColour((TWO,), ())}, 1000.0, at(1000.0))
    made.tracked.refresh("shop", NOW)
    shop = made.services["shop"]
    shop.state = ServiceState(active=BLUE, switched_utc=EPOCH)
    shop.health = {ONE.key: ServerHealth(Health.HEALTHY, None, EPOCH)}
    return made


def rollout(phase: Phase, deadline_mono_s: float) -> Rollout:
    """A rollout of the shop's green."""
    return Rollout(
        id="r1",
        phase=phase,
        candidates=(Candidate("shop", GREEN, "r2"),),
        members=("shop",),
        trigger=Trigger.DOCKER,
        actor=None,
        since_utc=EPOCH,
        entered_mono_s=NOW.mono_s,
        deadline_mono_s=deadline_mono_s,
    )


async def test_prometheus_scrapes_weights_health_and_phase_of_every_service() -> None:
    readings = {one.service: one for one in await scrape.Readings(state()).read(NOW)}
    assert readings["shop"] == ServiceReading(
        service="shop",
        active=BLUE,
        desired=BLUE,
        weights={BLUE: 100},
        phase=Phase.STEADY,
        rollback_ready=False,
        confirmed=False,
        override_since_s=None,
        way_back_lost=False,
        quarantined=False,
        servers={(BLUE, Health.HEALTHY): 1, (BLUE, Health.UNKNOWN): 1},
        last_switch_s=EPOCH.timestamp(),
    )
    undecided = readings["pay"]
    assert (undecided.active, undecided.desired, undecided.weights, undecided.last_switch_s) == (None, None, {}, None)


async def test_services_are_reported_one_by_one_and_all_together_alike() -> None:
    of, conditions = state(), Conditions()
    conditions.put(Condition(ConditionCode.DOCKER_AWAY, Severity.WARNING, "Docker does not answer", EPOCH))
    of.traefik.revision = 42
    pieces = [piece async for piece in report.services(of, conditions, NOW)]
    everything = orjson.loads(b"".join(pieces))
    answers, everything["services"] = everything["services"], []
    assert everything == orjson.loads(report.json(report.overview(of, conditions)))
    assert [answer["service"] for answer in answers] == ["pay", "shop"]
    for answer in answers:
        assert answer == orjson.loads(report.json(report.service(of, conditions, answer["service"], NOW)))
        assert (answer["environment"], answer["revision"]) == ("production", 42)
        assert "docker-away" in str(answer["conditions"])
    assert report.service(of, conditions, "web", NOW) is None


async def test_many_services_come_in_pieces_and_none_at_all_are_an_empty_list() -> None:
    of = state()
    many = {f"s{number:04}": service(f"s{number:04}") for number in range(500)}
    load(of, Desired("production", many), NOW)
    pieces = [piece async for piece in report.services(of, Conditions(), NOW)]
    assert len(pieces) > 2
    assert [one["service"] for one in orjson.loads(b"".join(pieces))["services"]] == list(many)
    load(of, Desired("production", {}), NOW)
    assert orjson.loads(b"".join([piece async for piece in report.services(of, Conditions(), NOW)]))["services"] == []


async def test_a_service_that_leaves_the_file_while_all_are_read_is_left_out() -> None:
    of = state()
    many = {f"s{number:04}": service(f"s{number:04}") for number in range(5000)}
    load(of, Desired("production", many), NOW)
    reading = asyncio.create_task(scrape.Readings(of).read(NOW))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not reading.done()
    load(of, Desired("production", {name: many[name] for name in list(many)[:-1]}), NOW)
    assert [one.service for one in await reading] == list(many)[:-1]


async def test_a_reading_follows_every_change_from_scrape_to_scrape() -> None:
    of = state()
    readings = scrape.Readings(of)

    async def shop() -> ServiceReading:
        return next(one for one in await readings.read(NOW) if one.service == "shop")

    first = await shop()
    assert await shop() is first, "nothing has changed"
    tracked = of.services["shop"]
    tracked.state = replace(tracked.state, active=GREEN)
    assert (await shop()).active is GREEN
    tracked.health = {}
    assert (await shop()).servers == {(BLUE, Health.UNKNOWN): 2}
    tracked.shown = all_on(GREEN)
    assert not (await shop()).confirmed
    of.traefik.pollers.polled(Open(), "10.0.0.1", "edge-1", NOW)
    of.traefik.revision = 0
    assert (await shop()).confirmed, "what the Traefiks have is asked each time"
    of.groups["shop"] = GroupState(paused=Pause("ann", None, EPOCH))
    of.docker_listed({"shop": ByColour((), (TWO,))}, 1001.0, at(1001.0))
    of.tracked.refresh("shop", NOW)
    assert (await shop()).servers == {(GREEN, Health.UNKNOWN): 1}


def test_who_polls_is_reported_with_what_it_has_and_when_it_last_asked() -> None:
    """Rule 16."""
    of = state()
    of.traefik.revision = 7
    for name, revision in (("edge-1", 7), ("edge-2", 6)):
        of.traefik.pollers.polled(Open(), "10.0.0.1", name, NOW).received = revision
    assert report.overview(of, Conditions())["pollers"] == [
        {"poller": "edge-1", "revision": 7, "current": True, "last_poll": time_status(NOW.utc), "replica": None},
        {"poller": "edge-2", "revision": 6, "current": False, "last_poll": time_status(NOW.utc), "replica": None},
    ]


def test_what_holds_for_the_whole_daemon_names_services_that_the_file_does_not() -> None:
    conditions = Conditions()
    conditions.put(Condition(ConditionCode.NOT_IN_FILE, Severity.WARNING, "web", EPOCH))
    assert dict(report.overview(state(), conditions)) == {
        "environment": "production",
        "revision": None,
        "docker": {"enabled": True, "connected": False},
        "pollers": [],
        "replicas": [],
        "unnamed": ["web"],
        "conditions": [
            {"code": "not-in-file", "severity": "warning", "message": "web", "since": "2026-01-01T00:00:00.000Z"}
        ],
        "services": [],
    }
    empty = State(Stored({}, {}, {}, None, 0), docker_enabled=False)
    assert report.overview(empty, Conditions())["environment"] is None


async def test_the_rollback_target_is_reported_to_prometheus_as_in_the_status() -> None:
    of = state()
    of.docker.connected = True
    of.docker_listed({"shop": ByColour((ONE,), (TWO,))}, 1001.0, at(1001.0))
    of.tracked.refresh("shop", NOW)
    shop = of.services["shop"]
    for probe in shop.probes:
        of.health_verdict(probe, ServerHealth(Health.HEALTHY, None, EPOCH))
    shop.state = replace(shop.state, rollback_target=RollbackTarget(GREEN, "r2"))
    (_, reading) = await scrape.Readings(of).read(NOW)
    assert reading.rollback_ready


async def test_the_deadline_of_a_phase_is_reported_while_it_runs_and_an_approval_may_wait_long() -> None:
    of = state()
    readings = scrape.Readings(of)
    one = rollout(Phase.APPROVAL, deadline_mono_s=NOW.mono_s + 86400.0)

    async def deadline_s(group: GroupState, now: Instant = NOW) -> float | None:
        of.adopt("shop", Plan(group, {}, ()))
        (pay, shop) = await readings.read(now)
        assert pay.deadline_s is None
        return shop.deadline_s

    assert await deadline_s(GroupState(rollout=one)) == NOW.utc.timestamp() + 86400
    assert await deadline_s(GroupState(rollout=one), at(NOW.mono_s + 500)) == NOW.utc.timestamp() + 86400
    assert await deadline_s(GroupState(rollout=replace(one, deadline_mono_s=None))) is None, "it is held"
    assert await deadline_s(GroupState()) is None


async def test_a_requested_release_that_failed_is_reported_until_another_is_requested() -> None:
    of = state()
    readings = scrape.Readings(of)
    failed = Quarantine((Candidate("shop", GREEN, "r2"),), Outcome.EXPIRED, "r1", EPOCH)

    async def quarantined(*green: Server, group: GroupState) -> bool:
        of.docker_listed({"shop": ByColour((ONE,), green)}, 1001.0, at(1001.0))
        of.tracked.refresh("shop", NOW)
        of.groups["shop"] = group
        (_, shop) = await readings.read(NOW)
        return shop.quarantined

    assert not await quarantined(TWO, group=GroupState())
    assert await quarantined(TWO, group=GroupState(quarantined=(failed,)))
    assert not await quarantined(server(3, "r3"), group=GroupState(quarantined=(failed,)))
    assert not await quarantined(group=GroupState(quarantined=(failed,))), "nothing stands by"


async def test_an_override_is_reported_with_its_date_and_a_lost_rollback_target_with_its_loss() -> None:
    of = state()
    shop, readings = of.services["shop"], scrape.Readings(of)
    (_, before) = await readings.read(NOW)
    assert (before.override_since_s, before.way_back_lost) == (None, False)
    override, back = Override(BLUE, "r2", "too slow", "ann", EPOCH), RollbackTarget(GREEN, "r2")
    shop.state = replace(shop.state, override=override, rollback_target=back)
    (_, there) = await readings.read(NOW)
    assert (there.override_since_s, there.way_back_lost) == (EPOCH.timestamp(), False)
    shop.state = replace(shop.state, rollback_target=replace(back, lost="green has no servers any more"))
    (_, stopped) = await readings.read(NOW)
    assert not stopped.way_back_lost, "that is how a release goes"
    of.groups["shop"] = GroupState(rollout=rollout(Phase.WATCHING, 1100.0))
    (_, lost) = await readings.read(NOW)
    assert lost.way_back_lost
