"""The whole state of a rollout group in, what to do about it out.

Each rule looks at a snapshot and either takes one transition or has nothing to say. `reconcile` takes the first
transition that any rule offers, then looks again, until none has anything to say. A run that is interrupted after any
transition and restored from what was committed therefore ends where an uninterrupted one does.
"""

from collections.abc import Callable
from typing import TypeAlias

from provider.model import Decision, Instant, Plan, Snapshot
from provider.rollout import analysing, serving
from provider.rollout.candidates import gates_of
from provider.rollout.rules import after_switch, analysis, before_switch, identity, routing, services, steps
from provider.rollout.rules.services import first_sight
from provider.rollout.transitions import Taken

__all__ = ["RULES", "first_sight", "reconcile", "settle", "transition"]

Rule: TypeAlias = Callable[[Snapshot, Instant], Taken | None]

TRANSITIONS_MOST = 1000

RULES: tuple[Rule, ...] = (
    identity.rename,
    services.follow_group,
    services.decide_first_sight,
    services.follow_wish,
    services.lift_override,
    services.record_running,
    routing.follow_labels,
    services.follow_rollback_target,
    before_switch.hold_rollout,
    before_switch.stand_still,
    before_switch.end_unwanted,
    after_switch.end_changed,
    analysis.keep,
    after_switch.roll_back_not_applied,
    after_switch.roll_back_failing,
    analysis.roll_back_failing,
    before_switch.keep_smoke_evidence,
    before_switch.fail_gates,
    steps.fail,
    steps.show,
    steps.pass_step,
    before_switch.expire,
    before_switch.begin,
    before_switch.lose_gates,
    before_switch.go_on,
    before_switch.ask_for_approval,
    before_switch.shift,
    after_switch.confirm,
    after_switch.end_watch,
)


def reconcile(snapshot: Snapshot, now: Instant, begun: tuple[Decision, ...] = ()) -> Plan:
    """Decide everything that can be decided at this moment, and say when time alone may change that.

    `begun` are the decisions of a command that made this snapshot; they are committed together with what follows.
    """
    before = snapshot.state.rollout
    snapshot, decisions = settle(snapshot, now)
    after = snapshot.state.rollout
    return Plan(
        group=snapshot.state,
        states={member.service.name: member.state for member in snapshot.members},
        decisions=(*begun, *decisions),
        relist=before_switch.to_relist(snapshot) | after_switch.to_count(snapshot),
        smoke=before_switch.to_test(snapshot),
        wake_mono_s=_wake_mono_s(snapshot, now),
        is_kept=before is not None and after is not None and before.analysis != after.analysis,
        followed=analysing.to_follow(snapshot),
    )


def settle(snapshot: Snapshot, now: Instant) -> Taken:
    """Go on until no rule has anything to say; return where that leads, and all that was decided on the way."""
    decisions: list[Decision] = []
    for _ in range(TRANSITIONS_MOST):
        taken = transition(snapshot, now)
        if taken is None:
            return snapshot, tuple(decisions)
        snapshot, rows = taken
        decisions += rows
    raise AssertionError(f"the rules did not come to rest after {TRANSITIONS_MOST} transitions: {snapshot.state}")


def transition(snapshot: Snapshot, now: Instant) -> Taken | None:
    """Take the first transition that any rule offers; None when none has anything to say."""
    return next((taken for rule in RULES if (taken := rule(snapshot, now)) is not None), None)


def _wake_mono_s(snapshot: Snapshot, now: Instant) -> float | None:
    times = [serving.wake_mono_s(member, now) for member in snapshot.members]
    under_way = snapshot.state.rollout
    if under_way is not None:
        times += [under_way.deadline_mono_s, before_switch.to_remind_mono_s(snapshot)]
        if under_way.is_switched:
            times += after_switch.wakes_mono_s(snapshot, now) + analysis.wakes_mono_s(snapshot, now)
        else:
            times += [
                verdict.wake_mono_s for one in under_way.candidates for verdict in gates_of(snapshot, one, now).values()
            ]
            times += steps.wakes_mono_s(snapshot, now)
    return min((time for time in times if time is not None and time > now.mono_s), default=None)
