"""Says in words where a service stands: what has the traffic, what blocks, since when, what happens next and when."""

from datetime import datetime, timedelta

from provider import leases
from provider.durations import spoken
from provider.gates import colour_state
from provider.model import Colour, Gate, Instant, Member, Phase, Rollout, Snapshot
from provider.status import Standing, applied, blocking
from provider.wanted import candidate_of, gates_of
from provider.wayback import command_now, not_ready

NEXT = {
    Phase.WAITING: "when it is healthy, its smoke tests are made",
    Phase.TESTING: "when every smoke test has passed, it goes on to the approval",
    Phase.APPROVAL: "when it is approved, it is listed once more and takes the traffic",
    Phase.SHIFTING: "when Docker has listed it once more, it takes the traffic",
    Phase.CONFIRMING: "when every Traefik shows the switch, the watch begins",
    Phase.WATCHING: "when the watch is over, the release is settled and the old colour may be stopped",
}
AT_DEADLINE = {
    Phase.WAITING: "otherwise it expires: it is quarantined, and nothing was switched",
    Phase.TESTING: "otherwise it expires: it is quarantined, and nothing was switched",
    Phase.APPROVAL: "otherwise it expires: it is quarantined, and nothing was switched",
    Phase.SHIFTING: "otherwise it expires: it is quarantined, and nothing was switched",
    Phase.CONFIRMING: "then the watch begins unconfirmed, or what Traefik did not apply is taken back",
    Phase.WATCHING: "until then it is taken back by itself if it fails while the way back is healthy",
}
FORCED = "it was forced, and is not taken back by itself for its health"


def explain(standing: Standing, now: Instant) -> list[str]:
    """Return the sentences, the most important ones first."""
    member, snapshot = standing.member, standing.snapshot
    lines = [_traffic(member)]
    under_way = snapshot.state.rollout
    if under_way is not None and candidate_of(snapshot, member.service.name) is not None:
        lines += _rollout(snapshot, member, under_way, now)
    why = blocking(snapshot, member, now)
    if why is not None:
        lines.append(f"It waits: {why}.")
    elif under_way is None:
        lines.append("Nothing is under way, and nothing is wanted that is not there.")
    lines.append(_rollback(member, snapshot))
    if member.state.active is not None and member.applied:
        lines.append(f"Read back: {applied(member)['detail']}.")
    lease = leases.standing(member, now)
    if lease is not None:
        lines.append(f"{lease.holder} deploys it, until {_clock(lease.until_utc)} at most.")
    lines += [f"{condition.severity}: {condition.message}" for condition in standing.conditions]
    return lines


def _traffic(member: Member) -> str:
    active = member.state.active
    if active is None:
        return f"{member.service.name}: no colour has the traffic yet."
    since = f" since {_clock(member.state.switched_utc)}" if member.state.switched_utc else ""
    return (
        f"{member.service.name}: {active} has the traffic{since}: {_colour(member, active)}. "
        f"{active.other} stands by: {_colour(member, active.other)}."
    )


def _colour(member: Member, colour: Colour) -> str:
    observed = member.observed[colour]
    if not observed.servers:
        return "no servers" if observed.known else "not known yet"
    versions = ", ".join(sorted({server.version for server in observed.servers if server.version}))
    release = f"release {observed.release}" if observed.release else "several releases"
    servers = "1 server" if len(observed.servers) == 1 else f"{len(observed.servers)} servers"
    return f"{release}{f' ({versions})' if versions else ''}, {servers}, {colour_state(member, colour)}"


def _rollout(snapshot: Snapshot, member: Member, under_way: Rollout, now: Instant) -> list[str]:
    one = candidate_of(snapshot, member.service.name)
    if one is None:
        return []
    by = f" by {under_way.actor}" if under_way.actor else ""
    began = (
        f"Rollout {under_way.id} brings release {one.release or '(not known yet)'} to {one.colour}. It began "
        f"{_ago(under_way.since_utc, now)} ago ({under_way.trigger}{by}) and is in phase {under_way.phase} for "
        f"{_ago(under_way.entered_utc or under_way.since_utc, now)}."
    )
    lines = [began]
    if not under_way.is_switched:
        found = gates_of(snapshot, one, now)
        told = [f"{gate} {found[gate].state}{_because(found[gate].reason)}" for gate in Gate]
        lines.append(f"Gates: {'; '.join(told)}.")
        if member.service.preview_url is not None:
            lines.append(f"Look at it before it takes the traffic: {member.service.preview_url}")
    upcoming = f"Next: {NEXT[under_way.phase]}"
    if under_way.deadline_mono_s is None:
        lines.append(f"{upcoming}; its time stands still while it is held.")
    elif under_way.still_mono_s is not None:
        left_s = max(0.0, under_way.deadline_mono_s - under_way.still_mono_s)
        lines.append(f"{upcoming}; its time stands still until Docker answers, and {spoken(left_s)} are left then.")
    else:
        left_s = max(0.0, under_way.deadline_mono_s - under_way.clock_mono_s(now))
        until = _clock(now.utc + timedelta(seconds=left_s))
        then = FORCED if under_way.is_switched and under_way.forced else AT_DEADLINE[under_way.phase]
        lines.append(f"{upcoming}. It has until {until} ({spoken(left_s)}); {then}.")
    return lines


def _rollback(member: Member, snapshot: Snapshot) -> str:
    reason, back = not_ready(member, snapshot.state), member.state.way_back
    command = command_now(member, snapshot.state)
    if reason is None and back is not None:
        return f"The way back is ready, to release {back.release} in {back.colour}: {command}"
    instead = f" To give the other colour the traffic all the same: {command}" if command else ""
    return f"There is no way back now: {reason}.{instead}"


def _because(reason: str | None) -> str:
    return f" ({reason})" if reason else ""


def _clock(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _ago(since: datetime, now: Instant) -> str:
    return spoken((now.utc - since).total_seconds())
