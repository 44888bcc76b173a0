"""What is known of a server, and when a release may take traffic."""

from dataclasses import replace
from typing import Any

import pytest

from provider.model import (
    Analysis,
    Canary,
    Candidate,
    Gate,
    GateState,
    Health,
    Instant,
    Member,
    Observed,
    Phase,
    RollbackTarget,
    Rollout,
    Service,
    Smoke,
    SmokeResult,
    SmokeTest,
    Step,
)
from provider.rollout import gates
from provider.rollout.gates.smoke import new_smoke_evidence, smoke_run
from tests.support.phases import NEW, OLD, begun, in_phase, moved, with_state
from tests.support.worlds import BLUE, GREEN, NOTHING, at, candidate, found, member, runs, server, service

HEALTHY, UNHEALTHY, UNKNOWN = Health.HEALTHY, Health.UNHEALTHY, Health.UNKNOWN


def ask(
    gate: Gate,
    of: Member,
    one: Candidate,
    under_way: Rollout | None = None,
    now: Instant | None = None,
    *,
    connected: bool = True,
) -> gates.Verdict:
    return gates.TABLE[gate].verdict(gates.Asked(of, one, under_way, now or at(), connected))


def verdict(
    of: Member,
    mono_s: float = 1000.0,
    *,
    connected: bool = True,
    release: str = "r2",
    under_way: Rollout | None = None,
) -> gates.Verdict:
    return ask(Gate.HEALTH, of, candidate(release), under_way, at(mono_s), connected=connected)


def ready(**fields: Any) -> Member:
    return member(fields.pop("of", None), blue=runs(OLD), green=fields.pop("green", runs(NEW)), **fields)


def test_a_uniform_healthy_settled_colour_passes() -> None:
    """Rule 5."""
    assert verdict(ready()).state is GateState.PASSED


@pytest.mark.parametrize(
    ("of", "says"),
    [
        (ready(green=NOTHING), "green has no servers"),
        (ready(green=Observed()), "Docker does not answer"),
        (ready(green=runs(NEW, server(3, "r3"))), "green is mixed: it runs releases r2, r3"),
        (ready(green=runs(server(2, "r9"))), "green runs release r9, not r2"),
        (ready(green=runs(NEW, server(3, "r2", leaving_mono_s=990.0))), "a server of green is being stopped"),
        (ready(green=runs(server(3, "r2", leaving_mono_s=990.0))), "green has no servers"),
        (ready(health={NEW: UNHEALTHY}), "0 of 1 servers healthy; http://10.0.0.2:80 is unhealthy: refused"),
        (ready(health={NEW: UNKNOWN}), "0 of 1 servers healthy; http://10.0.0.2:80 is unknown: not checked yet"),
        (ready(of=service(min_servers=2)), "1 of at least 2 servers (minServers)"),
    ],
)
def test_the_health_gate_stays_shut_and_says_why(of: Member, says: str) -> None:
    """Rule 5 and P2: unknown neither passes nor fails."""
    answer = verdict(of)
    assert answer.state in {GateState.PENDING, GateState.RUNNING}
    assert not answer.lets_through
    assert answer.reason is not None
    assert says in answer.reason


def test_docker_away_shuts_the_gate_for_containers_only() -> None:
    """Rule 6."""
    assert not verdict(ready(), connected=False).lets_through
    assert verdict(ready(green=runs(NEW, from_docker=False)), connected=False).lets_through


def test_settle_passes_at_its_moment_and_not_before() -> None:
    """Rule 5: the set unchanged for `settle`."""
    of = ready(green=runs(NEW, changed_mono_s=998.0))
    assert verdict(of, 1002.9).state is GateState.RUNNING
    assert verdict(of, 1002.9).wake_mono_s == 1003.0
    assert verdict(of, 1003.0).state is GateState.PASSED


@pytest.mark.parametrize(
    ("published", "passes"), [((), True), ((OLD,), True), ((OLD, server(3)), False)], ids=["none", "one", "two"]
)
def test_without_minservers_as_many_are_needed_as_the_active_colour_has_published(
    published: tuple[Any, ...], passes: bool
) -> None:
    """Rule 5."""
    of = member(blue=runs(OLD, server(3)), green=runs(NEW), published=published)
    assert verdict(of).lets_through is passes


def test_a_published_server_that_is_gone_is_not_waited_for() -> None:
    assert verdict(member(blue=runs(OLD), green=runs(NEW), published=(OLD, server(3)))).lets_through


def test_evidence_of_another_container_at_the_same_address_does_not_count() -> None:
    """P1: evidence is bound to what was checked."""
    of = ready(green=runs(replace(NEW, container="another")))
    of = replace(of, health={NEW.key: found(HEALTHY)})
    assert verdict(of).state is GateState.RUNNING


