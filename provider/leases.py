"""The lease of a deployment: the right of one of them to change what stands by (rule 17)."""

from dataclasses import replace
from datetime import timedelta

from provider.commands import REASON_WANTED, Done, Refusal, Refused
from provider.model import Decision, Instant, Lease, Member, Snapshot, Trigger
from provider.steps import with_state
from provider.wanted import member_of

LEASE_S = 900.0


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
    lease = member.state.lease if member.state.lease and now.utc < member.state.lease.until_utc else None
    until_utc = now.utc + timedelta(seconds=LEASE_S)
    if lease is not None and lease.id == lease_id:
        renewed, event = replace(lease, until_utc=until_utc), "lease-renewed"
    elif (refusal := _refusal(snapshot, member, lease, force=force, reason=reason)) is not None:
        return refusal
    else:
        renewed, event = Lease(lease_id, holder, until_utc), "lease-taken"
    standby = member.state.active.other if member.state.active else None
    told = Decision(now.utc, service, event, standby, trigger=Trigger.COMMAND, actor=holder, detail=reason)
    changed = with_state(snapshot, member, replace(member.state, lease=renewed))
    return Done(changed, (told,), f"{standby} of {service} is yours to change")


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
    if under_way is not None and under_way.is_switched and not force:
        back = f"bluegreen rollback {service}"
        return Refused(
            Refusal.BUSY,
            f"rollout {under_way.id} is {under_way.phase}: its way back must stay as it is. Wait until it is over "
            f"(bluegreen wait {service} --until steady), take the way back ({back}), or force it with a reason",
        )
    if member.state.active is None:
        return Refused(
            Refusal.NOT_READY, f"{service} has no active colour yet, so none stands by: bluegreen explain {service}"
        )
    return None


def give_back(snapshot: Snapshot, service: str, lease_id: str, now: Instant) -> Done:
    """End a lease; that of somebody else stays."""
    member = member_of(snapshot, service)
    lease = member.state.lease
    if lease is None or lease.id != lease_id:
        return Done(snapshot, (), f"there is no such lease on {service}", already=True)
    told = Decision(now.utc, service, "lease-ended", trigger=Trigger.COMMAND, actor=lease.holder)
    changed = with_state(snapshot, member, replace(member.state, lease=None))
    return Done(changed, (told,), f"the lease on {service} has ended")
