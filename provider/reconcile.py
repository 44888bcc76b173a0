"""The whole world of a rollout group in, what to do about it out.

Each rule looks at a snapshot and either takes one step or has nothing to say. `reconcile` takes the first step that any
rule offers, then looks again, until none has anything to say. A run that is interrupted after any step and restored
from what was committed therefore ends where an uninterrupted one does.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeAlias

from provider import rollout, serving
from provider.model import (
    ByColour,
    Candidate,
    Colour,
    Decision,
    Instant,
    Member,
    Outcome,
    Phase,
    Plan,
    Replaced,
    Rollout,
    Snapshot,
    Trigger,
    Wish,
)
from provider.rollout import Event
from provider.wanted import candidates, gates_of, held_by, holding_up, member_of, quarantine, waiting_s

Taken: TypeAlias = tuple[Snapshot, tuple[Decision, ...]]
Rule: TypeAlias = Callable[[Snapshot, Instant], Taken | None]

STEPS_MOST = 1000


def reconcile(snapshot: Snapshot, now: Instant) -> Plan:
    """Decide everything that can be decided at this moment, and say when time alone may change that."""
    decisions: list[Decision] = []
    for _ in range(STEPS_MOST):
        taken = step(snapshot, now)
        if taken is None:
            break
        snapshot, rows = taken
        decisions += rows
    else:
        raise AssertionError(f"the rules did not come to rest after {STEPS_MOST} steps: {snapshot.state}")
    return Plan(
        group=snapshot.state,
        states={member.service.name: member.state for member in snapshot.members},
        decisions=tuple(decisions),
        relist=_relist(snapshot),
        wake_mono_s=_wake_mono_s(snapshot, now),
    )


def step(snapshot: Snapshot, now: Instant) -> Taken | None:
    """Take the first step that any rule offers; None when none has anything to say."""
    return next((taken for rule in RULES if (taken := rule(snapshot, now)) is not None), None)


# --- rules on one service -----------------------------------------------------------------------------------------


def decide_first_sight(snapshot: Snapshot, now: Instant) -> Taken | None:
    """Rule 1: a service the store never knew gets its active colour; what then stands by is settled, not wanted."""
    for member in snapshot.members:
        name, observed = member.service.name, member.observed
        first = None if member.state.active else first_sight(member)
        if first is not None:
            colour, reason = first
            settled = ByColour(observed.blue.releases, observed.green.releases)
            state = replace(member.state, active=colour, undecided=False, wish=member.service.active, settled=settled)
            row = Decision(now.utc, name, "first-sight", colour, observed[colour].release, detail=reason)
            return _with_member(snapshot, replace(member, state=state)), (row,)
        if member.state.active is None and not member.state.undecided and len(_running(member)) == len(Colour):
            row = Decision(now.utc, name, "undecided", detail="both colours run, and the file names neither")
            return _with_member(snapshot, replace(member, state=replace(member.state, undecided=True))), (row,)
    return None


def first_sight(member: Member) -> tuple[Colour, str] | None:
    """Return the colour that rule 1 makes active and why; None while the service is undecided.

    Even a colour that the file names waits for Docker's first complete list: what stands by then must be settled.
    Where both colours were seen, one that stops decides nothing: a container's restart must not choose production.
    """
    if not all(observed.known for _, observed in member.observed.items()):
        return None
    named = member.service.active.colour
    if named is not None:
        return named, f"the file says active: {named}"
    if member.service.initial is not None:
        return member.service.initial, f"the file says initial: {member.service.initial}"
    running = _running(member)
    return (running[0], "the only colour with servers") if len(running) == 1 and not member.state.undecided else None


def follow_wish(snapshot: Snapshot, now: Instant) -> Taken | None:
    """An edit of `active` is remembered; naming a colour asks for it again, so its failures are forgiven."""
    for member in snapshot.members:
        wish, before = member.service.active, member.state.wish
        if member.state.active is None or wish is before:
            continue
        state = snapshot.state
        if wish.colour is not None:
            state = rollout.release_from_quarantine(state, member.service.name, wish.colour)
        detail = f"active: {before or 'not set'} -> {wish}"
        row = Decision(now.utc, member.service.name, "desired", wish.colour, trigger=Trigger.FILE, detail=detail)
        moved = _with_member(snapshot, replace(member, state=replace(member.state, wish=wish)))
        return replace(moved, state=state), (row,)
    return None


def record_running(snapshot: Snapshot, now: Instant) -> Taken | None:
    """Rule 3: what the active colour runs is followed, and a release that came without a rollout is recorded."""
    for member in snapshot.members:
        active = member.state.active
        if active is None:
            continue
        running, settled = member.observed[active].releases, member.state.settled[active]
        if not running or running == settled:
            continue
        state = replace(member.state, settled=member.state.settled.put(active, running))
        release, before = _sole(running), _sole(settled)
        new = running - settled if settled else frozenset[str]()
        left = None if before in running else before
        if new:
            state = replace(state, replaced=Replaced(", ".join(sorted(new)), left, now.utc))
        elif state.replaced is not None and not running & set(state.replaced.release.split(", ")):
            state = replace(state, replaced=None)
        event = "replaced" if new else "running"
        detail = f"{active} runs {', '.join(sorted(running))}" + (f" instead of {left}" if new and left else "")
        row = Decision(
            now.utc,
            member.service.name,
            event,
            active,
            release,
            trigger=_source(member, active),
            detail=detail,
        )
        return _with_member(snapshot, replace(member, state=state)), (row,)
    return None


# --- rules on the rollout of the group -----------------------------------------------------------------------------


def hold_rollout(snapshot: Snapshot, now: Instant) -> Taken | None:
    """Rule 2: `hold` stops forward rollouts where they are, and their deadline with them."""
    state = rollout.hold(snapshot.state, held=held_by(snapshot) is not None, waiting_s=waiting_s(snapshot), now=now)
    return None if state is snapshot.state else (replace(snapshot, state=state), ())


def end_unwanted(snapshot: Snapshot, now: Instant) -> Taken | None:
    """Rules 6, 11 and 12: other candidates or members supersede a rollout; where none is wanted it is withdrawn."""
    under_way = snapshot.state.rollout
    if under_way is None:
        return None
    if not snapshot.members:
        return _advance(snapshot, Event.WITHDRAWN, now, "the file has no service here any more")
    if under_way.members != _names(snapshot):
        return _advance(snapshot, Event.SUPERSEDED, now, f"the group now has the members {', '.join(_names(snapshot))}")
    wanted = candidates(snapshot)
    if not wanted and (other := _other_release(snapshot, under_way)):
        return _advance(snapshot, Event.SUPERSEDED, now, f"{other}, which is not wanted")
    if not wanted:
        return _advance(snapshot, Event.WITHDRAWN, now, "the file wants no other colour than the active one any more")
    if wanted != under_way.candidates:
        return _advance(snapshot, Event.SUPERSEDED, now, f"now wanted: {_told(wanted)}")
    return None


def expire(snapshot: Snapshot, now: Instant) -> Taken | None:
    """P10: a rollout whose gates did not pass in time ends, and its candidates are quarantined."""
    under_way = snapshot.state.rollout
    if under_way is None or under_way.deadline_mono_s is None or now.mono_s < under_way.deadline_mono_s:
        return None
    return _advance(snapshot, Event.EXPIRED, now, holding_up(snapshot, now) or "the deadline passed")


def begin(snapshot: Snapshot, now: Instant) -> Taken | None:
    """Rule 2: what is wanted, neither held nor quarantined, begins its rollout."""
    wanted = candidates(snapshot)
    if snapshot.state.rollout is not None or not wanted or held_by(snapshot) or quarantine(snapshot):
        return None
    trigger = _trigger(snapshot, wanted)
    state = rollout.begin(snapshot.state, wanted, _names(snapshot), trigger, waiting_s(snapshot), now)
    begun = replace(snapshot, state=state)
    return begun, _rows(state.rollout, Event.BEGUN, now)


def pass_gates(snapshot: Snapshot, now: Instant) -> Taken | None:
    """P1: only when every gate of every candidate lets it through does the rollout go on."""
    under_way = snapshot.state.rollout
    if under_way is None or under_way.phase is not Phase.WAITING or holding_up(snapshot, now):
        return None
    return _advance(snapshot, Event.GATES_PASSED, now, None)


def shift(snapshot: Snapshot, now: Instant) -> Taken | None:
    """Rule 6: listed once more after the gates passed, and the gates still hold: all candidates switch at once."""
    under_way = snapshot.state.rollout
    if under_way is None or under_way.phase is not Phase.SHIFTING:
        return None
    lost = holding_up(snapshot, now)
    if lost:
        return _advance(snapshot, Event.GATES_LOST, now, lost)
    if _relist(snapshot):
        return None
    switched = snapshot
    for one in under_way.candidates:
        member = member_of(switched, one.service)
        switched = _with_member(switched, replace(member, state=rollout.switch(member.state, one, now)))
    return _advance(switched, Event.SHIFTED, now, None)


RULES: tuple[Rule, ...] = (
    decide_first_sight,
    follow_wish,
    record_running,
    hold_rollout,
    end_unwanted,
    expire,
    begin,
    pass_gates,
    shift,
)


# --- how a step is taken ------------------------------------------------------------


def _advance(snapshot: Snapshot, event: Event, now: Instant, detail: str | None) -> Taken:
    before = snapshot.state.rollout
    state, outcome = rollout.advance(snapshot.state, event, now)
    return replace(snapshot, state=state), _rows(before, event, now, outcome, detail)


def _rows(
    of: Rollout | None, event: Event, now: Instant, outcome: Outcome | None = None, detail: str | None = None
) -> tuple[Decision, ...]:
    """One row a candidate, so that the history of a service tells its whole story."""
    if of is None:
        return ()
    to = rollout.TABLE[Phase.STEADY if event is Event.BEGUN else of.phase, event].to
    names = [(one.service, one.colour, one.release) for one in of.candidates]
    return tuple(
        Decision(
            now.utc,
            service,
            event.value,
            colour,
            release,
            rollout=of.id,
            phase=to,
            outcome=outcome,
            trigger=of.trigger,
            actor=of.actor,
            detail=detail,
        )
        for service, colour, release in names
    )


def _relist(snapshot: Snapshot) -> frozenset[str]:
    """The candidates whose containers Docker has not listed since their gates passed (rule 6)."""
    under_way = snapshot.state.rollout
    if under_way is None or under_way.phase is not Phase.SHIFTING:
        return frozenset()
    stale = set()
    for one in under_way.candidates:
        observed = member_of(snapshot, one.service).observed[one.colour]
        if observed.from_docker and (
            observed.listed_mono_s is None or observed.listed_mono_s < under_way.entered_mono_s
        ):
            stale.add(one.service)
    return frozenset(stale)


def _wake_mono_s(snapshot: Snapshot, now: Instant) -> float | None:
    times = [serving.wake_mono_s(member, now) for member in snapshot.members]
    under_way = snapshot.state.rollout
    if under_way is not None:
        times.append(under_way.deadline_mono_s)
        times += [
            verdict.wake_mono_s for one in under_way.candidates for verdict in gates_of(snapshot, one, now).values()
        ]
    return min((time for time in times if time is not None), default=None)


def _other_release(snapshot: Snapshot, under_way: Rollout) -> str | None:
    """Say which candidate's colour now runs another release than the one under way."""
    named = {one.service: one for one in under_way.candidates}
    for member in snapshot.members:
        one = named.get(member.service.name)
        running = member.observed[one.colour].release if one else None
        if one and running not in {None, one.release}:
            return f"{one.service} {one.colour} now runs release {running}"
    return None


