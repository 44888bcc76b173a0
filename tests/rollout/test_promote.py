"""Commands on a rollout in steps: promote, approve, rollback, abort and a forced switch (rule 20)."""

from dataclasses import replace

import pytest

from provider.model import Canary, Lease, Outcome, Phase, Snapshot, Step, Verb
from provider.rollout import leases, rollback_target
from provider.rollout.commands import command
from provider.rollout.commands.types import Command, Done, Refusal, Refused
from provider.rollout.reconcile import reconcile
from tests.support.phases import ANN, BOB, NEW, STEPS, group, moved, old, only, stepping, with_state
from tests.support.worlds import BLUE, EPOCH, GREEN, at, runs, service

FRESH = runs(NEW, listed_mono_s=1.0e6)
ASKING = Canary((Step(5, 300.0, approval_is_manual=True), Step(50, 300.0)))


def steps(number: int = 1, canary: Canary = STEPS) -> Snapshot:
    return stepping(number, old(service(canary=canary), green=FRESH), canary=canary)


def given(verb: Verb, of: Snapshot, **fields: object) -> Done | Refused:
    return command(of, Command(verb, "shop", ANN, **fields), at(1100.0))  # type: ignore[arg-type]


def done(answer: Done | Refused) -> Done:
    assert isinstance(answer, Done), answer
    return answer


def events(of: Snapshot, mono_s: float = 1100.0) -> list[str]:
    return [row.event for row in reconcile(of, at(mono_s)).decisions]


def weight(of: Snapshot) -> int:
    return of.state.rollout.weight if of.state.rollout else 0


def test_promote_ends_the_time_of_the_step_and_the_next_one_begins() -> None:
    """Rule 20."""
    answer = done(given(Verb.PROMOTE, steps(), release="r2", step=1, reason="it looks good"))
    assert [(row.event, row.actor, row.detail) for row in answer.decisions] == [
        ("promoted", ANN, "step 1: it looks good")
    ]
    assert events(answer.snapshot) == ["step-passed", "step-begun"]
    assert reconcile(answer.snapshot, at(1100.0)).group.rollout is not None


def test_promote_in_full_ends_the_time_of_all_steps_but_waives_no_approval() -> None:
    """Rule 20."""
    answer = done(given(Verb.PROMOTE, steps(canary=ASKING), full=True))
    assert events(answer.snapshot) == ["approval-wanted"]
    waived = done(given(Verb.PROMOTE, steps(canary=ASKING), full=True, force=True, reason="it burns"))
    assert events(waived.snapshot) == ["step-passed", "shifted"]


def test_a_forced_promote_waives_the_gates_of_its_step_only() -> None:
    """Rule 20."""
    answer = done(given(Verb.PROMOTE, steps(canary=ASKING), force=True, reason="ann has gone home"))
    plan = reconcile(answer.snapshot, at(1100.0))
    assert [row.event for row in plan.decisions] == ["step-passed", "step-begun"]
    assert plan.group.rollout is not None
    assert plan.group.rollout.step is not None
    assert (plan.group.rollout.forced, plan.group.rollout.step.forced) == (None, None)


@pytest.mark.parametrize(
    ("verb", "fields"),
    [(Verb.PROMOTE, {"step": 1}), (Verb.APPROVE, {"step": 1, "release": "r2"})],
    ids=["promote", "approve"],
)
def test_a_command_for_a_step_that_is_over_is_done_already(verb: Verb, fields: dict[str, object]) -> None:
    """Rule 20: two operators at 3 a.m. do not pass two steps."""
    answer = done(given(verb, steps(2), **fields))
    assert (answer.already, answer.decisions, answer.detail) == (True, (), "step 1 is over")


def test_promoting_a_step_twice_is_done_already() -> None:
    once = done(given(Verb.PROMOTE, steps(), step=1))
    assert done(given(Verb.PROMOTE, once.snapshot, step=1)).already


