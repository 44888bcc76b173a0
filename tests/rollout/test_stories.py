"""Whole stories, each interrupted after every step it takes: it must end as it does without."""

import os
from dataclasses import replace
from functools import partial
from operator import methodcaller
from typing import Any

import pytest
from hypothesis import HealthCheck as Check
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from provider.model import (
    Affinity,
    ByColour,
    Canary,
    Colour,
    Deadlines,
    FixedServers,
    SmokeTest,
    Step,
    Verb,
    Wish,
)
from provider.model.desired import group_key
from tests.support.worlds import BLUE, DEADLINE_S, GREEN, Input, Player, World, service

EXAMPLES = int(os.environ.get("BLUEGREEN_EXAMPLES", "150"))  # as in test_properties
DERANDOMIZED = "BLUEGREEN_EXAMPLES" not in os.environ

HOME, SEARCH = SmokeTest("home"), SmokeTest("search", path="/search")
PATIENT = Deadlines(waiting_s=DEADLINE_S, testing_s=DEADLINE_S, approval_s=DEADLINE_S, step_s=DEADLINE_S)
STEPS = Canary((Step(5, 250.0), Step(25), Step(50, 250.0)))
ASKED = Canary((Step(10, 50.0, approval_is_manual=True), Step(60, 250.0)))
SESSIONS = {"cookie": {"name": "shop"}}


def write(name: str = "shop", **fields: Any) -> Input:
    return methodcaller("write", service(name, **{"deadlines": PATIENT, **fields}))


def edit(name: str = "shop", **fields: Any) -> Input:
    return methodcaller("edit", name, **fields)


def deploy(release: str, colour: Colour = GREEN, name: str = "shop", count: int = 1) -> Input:
    return methodcaller("replace_all", name, colour, release, count)


def fixed(version: str) -> ByColour[FixedServers | None]:
    return ByColour(
        FixedServers(("http://127.0.0.1:1",), "r1", "r1"), FixedServers(("http://127.0.0.1:2",), version, version)
    )


BLUE_RUNS = (write(), deploy("r1", BLUE), World.connect)
GROUP_RUNS = (
    *(step for name in ("pay", "shop") for step in (write(name, group="storefront"), deploy("r1", BLUE, name))),
    World.connect,
)


def commands(verb: Verb, name: str = "shop", **fields: Any) -> Input:
    return methodcaller("command", verb, name, **fields)


def let(**releases: str) -> Input:
    """Let these releases, written with blanks between them, be as named."""
    return methodcaller("let", **{how: frozenset(which.split()) for how, which in releases.items()})


def traefik(**fields: object) -> Input:
    return methodcaller("set_traefik", "t1", **fields)


def time_goes_by(world: World) -> None:
    """Nothing happens but what happens by itself."""


TESTED_AND_APPROVED = (write(smoke_tests=(HOME,), approval_is_manual=True), deploy("r1", BLUE), World.connect)
TESTED = (write(smoke_tests=(HOME,)), deploy("r1", BLUE), World.connect)
READ_BACK = methodcaller("let", has_apis=True)
GREENS = frozenset({"shop-green"})
WATCHED_RUNS = (write(watch_s=150.0), deploy("r1", BLUE), World.connect)
WATCHED_GROUP = (
    *(
        step
        for name in ("pay", "shop")
        for step in (
            write(name, group="storefront", watch_s=150.0),
            deploy("r1", BLUE, name),
        )
    ),
    World.connect,
)

IN_STEPS = (write(canary=STEPS, watch_s=150.0), deploy("r1", BLUE), World.connect)
GROUP_IN_STEPS = (
    *(
        step
        for name in ("pay", "shop")
        for step in (write(name, group="storefront", canary=STEPS, watch_s=150.0), deploy("r1", BLUE, name))
    ),
    World.connect,
)

