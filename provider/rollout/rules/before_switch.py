"""Rules on a rollout up to its switch: begun, gated, ended when it is no longer wanted."""

from collections.abc import Iterable
from dataclasses import replace

from provider.model import (
    Candidate,
    Decision,
    Event,
    Gate,
    GateState,
    GroupState,
    Instant,
    Phase,
    Rollout,
    SmokeEvidence,
    SmokeRun,
    Snapshot,
    Trigger,
    Wish,
)
from provider.rollout import clocks, confirming, stepping, watching
from provider.rollout.candidates import candidates, gates_of, held_by, holding_up, limits, member_of, quarantine, shut
from provider.rollout.gates.smoke import new_smoke_evidence, smoke_evidence, smoke_run
from provider.rollout.health import assess
from provider.rollout.rules import steps
from provider.rollout.rules.services import source
from provider.rollout.transitions import Taken, advance, end_regrouped, names, rows, switch, with_rollout
from provider.rollout.transitions import begin as begin_rollout
from provider.rollout.weights import alias

NEXT: dict[Phase, Event] = {
    Phase.WAITING: Event.READY,
    Phase.TESTING: Event.TESTED,
    Phase.APPROVAL: Event.APPROVED,
}
"""What happens to a rollout whose phase has nothing left that holds it up."""


WAIT_FOR_ENGINE = frozenset({Phase.WAITING, Phase.SHIFTING})
"""The phases that wait for what Docker reports: which servers there are, and that they still are."""


def hold_rollout(snapshot: Snapshot, now: Instant) -> Taken | None:
    """Rule 2: `hold` and `pause` stop forward rollouts where they are, and their clocks with them.

    An approval keeps its date over a restart (rule 14) and not over a hold: nobody could have switched by then.
    """
    under_way = snapshot.state.rollout
    if under_way is None:
        return None
    reason = held_by(snapshot)
    state = clocks.hold(snapshot.state, held=reason is not None, limits=limits(snapshot), now=now)
    if state is snapshot.state:
        return None
    return replace(snapshot, state=state), _voided(under_way, state, reason, now)


def stand_still(snapshot: Snapshot, now: Instant) -> Taken | None:
    """Rule 14: the clock of what waits for evidence of an engine that is away stands still (P2: neither pass nor fail).

    What is confirmed waits for Traefik, a smoke test for the application, an approval for its date, and a watch goes on
    by the daemon's own checks.
    """
    under_way, stopped = snapshot.state.rollout, stepping.stopped_by(snapshot)
    still = _waits_for_engine(snapshot) or stopped is not None
    state = clocks.stand_still(snapshot.state, still=still, now=now)
    if state is snapshot.state or under_way is None:
        return None
    return replace(snapshot, state=state), _voided(under_way, state, stopped, now)


def end_unwanted(snapshot: Snapshot, now: Instant) -> Taken | None:
    """Rules 6, 11 and 12: other candidates or members supersede a rollout; where none is wanted it is withdrawn."""
    under_way = snapshot.state.rollout
    if under_way is None or under_way.is_switched:
        return None
    if under_way.members != names(snapshot):
        return end_regrouped(snapshot, now)
    moving = candidates(snapshot)
    if under_way.trigger is Trigger.COMMAND:  # what others of the group want has to wait for what was commanded
        named = {one.service for one in under_way.candidates}
        moving = tuple(one for one in moving if one.service in named)
    if not moving and (other := _other_release(snapshot, under_way)):
        return advance(snapshot, Event.SUPERSEDED, now, f"{other}, which is not wanted")
    if not moving:
        return advance(snapshot, Event.WITHDRAWN, now, "the file wants no other colour than the active one any more")
    if moving != under_way.candidates:
        return advance(snapshot, Event.SUPERSEDED, now, f"now wanted: {_listed(moving)}")
    return None