@pytest.mark.parametrize(
    ("of", "fields", "code"),
    [
        (steps(), {"release": "r9"}, Refusal.STALE),
        (steps(), {"step": 2}, Refusal.STALE),
        (steps(), {"force": True}, Refusal.REASON_WANTED),
        (group(Phase.TESTING), {}, Refusal.NO_ROLLOUT),
        (group(Phase.STEADY), {}, Refusal.NO_ROLLOUT),
        (group(Phase.WATCHING, moved()), {}, Refusal.NO_ROLLOUT),
    ],
    ids=["another release", "a later step", "no reason", "no step yet", "no rollout", "switched"],
)
def test_what_cannot_be_promoted_is_refused(of: Snapshot, fields: dict[str, object], code: Refusal) -> None:
    answer = given(Verb.PROMOTE, of, **fields)
    assert isinstance(answer, Refused)
    assert answer.code is code


def test_an_approval_is_for_its_step() -> None:
    """Rules 19d and 20, P1."""
    answer = done(given(Verb.APPROVE, steps(canary=ASKING), release="r2", step=1))
    assert [(row.event, row.detail) for row in answer.decisions] == [("approval-given", "step 1")]
    assert events(answer.snapshot, 1299.0) == []
    assert events(answer.snapshot, 1300.0) == ["step-passed", "step-begun"]


def test_a_rollback_in_steps_is_an_abort_of_the_candidate() -> None:
    """Rule 20: its `from` is the candidate's release; weight 0 in one document, and quarantine."""
    for leaving in ("r2", None):
        answer = done(given(Verb.ROLLBACK, steps(2), leaving=leaving, reason="errors"))
        assert [(row.event, row.outcome) for row in answer.decisions] == [("aborted", Outcome.ABORTED)]
        assert weight(answer.snapshot) == 0
        assert only(answer.snapshot).state.active is BLUE
        assert answer.snapshot.state.quarantined


def test_abort_beats_promote_whichever_is_written_first() -> None:
    """Rule 20, P8."""
    first = done(given(Verb.PROMOTE, steps(3), full=True))
    assert weight(done(given(Verb.ABORT, first.snapshot)).snapshot) == 0
    gone = done(given(Verb.ABORT, steps(3)))
    assert isinstance(given(Verb.PROMOTE, gone.snapshot, full=True), Refused)


def test_a_forced_switch_to_the_candidate_goes_to_all_of_the_traffic_from_where_it_is() -> None:
    """Rule 19a: nothing passes through 0 in between, also where a list has to come first."""
    answer = done(given(Verb.SWITCH, steps(2), colour=GREEN, force=True, reason="now"))
    assert weight(answer.snapshot) == 25
    assert events(answer.snapshot)[-1] == "shifted"


def test_in_steps_the_command_for_the_other_colour_is_the_forced_switch() -> None:
    """Rule 19a: what is printed where the active colour has no healthy server has to work."""
    of = steps()
    command = rollback_target.command_now(only(of), of.state)
    assert command == "bluegreen switch shop green --force --reason WHY"
    answer = done(given(Verb.SWITCH, of, colour=GREEN, force=True, reason="WHY"))
    assert events(answer.snapshot)[-1] == "shifted"


def test_a_deployment_is_refused_in_steps_and_its_own_lease_ends_with_the_first() -> None:
    """Rule 20."""
    refused = leases.take(steps(), "shop", BOB, "l2", at(1100.0))
    assert isinstance(refused, Refused)
    assert refused.code is Refusal.BUSY
    of = group(Phase.SHIFTING, with_state(old(service(canary=STEPS), green=FRESH), lease=Lease("l1", BOB, EPOCH)))
    assert of.state.rollout is not None
    of = replace(of, state=replace(of.state, rollout=replace(of.state.rollout, canary=STEPS)))
    plan = reconcile(of, at(1100.0))
    assert [row.event for row in plan.decisions] == ["step-begun", "lease-ended"]
    assert plan.states["shop"].lease is None
