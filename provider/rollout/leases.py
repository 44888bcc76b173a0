"""The lease of a deployment: the right of one of them to change the standby (rule 17)."""

from dataclasses import replace
from datetime import timedelta

from provider.model import Decision, Event, Instant, Lease, Member, Snapshot, Trigger
from provider.rollout.candidates import member_of, moved_by
from provider.rollout.commands.types import REASON_WANTED, Done, Refusal, Refused
from provider.rollout.transitions import Taken, with_state

LEASE_S = 900.0
SLACK_S = 60.0


def current(member: Member, now: Instant) -> Lease | None:
    """Return the lease on a service that holds now: not ended by anybody, and not over.

    Its time is that of this process. One of an earlier process goes by its date, and one that would last longer than
    any lease can has had the clock set back under it: it is over.
    """
    lease = member.state.lease
    if lease is None or lease.ended_by is not None:
        return None
    if lease.until_mono_s is not None:
        return lease if now.mono_s < lease.until_mono_s else None
    left_s = (lease.until_utc - now.utc).total_seconds()
    return lease if 0.0 < left_s <= LEASE_S + SLACK_S else None


def take(
    snapshot: Snapshot,
    service: str,
    holder: str,
    lease_id: str,
    now: Instant,
    *,
    force: bool = False,
    reason: str | None = None,
) -> Done | Refused:
    """Rule 17: give one deployment the right to change the standby of a service, for 15 minutes; or renew it."""
    member = member_of(snapshot, service)
    before, lease = member.state.lease, current(member, now)
    until_utc, until_mono_s = now.utc + timedelta(seconds=LEASE_S), now.mono_s + LEASE_S
    if before is not None and before.ended_by is not None and before.id == lease_id:
        return Refused(Refusal.LEASED, _ended(before, service))
    if lease is not None and (lease.id, lease.holder) == (lease_id, holder):
        renewed, event = replace(lease, until_utc=until_utc, until_mono_s=until_mono_s), Event.LEASE_RENEWED
    elif (refusal := _refusal(snapshot, member, lease, force=force, reason=reason)) is not None:
        return refusal
    else:
        renewed, event = Lease(lease_id, holder, until_utc, until_mono_s=until_mono_s), Event.LEASE_TAKEN
    standby = member.state.active.other if member.state.active else None
    row = Decision(now.utc, service, event, standby, trigger=Trigger.COMMAND, actor=holder, detail=reason)
    changed = with_state(snapshot, member, replace(member.state, lease=renewed))
    return Done(changed, (row,), f"{standby} of {service} is yours to change")


def _refusal(
    snapshot: Snapshot, member: Member, lease: Lease | None, *, force: bool, reason: str | None
) -> Refused | None:
    service, under_way = member.service.name, snapshot.state.rollout
    if force and not reason:
        return REASON_WANTED
    if lease is not None:
        until = f"{lease.until_utc:%H:%M:%S} UTC"
        return Refused(
            Refusal.LEASED, f"{lease.holder} deploys {service} and holds its lease until {until}; wait for that"
        )
    moves = moved_by(under_way, service)
    if under_way is not None and under_way.step is not None and not force:
        return Refused(
            Refusal.BUSY,
            f"rollout {under_way.id} is in step {under_way.step.number}: the standby serves traffic. Wait until it is "
            f"over (bluegreen wait {moves} --until steady), abort it (bluegreen abort {moves}), or force it with a "
            "reason",
        )
    if under_way is not None and under_way.is_switched and not force:
        return Refused(
            Refusal.BUSY,
            f"rollout {under_way.id} is in phase {under_way.phase}: its rollback target must stay as it is. Wait until "
            f"it is over (bluegreen wait {moves} --until steady), roll back (bluegreen rollback {moves}), or force it "
            "with a reason",
        )
    if member.state.active is None:
        return Refused(
            Refusal.NOT_READY, f"{service} has no active colour yet, and so no standby: bluegreen explain {service}"
        )
    return None


def end_at_step(snapshot: Snapshot, now: Instant) -> Taken:
    """Rule 20: the lease of a deployment ends with the first step of what it brought."""
    under_way = snapshot.state.rollout
    rows = []
    for one in under_way.candidates if under_way else ():
        member = member_of(snapshot, one.service)
        lease = member.state.lease
        if lease is None or lease.ended_by is not None:
            continue
        detail = "the first step has begun"
        rows.append(Decision(now.utc, one.service, Event.LEASE_ENDED, actor=lease.holder, detail=detail))
        snapshot = with_state(snapshot, member, replace(member.state, lease=None))
    return snapshot, tuple(rows)


def give_back(
    snapshot: Snapshot,
    service: str,
    lease_id: str | None,
    now: Instant,
    *,
    actor: str | None = None,
    may_end_any: bool = False,
    reason: str | None = None,
) -> Done | Refused:
    """End a lease; that of somebody else stays. Without `actor` it is its holder who gives it back.

    Who `may_end_any` ends that of another, also without its id. Then the lease is kept as ended, for its holder to see.
    """
    member = member_of(snapshot, service)
    lease = member.state.lease
    if lease is not None and lease.ended_by is not None and lease_id in {None, lease.id}:
        return Done(snapshot, (), _ended(lease, service), already=True)
    if lease is None or lease.id != (lease_id or lease.id):
        return Done(snapshot, (), f"there is no such lease on {service}", already=True)
    if lease_id is None and not may_end_any:
        return Refused(Refusal.SCOPE, f"to end a lease on {service} without its id needs the scope operate")
    by = actor or lease.holder
    if by != lease.holder and not may_end_any:
        return Refused(
            Refusal.SCOPE,
            f"the lease on {service} is held by {lease.holder}: only {lease.holder} or the scope operate ends it",
        )
    because = f": {reason}" if reason else ""
    detail = reason if by == lease.holder else f"it was held by {lease.holder}{because}"
    row = Decision(now.utc, service, Event.LEASE_ENDED, trigger=Trigger.COMMAND, actor=by, detail=detail)
    kept = None if by == lease.holder else replace(lease, ended_by=by, ended_because=reason)
    changed = with_state(snapshot, member, replace(member.state, lease=kept))
    return Done(changed, (row,), f"the lease on {service} has ended")


def _ended(lease: Lease, service: str) -> str:
    because = f": {lease.ended_because}" if lease.ended_because else ""
    return f"the lease that {lease.holder} held on {service} was ended by {lease.ended_by}{because}"