def expire(snapshot: Snapshot, now: Instant) -> Taken | None:
    """P10: a rollout whose gates did not pass in time ends, and its candidates are quarantined."""
    under_way = snapshot.state.rollout
    if under_way is None or under_way.is_switched:
        return None
    if under_way.deadline_mono_s is None or under_way.clock_mono_s(now) < under_way.deadline_mono_s:
        return None
    if under_way.step is not None and not stepping.may_expire(snapshot, now):
        return None
    reason = stepping.waits_for(snapshot, now) or holding_up(snapshot, now)
    if under_way.phase in NEXT and reason is None:
        return None  # what has passed goes on, however late that was noticed
    return advance(snapshot, Event.EXPIRED, now, reason or "the deadline passed")


def begin(snapshot: Snapshot, now: Instant) -> Taken | None:
    """Rule 2: what is wanted, neither held nor quarantined, begins its rollout."""
    if snapshot.state.rollout is not None:
        return None
    moving = candidates(snapshot)
    if not moving or held_by(snapshot) or quarantine(snapshot):
        return None
    return begin_rollout(snapshot, moving, _trigger(snapshot, moving), now)


def keep_smoke_evidence(snapshot: Snapshot, now: Instant) -> Taken | None:
    """P1 and P5: the result of the smoke tests is kept with the rollout before anything is decided on it."""
    under_way = snapshot.state.rollout
    if under_way is None or not _tests(under_way):
        return None
    for one in under_way.candidates:
        member = member_of(snapshot, one.service)
        found = None if smoke_evidence(member, one, under_way) else new_smoke_evidence(member, one)
        if found is None:
            continue
        kept = tuple(each for each in under_way.smoke if each.service != one.service)
        event = Event.SMOKE_PASSED if found.passed else Event.SMOKE_FAILED
        row = rows(under_way, event, under_way.phase, now, about=[one], evidence=_smoke_lines(found))
        return with_rollout(snapshot, replace(under_way, smoke=(*kept, found))), row
    return None


def fail_gates(snapshot: Snapshot, now: Instant) -> Taken | None:
    """A release that failed a smoke test is given up and quarantined (P9)."""
    under_way = snapshot.state.rollout
    if under_way is None or under_way.phase is not Phase.TESTING:
        return None
    for one in under_way.candidates:
        found = smoke_evidence(member_of(snapshot, one.service), one, under_way)
        if found is not None and not found.passed:
            why = shut(snapshot, (Gate.SMOKE,), now)
            return advance(snapshot, Event.GATES_FAILED, now, why, evidence=_smoke_lines(found))
    return None


def go_on(snapshot: Snapshot, now: Instant) -> Taken | None:
    """P1: only when every gate of the phase lets every candidate through does the rollout go on."""
    under_way = snapshot.state.rollout
    if under_way is None or under_way.phase not in NEXT or holding_up(snapshot, now):
        return None
    if under_way.phase is Phase.WAITING:
        return advance(snapshot, Event.READY, now, evidence=_health_lines(snapshot, under_way))
    given = under_way.approval if under_way.phase is Phase.APPROVAL else None
    skipped = _skipped(snapshot, under_way, now)
    return advance(snapshot, NEXT[under_way.phase], now, skipped, actor=given.actor if given else None)


def _skipped(snapshot: Snapshot, under_way: Rollout, now: Instant) -> str | None:
    """Say that the gate of a phase was asked of nobody: it was not passed, either."""
    gate = Gate.SMOKE if under_way.phase is Phase.TESTING else Gate.APPROVAL
    found = [gates_of(snapshot, one, now, (gate,))[gate] for one in under_way.candidates]
    if any(verdict.state is not GateState.SKIPPED for verdict in found):
        return None
    reasons = dict.fromkeys(verdict.reason or "the file asks for none" for verdict in found)
    return f"gate {gate} skipped: {', '.join(reasons)}"