STORIES: dict[str, tuple[Input, ...]] = {
    "a release goes live": (*BLUE_RUNS, deploy("r2", count=2)),
    "back and forth by auto": (*BLUE_RUNS, deploy("r2"), deploy("r3", BLUE), deploy("r4")),
    "a sick release expires, the next one goes live": (*BLUE_RUNS, let(sick="r2"), deploy("r2"), deploy("r3")),
    "a sick release is quarantined, then named": (
        *BLUE_RUNS,
        let(sick="r2"),
        deploy("r2"),
        methodcaller("passes", 2 * DEADLINE_S),
        let(sick=""),
        edit(active=Wish.GREEN),
    ),
    "named before it runs": (*BLUE_RUNS, edit(active=Wish.GREEN), deploy("r2"), edit(active=Wish.BLUE)),
    "named and taken back": (*BLUE_RUNS, edit(active=Wish.GREEN), edit(active=Wish.AUTO), deploy("r2")),
    "held on the way": (*BLUE_RUNS, edit(hold=True), deploy("r2"), edit(hold=False)),
    "replaced in place": (*BLUE_RUNS, deploy("r5", BLUE), deploy("r2"), deploy("r6")),
    "mixed, then uniform": (*BLUE_RUNS, deploy("r2"), methodcaller("start", "shop", GREEN, "r3"), deploy("r3")),
    "Docker goes away": (*BLUE_RUNS, World.disconnect, deploy("r2"), World.connect),
    "removed and written again": (
        *BLUE_RUNS,
        let(sick="r2"),
        deploy("r2"),
        methodcaller("remove", "shop"),
        let(sick=""),
        write(),
        deploy("r3"),
    ),
    "initial with both": (write(initial=GREEN), deploy("r1", BLUE), deploy("r2"), World.connect, deploy("r3", BLUE)),
    "undecided until the file names one": (
        write(),
        deploy("r1", BLUE),
        deploy("r2"),
        World.connect,
        methodcaller("stop_all", "shop", BLUE),
        edit(initial=BLUE),
    ),
    "fixed servers": (write(servers=fixed("r1"), initial=BLUE), edit(servers=fixed("r2"))),
    "a group together": (*GROUP_RUNS, edit(hold=True), deploy("r2"), deploy("r2", name="pay"), edit(hold=False)),
    "a group with one sick member": (
        *GROUP_RUNS,
        let(sick="r2"),
        deploy("r2"),
        deploy("r3", name="pay"),
        deploy("r4"),
    ),
    "a group that is left": (
        *GROUP_RUNS,
        let(sick="r2"),
        deploy("r2"),
        deploy("r3", name="pay"),
        edit("pay", group=None),
    ),
    "tested, approved, switched": (
        *TESTED_AND_APPROVED,
        deploy("r2"),
        commands(Verb.APPROVE, release="r2"),
        deploy("r3", BLUE),
    ),
    "a smoke test fails, and is tried again": (
        *TESTED_AND_APPROVED,
        let(broken="r2"),
        deploy("r2"),
        let(broken=""),
        commands(Verb.RETRY),
        commands(Verb.APPROVE, release="r2"),
    ),
    "aborted, then named": (*TESTED_AND_APPROVED, deploy("r2"), commands(Verb.ABORT), edit(active=Wish.GREEN)),
    "aborted, then another release": (*BLUE_RUNS, let(sick="r2"), deploy("r2"), commands(Verb.ABORT), deploy("r3")),
    "forced in spite of all": (
        *TESTED_AND_APPROVED,
        let(sick="r2"),
        deploy("r2"),
        commands(Verb.SWITCH, colour=GREEN, force=True, reason="it burns"),
    ),
    "rolled back in the watch": (*WATCHED_RUNS, deploy("r2"), commands(Verb.ROLLBACK, leaving="r2"), time_goes_by),
    "rolled back by two, then tried again": (
        *BLUE_RUNS,
        deploy("r2"),
        commands(Verb.ROLLBACK, leaving="r2"),
        commands(Verb.ROLLBACK, leaving="r2"),
        commands(Verb.RETRY),
    ),
    "fails its watch": (*WATCHED_RUNS, deploy("r2"), let(sick="r2"), time_goes_by, time_goes_by),
    "fails its watch, and so does the rollback target": (*WATCHED_RUNS, deploy("r2"), let(sick="r1 r2"), time_goes_by),
    "replaced while it is watched": (*WATCHED_RUNS, deploy("r2"), deploy("r9"), time_goes_by),
    "the other colour is named while it is watched": (*WATCHED_RUNS, deploy("r2"), edit(active=Wish.BLUE)),
    "switched back and forth against the file": (
        *BLUE_RUNS,
        edit(active=Wish.BLUE),
        deploy("r2"),
        commands(Verb.SWITCH, colour=GREEN),
        edit(active=Wish.AUTO),
        commands(Verb.SWITCH, colour=BLUE),
    ),
    "paused, then resumed": (*BLUE_RUNS, commands(Verb.PAUSE), deploy("r2"), commands(Verb.RESUME)),
    "undecided until a command names one": (
        write(),
        deploy("r1", BLUE),
        deploy("r2"),
        World.connect,
        commands(Verb.SWITCH, colour=GREEN),
    ),
    "a group that fails its watch": (
        *WATCHED_GROUP,
        edit(hold=True),
        deploy("r2"),
        deploy("r3", name="pay"),
        edit(hold=False),
        let(sick="r2"),
        time_goes_by,
        time_goes_by,
    ),
    "a group rolled back by one of its members": (
        *GROUP_RUNS,
        edit(hold=True),
        deploy("r2"),
        deploy("r3", name="pay"),
        edit(hold=False),
        time_goes_by,
        commands(Verb.ROLLBACK, "pay", leaving="r3"),
    ),
    "smoke tests that bring no evidence": (*TESTED, let(silent="r2"), deploy("r2")),
    "smoke tests that bring evidence at last": (*TESTED, let(silent="r2"), deploy("r2"), let(silent="")),
    "other smoke tests while it waits for approval": (
        *TESTED_AND_APPROVED,
        deploy("r2"),
        let(broken="r2"),
        edit(smoke_tests=(HOME, SEARCH)),
    ),
    "the approval is not asked for any more": (*TESTED_AND_APPROVED, deploy("r2"), edit(approval_is_manual=False)),
    "approved too late": (
        *TESTED_AND_APPROVED,
        deploy("r2"),
        deploy("r3"),
        commands(Verb.APPROVE, release="r2"),
        methodcaller("passes", 2 * DEADLINE_S),
        commands(Verb.APPROVE, release="r3"),
    ),
    "held while it waits for approval": (
        *TESTED_AND_APPROVED,
        deploy("r2"),
        edit(hold=True),
        commands(Verb.APPROVE, release="r2"),
        edit(hold=False),
    ),
    "paused while it is tested": (
        *TESTED,
        let(silent="r2"),
        deploy("r2"),
        commands(Verb.PAUSE),
        let(silent=""),
        commands(Verb.RESUME),
    ),
    "held for long while it is tested once more": (
        *TESTED_AND_APPROVED,
        deploy("r2"),
        let(silent="r2"),
        edit(smoke_tests=(HOME, SEARCH)),
        edit(hold=True),
        methodcaller("passes", 2 * DEADLINE_S),
        edit(hold=False),
        let(silent=""),
        commands(Verb.APPROVE, release="r2"),
    ),
    "Traefik confirms": (READ_BACK, *WATCHED_RUNS, deploy("r2")),
    "Traefik refuses what it is shown": (READ_BACK, *WATCHED_RUNS, traefik(dislikes=GREENS), deploy("r2")),
    "Traefik complained before": (READ_BACK, *WATCHED_RUNS, traefik(dislikes=frozenset({"shop"})), deploy("r2")),
    "Traefik keeps the old weights": (READ_BACK, *WATCHED_RUNS, traefik(applies=False), deploy("r2"), time_goes_by),
    "Traefik's API does not answer": (READ_BACK, *WATCHED_RUNS, traefik(answers=False), deploy("r2"), time_goes_by),
    "nobody polls": (READ_BACK, *BLUE_RUNS, traefik(polls=False), deploy("r2"), time_goes_by),
    "fails under traffic, and the next release does not": (
        *WATCHED_RUNS,
        let(frail="r2"),
        deploy("r2"),
        deploy("r3"),
    ),
    "loses its containers while it is watched": (*WATCHED_RUNS, deploy("r2"), methodcaller("stop_all", "shop", GREEN)),
    "fails its watch, and the rollback target is gone": (
        *WATCHED_RUNS,
        deploy("r2"),
        methodcaller("stop_all", "shop", BLUE),
        let(sick="r2"),
        time_goes_by,
    ),
    "an outage that both colours share, and only one survives": (
        READ_BACK,
        write(watch_s=350.0),
        *BLUE_RUNS[1:],
        deploy("r2"),
        let(sick="r1 r2"),
        let(sick="r2"),
    ),
    "forced, and fails": (
        *WATCHED_RUNS,
        let(sick="r2"),
        deploy("r2"),
        commands(Verb.SWITCH, colour=GREEN, force=True, reason="it burns"),
        time_goes_by,
    ),
    "Docker is away while it is watched": (*WATCHED_RUNS, deploy("r2"), World.disconnect, time_goes_by, World.connect),
    "removed while it is watched": (
        *WATCHED_RUNS,
        deploy("r2"),
        methodcaller("remove", "shop"),
        write(),
        deploy("r3", BLUE),
    ),
    "another group while it is watched": (*WATCHED_RUNS, deploy("r2"), edit(group="storefront"), time_goes_by),
    "another group while it waits for approval": (
        *TESTED_AND_APPROVED,
        deploy("r2"),
        edit(group="storefront"),
        commands(Verb.APPROVE, release="r2"),
    ),
    "paused, then in another group": (
        *BLUE_RUNS,
        *(write("pay", group="storefront"), deploy("r1", BLUE, "pay")),
        commands(Verb.PAUSE),
        edit(group="storefront"),
        deploy("r2"),
        edit(group="checkout"),
        deploy("r2", name="pay"),
    ),
    "failed, then in another group and back": (
        *TESTED,
        let(broken="r2"),
        deploy("r2"),
        let(broken=""),
        edit(group="storefront"),
        edit(group=None),
    ),
    "aborted after the switch": (*WATCHED_RUNS, deploy("r2"), commands(Verb.ABORT), deploy("r3")),
    "what failed in place of the candidate is quarantined too": (
        *WATCHED_RUNS,
        deploy("r2"),
        deploy("r9"),
        commands(Verb.ROLLBACK),
        commands(Verb.ROLLBACK),
    ),
    "in steps": (*IN_STEPS, deploy("r2", count=2), time_goes_by),
    "in steps, confirmed by Traefik": (READ_BACK, *IN_STEPS, deploy("r2"), time_goes_by, time_goes_by),
    "in steps there and back, clients kept by a cookie": (
        *(write(canary=replace(STEPS, affinity=Affinity.COOKIE)), *IN_STEPS[1:]),
        *(deploy("r2"), time_goes_by, time_goes_by, time_goes_by),
        deploy("r3", BLUE),
    ),
    "in steps with sessions, rolled back, and again": (
        *(write(canary=STEPS, sticky=SESSIONS), *IN_STEPS[1:]),
        *(deploy("r2"), *(time_goes_by,) * 5),
        commands(Verb.ROLLBACK, leaving="r2"),
        deploy("r3"),
    ),
    "in steps that are approved": (
        *(write(canary=ASKED), *IN_STEPS[1:]),
        deploy("r2"),
        commands(Verb.APPROVE, release="r2", step=1),
        time_goes_by,
    ),
    "in steps, and approved too late": (
        *(write(canary=ASKED), *IN_STEPS[1:]),
        *(deploy("r2"), time_goes_by),
        methodcaller("passes", 2 * DEADLINE_S),
        commands(Verb.APPROVE, release="r2", step=1),
    ),
    "in steps, and paused while one waits for its approval": (
        *(write(canary=ASKED), *IN_STEPS[1:]),
        *(deploy("r2"), time_goes_by),
        commands(Verb.PAUSE),
        methodcaller("passes", 2 * DEADLINE_S),
        commands(Verb.RESUME),
        commands(Verb.APPROVE, release="r2", step=1),
    ),
    "in steps, and held for long": (
        *(*IN_STEPS, deploy("r2"), edit(hold=True)),
        methodcaller("passes", 3 * DEADLINE_S),
        edit(hold=False),
    ),
    "in steps, aborted": (*IN_STEPS, deploy("r2"), time_goes_by, commands(Verb.ABORT), deploy("r3")),
    "in steps, rolled back, then tried again": (
        *(*IN_STEPS, deploy("r2")),
        commands(Verb.ROLLBACK, leaving="r2"),
        commands(Verb.RETRY),
    ),
    "in steps, one promoted": (*IN_STEPS, deploy("r2"), commands(Verb.PROMOTE, step=1), time_goes_by),
    "in steps, all promoted": (*IN_STEPS, deploy("r2"), commands(Verb.PROMOTE, full=True)),
    "in steps, promoted past what they ask for": (
        *(write(canary=ASKED), *IN_STEPS[1:]),
        *(deploy("r2"), commands(Verb.PROMOTE, full=True), time_goes_by),
        commands(Verb.PROMOTE, full=True, force=True, reason="it must"),
    ),
    "in steps, the file names the active colour": (*IN_STEPS, deploy("r2"), time_goes_by, edit(active=Wish.BLUE)),
    "in steps, switched by force": (
        *(*IN_STEPS, deploy("r2")),
        commands(Verb.SWITCH, colour=GREEN, force=True, reason="it must"),
    ),
    "in steps, superseded": (*IN_STEPS, deploy("r2"), time_goes_by, deploy("r3")),
    "in steps that the file changes": (*IN_STEPS, deploy("r2"), edit(canary=None), time_goes_by, deploy("r3", BLUE)),
    "in steps, the active colour replaced in place": (*IN_STEPS, deploy("r2"), time_goes_by, deploy("r5", BLUE)),
    "in steps, fails under traffic": (*IN_STEPS, let(frail="r2"), deploy("r2"), deploy("r3")),
    "in steps, fails late": (*IN_STEPS, deploy("r2"), time_goes_by, let(sick="r2"), time_goes_by),
    "in steps, an outage that both colours share": (
        *(*IN_STEPS, deploy("r2"), time_goes_by, let(sick="r1 r2")),
        methodcaller("passes", 3 * DEADLINE_S),
        let(),
        let(sick=""),
    ),
    "in steps, the active colour fails": (*IN_STEPS, deploy("r2"), time_goes_by, let(sick="r1"), time_goes_by),
    "in steps, loses its containers": (*IN_STEPS, deploy("r2"), time_goes_by, methodcaller("stop_all", "shop", GREEN)),
    "in steps, the active colour loses its containers": (
        *(*IN_STEPS, deploy("r2"), time_goes_by),
        methodcaller("stop_all", "shop", BLUE),
    ),
    "in steps, Docker is away for long": (
        *(*IN_STEPS, deploy("r2"), World.disconnect),
        methodcaller("passes", 3 * DEADLINE_S),
        World.connect,
    ),
    "in steps, Traefik refuses one": (
        *(READ_BACK, *IN_STEPS),
        *(traefik(dislikes=GREENS), deploy("r2"), time_goes_by),
    ),
    "in steps, nobody polls": (READ_BACK, *IN_STEPS, traefik(polls=False), deploy("r2"), time_goes_by),
    "in steps, Traefik's API does not answer": (READ_BACK, *IN_STEPS, traefik(answers=False), deploy("r2")),
    "in steps, removed and written again": (
        *(*IN_STEPS, deploy("r2"), time_goes_by),
        methodcaller("remove", "shop"),
        *(write(canary=STEPS), deploy("r3")),
    ),
    "in steps, moved to another group": (*IN_STEPS, deploy("r2"), edit(group="storefront"), time_goes_by),
    "a group in steps": (
        *(*GROUP_IN_STEPS, edit(hold=True), deploy("r2"), deploy("r3", name="pay"), edit(hold=False)),
        *(time_goes_by,) * 3,
    ),
    "a group in steps, one of its members fails": (
        *(*GROUP_IN_STEPS, edit(hold=True), deploy("r2"), deploy("r3", name="pay"), edit(hold=False)),
        let(sick="r3"),
    ),
    "in steps with smoke tests that change meanwhile": (
        write(canary=STEPS, smoke_tests=(HOME,)),
        *IN_STEPS[1:],
        deploy("r2"),
        edit(smoke_tests=(HOME, SEARCH)),
        time_goes_by,
    ),
    "in steps of a release that must be approved": (
        write(canary=STEPS, approval_is_manual=True),
        *IN_STEPS[1:],
        deploy("r2"),
        commands(Verb.APPROVE, release="r2"),
        time_goes_by,
    ),
    "rolled back without the health of the rollback target": (
        *BLUE_RUNS,
        deploy("r2"),
        let(sick="r1 r2"),
        commands(Verb.ROLLBACK),
        commands(Verb.ROLLBACK, force=True, reason="it must"),
    ),
}


