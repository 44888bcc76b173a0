"""What operators command: each verb is done at once, or refused with a reason one can act on (rules 9 to 11)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from provider import rollout, wayback
from provider.gates import is_way_back
from provider.model import (
    Approval,
    Candidate,
    Colour,
    Decision,
    Instant,
    Member,
    Override,
    Pause,
    Phase,
    Snapshot,
    Trigger,
    Verb,
)
from provider.model.releases import are_known, is_part
from provider.rollout import Event
from provider.steps import Taken, advance, begin, rows, with_first_colour, with_state
from provider.wanted import candidate_of, candidates, held_by, is_held, limits, member_of


class Refusal(StrEnum):
    """Why a command was refused, for programs."""

    STALE = "stale"
    NOT_READY = "not-ready"
    NO_ROLLOUT = "no-rollout"
    HELD = "held"
    BUSY = "busy"
    LEASED = "leased"
    NO_RELEASE = "no-release"
    REASON_WANTED = "reason-wanted"
    SCOPE = "scope"


@dataclass(frozen=True, slots=True)
class Command:
    """One command of an operator's, or of a pipeline's; which fields count depends on the verb.

    `may_go_back` is whether its actor may roll back: a switch to the rollback target is nothing else.
    """

    verb: Verb
    service: str
    actor: str
    colour: Colour | None = None
    release: str | None = None
    leaving: str | None = None
    force: bool = False
    reason: str | None = None
    may_go_back: bool = True


@dataclass(frozen=True, slots=True)
class Done:
    """What a command comes to: the state to commit, and words for the operator.

    `already` says that there was nothing to do, `pending` that something has begun and is not over.
    """

    snapshot: Snapshot
    decisions: tuple[Decision, ...]
    detail: str
    already: bool = False
    pending: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """Why nothing was done, and the way out."""

    code: Refusal
    detail: str


REASON_WANTED = Refused(Refusal.REASON_WANTED, "who forces says why: give a reason (--reason)")


def command(snapshot: Snapshot, given: Command, now: Instant) -> Done | Refused:
    """Do what is commanded; the service must be a member of the group."""
    if given.force and not given.reason:
        return REASON_WANTED
    return _VERBS[given.verb](snapshot, given, now)


# --- forward --------------------------------------------------------------------------------------------------------


def _switch(snapshot: Snapshot, given: Command, now: Instant) -> Done | Refused:
    member, colour = member_of(snapshot, given.service), given.colour
    if colour is None:
        raise AssertionError("switch names a colour")
    if member.state.active is None:
        return _settle(snapshot, member, colour, given, now)
    under_way = snapshot.state.rollout
    if member.state.active is colour and given.release is not None and not _runs(member, colour, given.release):
        running = ", ".join(sorted(_running(member, colour)))
        return Refused(
            Refusal.STALE, f"{colour} of {given.service} is active with release {running}, not {given.release}"
        )
    if member.state.active is colour:
        if under_way is not None and not under_way.is_switched and candidate_of(snapshot, given.service):
            return _abort(snapshot, replace(given, reason=given.reason or f"{colour} was asked for"), now)
        changed, told = _lift(snapshot, member, given, now)
        return Done(changed, told, f"{colour} of {given.service} is active", already=not told)
    wanted = _chosen(member, colour, given)
    if isinstance(wanted, Refused):
        return wanted
    if is_way_back(member, wanted) and not given.may_go_back:
        return Refused(
            Refusal.SCOPE,
            f"{wanted.colour} of {given.service} runs its rollback target, release {wanted.release}: to switch to it "
            f"is a rollback, without gates and approval, and needs the scope operate. A release with another "
            f"bluegreen.version goes through the gates",
        )
    if under_way is not None and not under_way.is_switched and wanted in under_way.candidates and not given.force:
        return Done(snapshot, (), f"rollout {under_way.id} is on its way to {colour}", already=True, pending=True)
    if is_held(snapshot) and not given.force and not is_way_back(member, wanted):
        return Refused(Refusal.HELD, f"{held_by(snapshot) or 'the group is held'}; or force it with a reason")
    return _begin(snapshot, member, wanted, given, now)


def _begin(snapshot: Snapshot, member: Member, wanted: Candidate, given: Command, now: Instant) -> Done:
    told: tuple[Decision, ...] = ()
    if snapshot.state.rollout is not None:
        because = f": {given.reason}" if given.reason else ""
        superseded = f"{given.actor} asked for {wanted.colour}{because}"
        snapshot, told = advance(snapshot, Event.SUPERSEDED, now, superseded, actor=given.actor)
    others = _others(snapshot, member, wanted, forced=given.force)
    moving = tuple(sorted([wanted, *others]))
    for one in moving:
        snapshot = _against_file(_cleared(snapshot, one), one, given, now)
    forced = given.reason if given.force else None
    begun, more = begin(snapshot, moving, Trigger.COMMAND, now, actor=given.actor, forced=forced, reason=given.reason)
    number = begun.state.rollout.id if begun.state.rollout else ""
    return Done(begun, (*told, *more), f"rollout {number} to {wanted.colour} has begun", pending=True)


def _settle(snapshot: Snapshot, member: Member, colour: Colour, given: Command, now: Instant) -> Done | Refused:
    """Rule 1: an undecided service gets the colour that an operator names; what then stands by is settled."""
    if not all(observed.known for _, observed in member.observed.items()):
        return Refused(Refusal.NOT_READY, "Docker has not listed its containers yet; try again when it has")
    if not member.observed[colour].staying:
        return Refused(Refusal.NO_RELEASE, f"{colour} of {given.service} has no servers; start one first")
    told = Decision(
        now.utc,
        given.service,
        "first-sight",
        colour,
        member.observed[colour].release,
        trigger=Trigger.COMMAND,
        actor=given.actor,
        detail=given.reason or "named by switch",
    )
    return Done(with_first_colour(snapshot, member, colour), (told,), f"{colour} of {given.service} is active")


def _approve(snapshot: Snapshot, given: Command, now: Instant) -> Done | Refused:
    """P1: an approval is for one release, and never for another one that came in the meantime."""
    under_way, member = snapshot.state.rollout, member_of(snapshot, given.service)
    candidate = candidate_of(snapshot, given.service)
    active = member.state.active
    if under_way is None or candidate is None or under_way.is_switched:
        if active is not None and given.release and are_known([given.release], member.state.settled[active]):
            return Done(snapshot, (), f"release {given.release} is active", already=True)
        return Refused(
            Refusal.NO_ROLLOUT,
            f"no rollout of {given.service} waits for an approval: bluegreen explain {given.service}",
        )
    if candidate.release != given.release:
        return Refused(
            Refusal.STALE,
            f"the approval is for release {given.release}, and rollout {under_way.id} brings release "
            f"{candidate.release}: look at that, then bluegreen approve {given.service} --release {candidate.release}",
        )
    if under_way.approval is not None:
        return Done(snapshot, (), f"release {given.release} was approved by {under_way.approval.actor}", already=True)
    if not any(member_of(snapshot, one.service).service.approval_is_manual for one in under_way.candidates):
        return Done(snapshot, (), f"release {given.release} needs no approval", already=True)
    state = rollout.approve(snapshot.state, Approval(given.actor, now.utc), limits(snapshot))
    told = rows(
        under_way,
        "approval-given",
        under_way.phase,
        now,
        detail=given.reason,
        actor=given.actor,
        trigger=Trigger.COMMAND,
    )
    pending = under_way.phase is not Phase.APPROVAL
    return Done(replace(snapshot, state=state), told, f"release {given.release} is approved", pending=pending)


def _retry(snapshot: Snapshot, given: Command, now: Instant) -> Done | Refused:
    """Try again what failed: lift the override and the quarantine of what stands by, forget what was settled of it."""
    if snapshot.state.rollout is not None:
        return Refused(
            Refusal.BUSY, f"rollout {snapshot.state.rollout.id} is {snapshot.state.rollout.phase}; it must end first"
        )
    before, failed = snapshot.state, list[str]()
    for member in snapshot.members:
        active = member.state.active
        if active is None:
            continue
        release = member.observed[active.other].release
        one = Candidate(member.service.name, active.other, release)
        if rollout.quarantine_of(before, (one,)) is None and member.state.override is None:
            continue
        failed.append(f"{one.service} {one.colour} {release or '(nothing runs there)'}")
        snapshot = _cleared(snapshot, one)
        here = member_of(snapshot, one.service)
        kept = (each for each in here.state.settled[one.colour] if not is_part(release, each))
        unsettled = here.state.settled.put(one.colour, frozenset(kept))
        # As the way back it would be asked for its health alone; what is tried again passes every gate.
        way_back = None if is_way_back(here, one) else here.state.way_back
        snapshot = with_state(snapshot, here, replace(here.state, settled=unsettled, way_back=way_back))
    if not failed:
        return Done(snapshot, (), f"nothing that stands by in {given.service} is quarantined", already=True)
    told = Decision(now.utc, given.service, "retry", trigger=Trigger.COMMAND, actor=given.actor, detail=given.reason)
    wanted = candidates(snapshot)
    if not wanted or is_held(snapshot):
        return Done(snapshot, (told,), f"no longer kept out: {', '.join(failed)}")
    begun, more = begin(snapshot, wanted, Trigger.COMMAND, now, actor=given.actor)
    return Done(begun, (told, *more), f"tried again: {', '.join(failed)}", pending=True)


# --- back -----------------------------------------------------------------------------------------------------------


def _abort(snapshot: Snapshot, given: Command, now: Instant) -> Done | Refused:
    """P8: always wins before the switch, and asks nothing of the candidate; after it, abort is rollback."""
    under_way = snapshot.state.rollout
    if under_way is None:
        return Done(snapshot, (), f"no rollout of {given.service} is under way", already=True)
    if under_way.is_switched:  # what it moved goes back, also where a member that stayed was named (rule 11)
        moved = given.service if candidate_of(snapshot, given.service) else under_way.candidates[0].service
        return _roll_back(snapshot, replace(given, service=moved), now)
    reason = given.reason or f"aborted by {given.actor}"
    changed, told = advance(snapshot, Event.ABORTED, now, reason, actor=given.actor, trigger=Trigger.COMMAND)
    for one in under_way.candidates:
        member = member_of(changed, one.service)
        if member.state.active is not None:
            override = Override(member.state.active, one.release, reason, given.actor, now.utc)
            changed = with_state(changed, member, replace(member.state, override=override))
    return Done(changed, told, f"rollout {under_way.id} is aborted")


def _roll_back(snapshot: Snapshot, given: Command, now: Instant) -> Done | Refused:
    """P7 and rule 9: one switch, no gates, for all members that moved together; or none of them."""
    member = member_of(snapshot, given.service)
    active = member.state.active
    if given.leaving is not None and active is not None and not _runs(member, active, given.leaving):
        return Done(snapshot, (), f"release {given.leaving} of {given.service} is not active any more", already=True)
    moving = wayback.together(snapshot, given.service) or (member,)
    for one in moving:
        reason = wayback.not_ready(one, snapshot.state, waive_health=given.force)
        if reason is not None:
            more = _in_place_of(one, snapshot, given)
            return Refused(Refusal.NOT_READY, f"{one.service.name} has no way back: {reason}{more}")
    told: Taken = wayback.roll_back(
        snapshot,
        moving,
        now,
        given.reason or f"rolled back by {given.actor}",
        trigger=Trigger.COMMAND,
        actor=given.actor,
    )
    changed, decisions = told
    back = member_of(changed, given.service).state.active
    return Done(changed, decisions, f"{back} of {given.service} is active again")


def _in_place_of(member: Member, snapshot: Snapshot, given: Command) -> str:
    """Name what works in place of a rollback that is refused."""
    if not given.force and wayback.not_ready(member, snapshot.state, waive_health=True) is None:
        return _FORCE[given.verb]
    instead, active = wayback.command_now(member, snapshot.state), member.state.active
    if instead is None or active is None:
        return ""
    return f"; {active.other} runs release {member.observed[active.other].release}, healthy: to switch to it, {instead}"


# --- in between -----------------------------------------------------------------------------------------------------


def _pause(snapshot: Snapshot, given: Command, now: Instant) -> Done:
    if snapshot.state.paused is not None:
        return Done(snapshot, (), f"{given.service} was paused by {snapshot.state.paused.actor}", already=True)
    state = replace(snapshot.state, paused=Pause(given.actor, given.reason, now.utc))
    for member in snapshot.members:  # else one that is yet to be decided would not take it along to another group
        if member.state.active is None:
            snapshot = with_state(snapshot, member, replace(member.state, group=member.service.group))
    return Done(replace(snapshot, state=state), (_told("paused", given, now),), f"{given.service} is paused")


def _resume(snapshot: Snapshot, given: Command, now: Instant) -> Done:
    if snapshot.state.paused is None:
        return Done(snapshot, (), f"{given.service} is not paused", already=True)
    state = replace(snapshot.state, paused=None)
    return Done(replace(snapshot, state=state), (_told("resumed", given, now),), f"{given.service} goes on")


_VERBS: Mapping[Verb, Callable[[Snapshot, Command, Instant], Done | Refused]] = {
    Verb.SWITCH: _switch,
    Verb.APPROVE: _approve,
    Verb.ABORT: _abort,
    Verb.ROLLBACK: _roll_back,
    Verb.RETRY: _retry,
    Verb.PAUSE: _pause,
    Verb.RESUME: _resume,
}
_FORCE = {
    Verb.ROLLBACK: "; --force with a --reason waives its health",
    Verb.ABORT: "; bluegreen rollback with --force and a --reason waives its health",
}


def _chosen(member: Member, colour: Colour, given: Command) -> Candidate | Refused:
    """Return the release that a switch is to bring."""
    observed, name = member.observed[colour], member.service.name
    if not observed.known or not observed.staying:
        return Refused(Refusal.NO_RELEASE, f"{colour} of {name} has no servers; start one first")
    if observed.release is None:
        running = ", ".join(sorted(observed.releases))
        return Refused(Refusal.NO_RELEASE, f"{colour} of {name} is mixed: it runs {running}; give it one release first")
    if given.release is not None and given.release != observed.release:
        return Refused(Refusal.STALE, f"{colour} of {name} runs release {observed.release}, not {given.release}")
    return Candidate(name, colour, observed.release)


def _others(snapshot: Snapshot, member: Member, wanted: Candidate, *, forced: bool) -> tuple[Candidate, ...]:
    """Return what moves with the chosen release: the way back of those that left with it, else what is wanted.

    P1 and P9: force is for what was named, so it takes along nothing but that way back; what failed is tried again by
    its own name only.
    """
    if is_way_back(member, wanted):
        moving = tuple(
            Candidate(each.service.name, each.state.way_back.colour, each.state.way_back.release)
            for each in wayback.together(snapshot, member.service.name)
            if each.state.way_back is not None
        )
    else:
        moving = () if forced else candidates(snapshot)
    return tuple(
        each
        for each in moving
        if each.service != wanted.service and rollout.quarantine_of(snapshot.state, (each,)) is None
    )


def _cleared(snapshot: Snapshot, one: Candidate) -> Snapshot:
    """Forget that this candidate failed, and what stands against it."""
    member = member_of(snapshot, one.service)
    state = rollout.release_from_quarantine(snapshot.state, one.service, one.colour)
    cleared = with_state(snapshot, member, replace(member.state, override=None))
    return replace(cleared, state=state)


def _against_file(snapshot: Snapshot, one: Candidate, given: Command, now: Instant) -> Snapshot:
    """Let a command stand where the file names the other colour: as an override (rule 10)."""
    member = member_of(snapshot, one.service)
    against = member.service.active.colour
    if against is None or against is one.colour:
        return snapshot
    reason = given.reason or f"switched to {one.colour} by command, while the file says active: {against}"
    override = Override(one.colour, member.observed[against].release, reason, given.actor, now.utc)
    return with_state(snapshot, member, replace(member.state, override=override))


def _lift(snapshot: Snapshot, member: Member, given: Command, now: Instant) -> Taken:
    if member.state.override is None:
        return snapshot, ()
    changed = with_state(snapshot, member, replace(member.state, override=None))
    return changed, (_told("override-lifted", given, now),)


def _running(member: Member, active: Colour) -> frozenset[str]:
    return member.observed[active].releases or member.state.settled[active]


def _runs(member: Member, active: Colour, release: str) -> bool:
    """Tell whether the active colour runs a release, or what is left of it, or it and another service since."""
    running = _running(member, active)
    return are_known([release], running) or are_known(running, [release])


def _told(event: str, given: Command, now: Instant) -> Decision:
    return Decision(now.utc, given.service, event, trigger=Trigger.COMMAND, actor=given.actor, detail=given.reason)