def lose_gates(snapshot: Snapshot, now: Instant) -> Taken | None:
    """Rule 12: while somebody thinks about it, another definition of the smoke tests voids their evidence."""
    under_way = snapshot.state.rollout
    if under_way is None or under_way.phase is not Phase.APPROVAL:
        return None
    lost = shut(snapshot, (Gate.SMOKE,), now)
    return advance(snapshot, Event.GATES_LOST, now, lost) if lost else None


def ask_for_approval(snapshot: Snapshot, now: Instant) -> Taken | None:
    """Ask for an approval, and once more when half of the time for it is over."""
    under_way = snapshot.state.rollout
    if under_way is None or under_way.deadline_mono_s is None:
        return None
    if under_way.step is not None and under_way.approval_until_utc is None and stepping.lacks_approval(snapshot, now):
        awaited = clocks.await_approval(snapshot.state, limits(snapshot), now)
        return ask_for_approval(replace(snapshot, state=awaited), now)
    if not _awaits_approval(under_way):
        return None
    if not under_way.asked:
        return _ask(snapshot, under_way, Event.APPROVAL_WANTED, now)
    reminder_mono_s = to_remind_mono_s(snapshot)
    if reminder_mono_s is not None and under_way.clock_mono_s(now) >= reminder_mono_s:
        return _ask(snapshot, replace(under_way, reminded=True), Event.APPROVAL_REMINDER, now)
    return None


def to_remind_mono_s(snapshot: Snapshot) -> float | None:
    """Return when half of the time for an approval is over; None where nobody is to be reminded of one."""
    under_way = snapshot.state.rollout
    if under_way is None or not _awaits_approval(under_way) or under_way.reminded:
        return None
    if under_way.deadline_mono_s is None:
        return None
    return under_way.deadline_mono_s - limits(snapshot)[Phase.APPROVAL] / 2


def shift(snapshot: Snapshot, now: Instant) -> Taken | None:
    """Rule 6: listed once more after the gates passed, and the gates still hold: all candidates move at once.

    They move to the weight of the next step, or to all of the traffic. What holds up a rollout in steps keeps it there.
    """
    under_way = snapshot.state.rollout
    if under_way is None or under_way.phase is not Phase.SHIFTING:
        return None
    lost = holding_up(snapshot, now)
    if lost and under_way.step is None:
        return advance(snapshot, Event.GATES_LOST, now, lost)
    if lost or to_relist(snapshot):
        return None
    moving = [member_of(snapshot, one.service) for one in under_way.candidates]
    died = [watching.deaths(member_of(snapshot, one.service), one.colour) for one in under_way.candidates]
    before = {container: count for each in died for container, count in each.items()}
    if under_way.step is not None:  # deaths count from the first step on
        before |= under_way.deaths_before
    known = with_rollout(snapshot, replace(under_way, errors_before=confirming.errors(moving), deaths_before=before))
    evidence = _health_lines(snapshot, under_way)
    if steps.has_next(known):
        return steps.begin(known, under_way, now)
    shifted, row = advance(known, Event.SHIFTED, now, evidence=evidence)
    aliases = {
        each.service.name: alias(each.service, each.state.active.other, under_way)
        for each in moving
        if each.state.active
    }
    return switch(shifted, under_way.candidates, under_way.id, now, aliases), row


def to_relist(snapshot: Snapshot) -> frozenset[str]:
    """Name the candidates whose containers Docker has not listed since their gates passed (rule 6)."""
    under_way = snapshot.state.rollout
    if under_way is None or under_way.phase is not Phase.SHIFTING:
        return frozenset()
    since_mono_s = under_way.step.passed_mono_s if under_way.step else under_way.entered_mono_s
    if since_mono_s is None:
        return frozenset()
    stale = set()
    for one in under_way.candidates:
        observed = member_of(snapshot, one.service).observed[one.colour]
        is_old = observed.listed_mono_s is None or observed.listed_mono_s < since_mono_s
        if observed.from_docker and is_old:
            stale.add(one.service)
    return frozenset(stale)