def _trigger(snapshot: Snapshot, wanted: Iterable[Candidate]) -> Trigger:
    """A rollout comes from the file when the file names the colour or its servers, else from Docker."""
    members = [(member_of(snapshot, one.service), one) for one in wanted]
    named = any(member.service.active is not Wish.AUTO for member, _ in members)
    return Trigger.FILE if named else _source(*next((member, one.colour) for member, one in members))


def _source(member: Member, colour: Colour) -> Trigger:
    return Trigger.DOCKER if member.observed[colour].from_docker else Trigger.FILE


def _with_member(snapshot: Snapshot, changed: Member) -> Snapshot:
    members = tuple(changed if member.service.name == changed.service.name else member for member in snapshot.members)
    return replace(snapshot, members=members)


def _names(snapshot: Snapshot) -> tuple[str, ...]:
    return tuple(member.service.name for member in snapshot.members)


def _told(wanted: Iterable[Candidate]) -> str:
    return ", ".join(f"{one.service} {one.colour} {one.release or '(no release yet)'}" for one in wanted)


def _running(member: Member) -> list[Colour]:
    return [colour for colour, observed in member.observed.items() if observed.known and observed.servers]


def _sole(releases: frozenset[str]) -> str | None:
    return next(iter(releases)) if len(releases) == 1 else None