def test_the_gate_looks_at_the_colour_of_the_candidate() -> None:
    of = member(active=GREEN, blue=runs(OLD), green=runs(NEW))
    assert ask(Gate.HEALTH, of, candidate("r1", BLUE), None, at(), connected=True).lets_through


# --- the rollback target --------------------------------------------------------------------------------------------

HURRIED = service(
    settle_s=3600.0,
    min_servers=3,
    smoke_tests=(SmokeTest("home"),),
    approval_is_manual=True,
    canary=Canary((Step(5),)),
    analysis=Analysis(),
)


def all_of(of: Member, one: Candidate, under_way: Rollout | None = None, *, connected: bool = True) -> dict[Gate, bool]:
    found = gates.verdicts(gates.Asked(of, one, under_way, at(), connected))
    return {gate: answer.lets_through for gate, answer in found.items()}


def test_of_the_rollback_target_only_its_present_health_is_asked() -> None:
    """Rule 9."""
    back = moved(HURRIED)
    assert all_of(back, candidate("r1", BLUE)) == dict.fromkeys(Gate, True)
    assert not all_of(moved(HURRIED, health={OLD: UNHEALTHY}), candidate("r1", BLUE))[Gate.HEALTH]
    assert not all_of(back, candidate("r1", BLUE), connected=False)[Gate.HEALTH]


@pytest.mark.parametrize(
    ("of", "one"),
    [
        (moved(HURRIED, blue=runs(server(1, "r7"))), candidate("r7", BLUE)),
        (with_state(moved(HURRIED), rollback_target=RollbackTarget(BLUE, None)), candidate("r1", BLUE)),
        (with_state(moved(HURRIED), rollback_target=RollbackTarget(BLUE, None)), candidate(None, BLUE)),
        (with_state(moved(HURRIED), rollback_target=None), candidate("r1", BLUE)),
    ],
)
def test_what_is_not_exactly_the_rollback_target_passes_every_gate(of: Member, one: Candidate) -> None:
    """Rule 9: the exact release."""
    assert not gates.is_rollback_target(of, one)
    assert all_of(of, one) == dict.fromkeys(Gate, False)


# --- forced ---------------------------------------------------------------------------------------------------------


def forced() -> Rollout | None:
    return begun(actor="ann", forced="it burns").rollout


def test_force_waives_every_gate_and_says_who_did_and_why() -> None:
    """P1."""
    of = ready(of=HURRIED, health={NEW: UNHEALTHY})
    found = gates.verdicts(gates.Asked(of, candidate(), forced(), at(), True))
    assert {(answer.state, answer.reason) for answer in found.values()} == {
        (GateState.SKIPPED, "waived by ann: it burns")
    }


@pytest.mark.parametrize(
    ("green", "connected"),
    [(NOTHING, True), (runs(NEW, server(3, "r3")), True), (runs(server(2, "r9")), True), (runs(NEW), False)],
    ids=["no servers", "mixed", "another release", "Docker away"],
)
def test_force_never_waives_the_release(green: Observed, connected: bool) -> None:
    """P1."""
    assert not verdict(ready(green=green), connected=connected, under_way=forced()).lets_through


# --- smoke tests ----------------------------------------------------------------------------------------------------

HOME, CART = SmokeTest("home"), SmokeTest("cart", path="/cart")
TESTED = service(smoke_tests=(HOME, CART))


def results(*passed: bool | None, of: Member) -> Member:
    """Answer the tests in their order, all on the first server, then all on the next one."""
    run = smoke_run(of, candidate())
    assert run is not None
    asked = [(test.name, url) for url in run.servers for test in run.tests]
    made = tuple(
        SmokeResult(test, url, result, None if result else "500, expected 200", "oops", 0.1)
        for (test, url), result in zip(asked, passed, strict=False)
    )
    return replace(of, smoke=Smoke(run, made))


def smoke(of: Member, under_way: Rollout | None = None) -> gates.Verdict:
    return ask(Gate.SMOKE, of, candidate(), under_way)


def kept(of: Member) -> Rollout:
    evidence = new_smoke_evidence(of, candidate())
    under_way = begun().rollout
    assert evidence is not None
    assert under_way is not None
    return replace(under_way, smoke=(evidence,))


def test_the_smoke_tests_of_a_candidate_are_made_on_every_server_that_stays() -> None:
    of = ready(of=TESTED, green=runs(server(3, "r2"), NEW, server(4, "r2", leaving_mono_s=990.0)))
    run = smoke_run(of, candidate())
    assert run is not None
    assert (run.release, run.servers) == ("r2", ("http://10.0.0.2:80", "http://10.0.0.3:80"))
    assert (run.host, run.tests) == ("shop.example.com", (HOME, CART))


@pytest.mark.parametrize(
    ("of", "release"),
    [(ready(), "r2"), (ready(of=TESTED), None), (ready(of=TESTED), "r3"), (ready(of=TESTED, green=NOTHING), "r2")],
    ids=["no tests", "no release", "another release", "no servers"],
)
def test_there_is_nothing_to_test_without_that_release(of: Member, release: str | None) -> None:
    assert smoke_run(of, candidate(release)) is None