OF_ONE_PROCESS = {"Traefik keeps the old weights"}
"""That a Traefik fetched a document and does not show it is known to the process that gave it (rule 7)."""


@pytest.mark.parametrize("name", sorted(STORIES.keys() - OF_ONE_PROCESS))
def test_a_story_interrupted_after_any_step_ends_as_the_uninterrupted_one(name: str) -> None:
    """P5."""
    story = STORIES[name]
    whole = Player(kill_after=None).play(story)
    assert whole.steps > 0
    for step in range(1, whole.steps + 1):
        assert Player(kill_after=step).play(story).ending() == whole.ending(), f"killed after step {step}"


@pytest.mark.parametrize(
    ("story", "active", "outcomes"),
    [
        ("a release goes live", GREEN, {("r2", "switched")}),
        ("back and forth by auto", GREEN, {("r2", "switched"), ("r3", "switched"), ("r4", "switched")}),
        ("a sick release expires, the next one goes live", GREEN, {("r2", "superseded"), ("r3", "switched")}),
        ("a sick release is quarantined, then named", GREEN, {("r2", "expired"), ("r2", "switched")}),
        ("named before it runs", BLUE, {(None, "superseded"), ("r2", "switched"), ("r1", "switched")}),
        ("named and taken back", GREEN, {(None, "aborted"), ("r2", "switched")}),
        ("held on the way", GREEN, {("r2", "switched")}),
        ("Docker goes away", GREEN, {("r2", "switched")}),
        ("removed and written again", GREEN, {("r2", "aborted"), ("r3", "switched")}),
        ("initial with both", BLUE, {("r3", "switched")}),
        ("undecided until the file names one", BLUE, set()),
        ("fixed servers", GREEN, {("r2", "switched")}),
        ("a group together", GREEN, {("r2", "switched")}),
        ("tested, approved, switched", GREEN, {("r2", "switched"), ("r3", "expired")}),
        ("a smoke test fails, and is tried again", GREEN, {("r2", "aborted"), ("r2", "switched")}),
        ("aborted, then named", BLUE, {("r2", "aborted"), ("r2", "expired")}),
        ("aborted, then another release", GREEN, {("r2", "aborted"), ("r3", "switched")}),
        ("forced in spite of all", GREEN, {("r2", "superseded"), ("r2", "switched")}),
        ("rolled back in the watch", BLUE, {("r2", "rolled-back")}),
        ("rolled back by two, then tried again", GREEN, {("r2", "switched")}),
        ("fails its watch", BLUE, {("r2", "rolled-back")}),
        ("fails its watch, and so does the rollback target", GREEN, {("r2", "switched")}),
        ("replaced while it is watched", GREEN, {("r2", "switched")}),
        ("the other colour is named while it is watched", BLUE, {("r2", "superseded"), ("r1", "switched")}),
        ("switched back and forth against the file", BLUE, {("r2", "switched"), ("r1", "switched")}),
        ("paused, then resumed", GREEN, {("r2", "switched")}),
        ("undecided until a command names one", GREEN, set()),
        ("a group that fails its watch", BLUE, {("r2", "rolled-back"), ("r3", "rolled-back")}),
        ("a group rolled back by one of its members", BLUE, {("r2", "switched"), ("r3", "switched")}),
        ("smoke tests that bring no evidence", BLUE, {("r2", "expired")}),
        ("smoke tests that bring evidence at last", GREEN, {("r2", "switched")}),
        ("other smoke tests while it waits for approval", BLUE, {("r2", "aborted")}),
        ("the approval is not asked for any more", GREEN, {("r2", "switched")}),
        ("approved too late", BLUE, {("r2", "superseded"), ("r3", "expired")}),
        ("held while it waits for approval", GREEN, {("r2", "switched")}),
        ("paused while it is tested", GREEN, {("r2", "switched")}),
        ("Traefik confirms", GREEN, {("r2", "switched")}),
        ("Traefik refuses what it is shown", BLUE, {("r2", "rolled-back")}),
        ("Traefik complained before", GREEN, {("r2", "switched")}),
        ("Traefik keeps the old weights", BLUE, {("r2", "rolled-back")}),
        ("Traefik's API does not answer", GREEN, {("r2", "switched")}),
        ("nobody polls", GREEN, {("r2", "switched")}),
        ("fails under traffic, and the next release does not", GREEN, {("r2", "rolled-back"), ("r3", "switched")}),
        ("loses its containers while it is watched", BLUE, {("r2", "rolled-back")}),
        ("fails its watch, and the rollback target is gone", GREEN, {("r2", "switched")}),
        ("an outage that both colours share, and only one survives", BLUE, {("r2", "rolled-back")}),
        ("forced, and fails", GREEN, {("r2", "superseded"), ("r2", "switched")}),
        ("Docker is away while it is watched", GREEN, {("r2", "switched")}),
        ("removed while it is watched", BLUE, {("r2", "aborted"), ("r3", "switched")}),
        ("another group while it is watched", GREEN, {("r2", "superseded")}),
        ("another group while it waits for approval", GREEN, {("r2", "superseded"), ("r2", "switched")}),
        ("paused, then in another group", BLUE, set()),
        ("failed, then in another group and back", BLUE, {("r2", "aborted")}),
        ("aborted after the switch", GREEN, {("r2", "rolled-back"), ("r3", "switched")}),
        ("what failed in place of the candidate is quarantined too", BLUE, {("r2", "rolled-back")}),
        ("rolled back without the health of the rollback target", BLUE, {("r2", "switched")}),
    ],
)
def test_a_story_ends_as_it_says(story: str, active: Colour, outcomes: set[tuple[str | None, str]]) -> None:
    played = Player(kill_after=None).play(STORIES[story])
    assert played.world.states["shop"].active is active
    assert {(release, outcome) for _, release, outcome in played.ended} == outcomes