def to_test(snapshot: Snapshot) -> tuple[SmokeRun, ...]:
    """Return the smoke tests to be made now."""
    under_way = snapshot.state.rollout
    if under_way is None or not _tests(under_way) or under_way.forced is not None:
        return ()
    found = []
    for one in under_way.candidates:
        member = member_of(snapshot, one.service)
        run = smoke_run(member, one)
        if run is not None and smoke_evidence(member, one, under_way) is None:
            found.append(run)
    return tuple(found)


def _awaits_approval(under_way: Rollout) -> bool:
    return under_way.phase is Phase.APPROVAL or (
        under_way.step is not None and under_way.approval_until_utc is not None
    )


def _tests(under_way: Rollout) -> bool:
    """Return whether smoke tests are made: in their phase, and in steps where another definition voided them."""
    return under_way.phase is Phase.TESTING or under_way.step is not None


def _waits_for_engine(snapshot: Snapshot) -> bool:
    under_way = snapshot.state.rollout
    if snapshot.docker_connected or under_way is None or under_way.phase not in WAIT_FOR_ENGINE or under_way.step:
        return False
    members = {member.service.name: member for member in snapshot.members}
    return any(
        members[one.service].observed[one.colour].from_docker for one in under_way.candidates if one.service in members
    )


def _voided(before: Rollout, state: GroupState, reason: str | None, now: Instant) -> tuple[Decision, ...]:
    """Record that the date of an approval is void, where a stopped clock has made it so."""
    if before.approval_until_utc is None or (state.rollout is not None and state.rollout.approval_until_utc):
        return ()
    return rows(before, Event.APPROVAL_HELD, before.phase, now, detail=reason)


def _ask(snapshot: Snapshot, under_way: Rollout, event: Event, now: Instant) -> Taken:
    until = under_way.approval_until_utc
    asked = [
        one
        for one in under_way.candidates
        if under_way.step is not None or member_of(snapshot, one.service).service.approval_is_manual
    ]
    step = f"step {under_way.step.number}, " if under_way.step is not None else ""
    detail = f"{step}until {until:%Y-%m-%d %H:%M} UTC" if until else None
    asking = rows(under_way, event, under_way.phase, now, about=asked, detail=detail)
    return with_rollout(snapshot, replace(under_way, asked=True)), asking


def _health_lines(snapshot: Snapshot, under_way: Rollout) -> tuple[str, ...]:
    lines = []
    for one in under_way.candidates:
        member = member_of(snapshot, one.service)
        for server in member.observed[one.colour].servers:
            found = assess(member, server)
            lines.append(f"{one.service} {one.colour} {server.url}: {found.health}")
    return tuple(lines)


def _smoke_lines(found: SmokeEvidence) -> tuple[str, ...]:
    word = {True: "passed", False: "failed", None: "no evidence"}
    return tuple(
        f"{each.test} {each.url}: {word[each.passed]} in {each.duration_s:.3f} s"
        + (f", {each.cause}" if each.cause else "")
        + (f": {each.excerpt}" if each.excerpt else "")
        for each in found.results
    )


def _other_release(snapshot: Snapshot, under_way: Rollout) -> str | None:
    """Say which candidate's colour now runs another release than the one under way."""
    named = {one.service: one for one in under_way.candidates}
    for member in snapshot.members:
        one = named.get(member.service.name)
        running = member.observed[one.colour].release if one else None
        if one and running not in {None, one.release}:
            return f"{one.service} {one.colour} now runs release {running}"
    return None


def _trigger(snapshot: Snapshot, moving: Iterable[Candidate]) -> Trigger:
    """A rollout comes from the file when the file names the colour or its servers, else from Docker."""
    members = [(member_of(snapshot, one.service), one) for one in moving]
    named = any(member.service.active is not Wish.AUTO for member, _ in members)
    return Trigger.FILE if named else source(*next((member, one.colour) for member, one in members))


def _listed(moving: Iterable[Candidate]) -> str:
    return ", ".join(f"{one.service} {one.colour} {one.release or '(no release yet)'}" for one in moving)