@pytest.mark.parametrize(
    ("passed", "state", "reason"),
    [
        ((), GateState.PENDING, "the smoke tests have not begun"),
        ((True,), GateState.RUNNING, "1 of 2 smoke tests passed"),
        ((True, True), GateState.RUNNING, "2 of 2 smoke tests passed"),
        (
            (True, None),
            GateState.RUNNING,
            "1 of 2 smoke tests passed; cart on http://10.0.0.2:80: 500, expected 200",
        ),
    ],
)
def test_results_that_are_not_kept_yet_let_nothing_through(
    passed: tuple[bool | None, ...], state: GateState, reason: str
) -> None:
    """P5: nothing rests on evidence that a crash would lose."""
    of = ready(of=TESTED)
    answer = smoke(results(*passed, of=of) if passed else of)
    assert (answer.state, answer.reason, answer.lets_through) == (state, reason, False)


def test_the_evidence_that_is_kept_decides() -> None:
    """P1."""
    of = ready(of=TESTED)
    passed = kept(results(True, True, of=of))
    assert smoke(of, passed) == gates.Verdict(GateState.PASSED, "2 tests passed")
    failed = kept(results(True, False, of=of))
    assert smoke(of, failed) == gates.Verdict(GateState.FAILED, "cart failed on http://10.0.0.2:80: 500, expected 200")


@pytest.mark.parametrize(
    ("changed", "release"),
    [
        (service(smoke_tests=(HOME,)), "r2"),
        (service(smoke_tests=(HOME, replace(CART, status=201))), "r2"),
        (TESTED, "r3"),
    ],
    ids=["a test fewer", "another test", "another release"],
)
def test_evidence_counts_for_that_release_and_that_definition_only(changed: Service, release: str) -> None:
    """P1, rule 12."""
    evidence = kept(results(True, True, of=ready(of=TESTED)))
    of = ready(of=changed, green=runs(server(2, release)))
    assert not ask(Gate.SMOKE, of, candidate(release), evidence).lets_through


@pytest.mark.parametrize("edited", [{"settle_s": 1.0}, {"approval_is_manual": True}, {"min_servers": 1}])
def test_an_edit_of_another_gate_keeps_the_evidence(edited: dict[str, Any]) -> None:
    """Rule 12: changing a gate's definition voids that gate's evidence only."""
    evidence = kept(results(True, True, of=ready(of=TESTED)))
    assert smoke(ready(of=replace(TESTED, **edited)), evidence).lets_through


@pytest.mark.parametrize(
    ("passed", "is_evidence"),
    [
        ((True,), None),
        ((True, True, True), None),
        ((True, None, True, True), None),
        ((None, None, None, None), None),
        ((True, True, True, True), True),
        ((False,), False),
        ((True, True, None, False), False),
    ],
)
def test_a_run_is_evidence_by_one_failure_or_by_every_pass(
    passed: tuple[bool | None, ...], is_evidence: bool | None
) -> None:
    """P2: missing, cancelled, timed out or errored tests are none."""
    of = ready(of=TESTED, green=runs(NEW, server(3, "r2")))
    evidence = new_smoke_evidence(results(*passed, of=of), candidate())
    assert (evidence.passed if evidence else None) is is_evidence


def test_results_of_other_servers_are_no_evidence() -> None:
    """P2: a server that came meanwhile is tested too."""
    of = results(True, True, of=ready(of=TESTED))
    more = replace(of, observed=of.observed.put(GREEN, runs(NEW, server(3, "r2"))))
    assert new_smoke_evidence(more, candidate()) is None
    assert smoke(more).reason == "the smoke tests have not begun"
    assert new_smoke_evidence(replace(of, smoke=None), candidate()) is None


# --- approval -------------------------------------------------------------------------------------------------------


def test_an_approval_that_is_asked_for_says_how_to_give_it() -> None:
    """P1."""
    of = ready(of=service(approval_is_manual=True))
    waits = ask(Gate.APPROVAL, of, candidate(), begun().rollout)
    assert waits.state is GateState.PENDING
    assert waits.reason == "release r2 waits for approval: bluegreen approve shop --release r2"
    given = ask(Gate.APPROVAL, of, candidate(), in_phase(Phase.SHIFTING).rollout)
    assert given == gates.Verdict(GateState.PASSED, "approved by ann")


def test_a_gate_that_nobody_asks_for_is_skipped() -> None:
    answers = gates.verdicts(gates.Asked(ready(), candidate(), None, at(), True))
    assert {gate: answer.state for gate, answer in answers.items()} == {
        Gate.HEALTH: GateState.PASSED,
        Gate.SMOKE: GateState.SKIPPED,
        Gate.APPROVAL: GateState.SKIPPED,
        Gate.ANALYSIS: GateState.SKIPPED,
    }