# --- random stories, interrupted at a random step -------------------------------------------------------------------

NAMES = ("pay", "shop")
names = st.sampled_from(NAMES)
colours = st.sampled_from(Colour)
releases = st.sampled_from(("r1", "r2", "r3"))
sets = st.frozensets(releases, max_size=2)
written = st.builds(
    partial(service, group="storefront", initial=BLUE, deadlines=PATIENT),
    names,
    watch_s=st.sampled_from((0.0, 30.0)),
    smoke_tests=st.sampled_from(((), (HOME,))),
    approval_is_manual=st.sampled_from((False, False, True)),
)


def happens(
    method: str, *arguments: st.SearchStrategy[object], **fields: st.SearchStrategy[object]
) -> st.SearchStrategy[Input]:
    return st.builds(partial(methodcaller, method), *arguments, **fields)


def approve(name: str, world: World) -> None:
    """Approve what is on its way, if anything is."""
    state = world.groups.get(group_key(world.services[name])) if name in world.services else None
    for one in state.rollout.candidates if state and state.rollout else ():
        world.command(Verb.APPROVE, one.service, release=one.release)


inputs = st.one_of(
    happens("replace_all", names, colours, releases, st.integers(1, 2)),
    happens("replace_all", names, colours, releases, st.integers(1, 2)),
    happens("start", names, colours, releases),
    happens("stop_all", names, colours),
    st.one_of(*(happens("let", **{how: sets}) for how in ("sick", "frail", "broken", "silent"))),
    st.just(World.connect),
    st.just(World.disconnect),
    happens("edit", names, active=st.sampled_from(Wish)),
    happens("edit", names, hold=st.sampled_from((False, False, False, True))),
    happens("edit", names, group=st.sampled_from((None, "storefront"))),
    happens(
        "edit", names, approval_is_manual=st.booleans(), smoke_tests=st.sampled_from(((), (HOME,), (HOME, SEARCH)))
    ),
    happens("remove", names),
    happens("write", written),
    happens("command", st.just(Verb.SWITCH), names, colour=colours),
    happens("command", st.just(Verb.SWITCH), names, colour=colours, force=st.just(True), reason=st.just("it must")),
    st.builds(lambda name: partial(approve, name), names),
    happens("command", st.sampled_from((Verb.ABORT, Verb.ROLLBACK, Verb.RETRY, Verb.PAUSE, Verb.RESUME)), names),
    happens(
        "set_traefik",
        st.just("t1"),
        polls=st.booleans(),
        applies=st.booleans(),
        answers=st.booleans(),
        dislikes=st.frozensets(st.sampled_from(("shop-green", "shop-blue", "pay-green")), max_size=2),
    ),
)
FIRST: tuple[Input, ...] = (*(deploy("r1", BLUE, name) for name in NAMES), World.connect)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=DERANDOMIZED,
    print_blob=True,
    suppress_health_check=[Check.too_slow, Check.filter_too_much],  # on a busy machine; most stories are short
)
@given(
    services=st.lists(written, min_size=1, max_size=2),
    has_apis=st.booleans(),
    story=st.lists(inputs, min_size=1, max_size=10),
    kill_after=st.integers(1, 40),
)
@pytest.mark.takes(8)
def test_a_random_story_interrupted_ends_as_the_uninterrupted_one(
    services: list[Any], has_apis: bool, story: list[Input], kill_after: int
) -> None:
    """P5."""
    whole: list[Input] = [
        methodcaller("let", has_apis=has_apis),
        *(methodcaller("write", one) for one in services),
        *FIRST,
        *story,
    ]
    once = Player(kill_after=None).play(whole)
    assume(kill_after <= once.steps)
    assert Player(kill_after).play(whole).ending() == once.ending()
