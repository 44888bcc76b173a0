"""Says how things stand: the answers of the admin API, with what blocks a service and how to go on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from provider import leases, rollout
from provider.gates import Assessment, Verdict, assess, colour_state
from provider.model import (
    Candidate,
    Colour,
    Condition,
    Decision,
    Gate,
    GateState,
    GroupState,
    Health,
    Instant,
    Member,
    Phase,
    Rollout,
    ServerHealth,
    ServerKey,
    Severity,
    Snapshot,
)
from provider.wanted import candidate_of, candidates, gates_of, held_by, holding_up, is_held, quarantine
from provider.watching import failing, read_back, unconfirmed
from provider.wayback import command_now, lost, made_room, not_ready

TOLD_MOST = 4


@dataclass(frozen=True, slots=True)
class Standing:
    """All that the status of one service is told from. The id of a lease is for who may take one."""

    snapshot: Snapshot
    member: Member
    environment: str
    revision: int | None
    health: Mapping[ServerKey, ServerHealth]
    since_utc: datetime
    conditions: tuple[Condition, ...]
    shows_lease_id: bool = False


def service_status(standing: Standing, now: Instant) -> dict[str, object]:
    """Return the answer of `GET /api/v1/services/{name}`."""
    member, snapshot = standing.member, standing.snapshot
    active = member.state.active
    shares = dict(rollout.weights(active)) if active else {}
    own = service_conditions(member, snapshot.state, standing.health, standing.since_utc)
    conditions = (*standing.conditions, *own)
    return {
        "service": member.service.name,
        "environment": standing.environment,
        "group": member.service.group,
        "url": member.service.url,
        "preview_url": member.service.preview_url,
        "desired": member.service.active,
        "active": active,
        "phase": phase_of(snapshot, member),
        "weights": {colour: shares.get(colour, 0) for colour in Colour},
        "revision": standing.revision,
        "confirmed": unconfirmed(member) is None,
        "applied": applied(member),
        "paused": is_held(snapshot),
        "colours": {colour: _colour(standing, colour) for colour in Colour},
        "rollout": _rollout(standing, now),
        "wanted": _wanted(snapshot, member),
        "blocking": blocking(snapshot, member, now),
        "rollback": way_back(member, snapshot),
        "rollback_with_force": not_ready(member, snapshot.state, waive_health=True) is None,
        "override": _override(member),
        "lease": _lease(standing, now),
        "quarantined": _quarantined(standing),
        "switched": time_status(member.state.switched_utc),
        "conditions": [condition_status(condition) for condition in conditions],
    }


def condition_status(condition: Condition) -> dict[str, object]:
    """Return one entry of `conditions`."""
    return {
        "code": condition.code,
        "severity": condition.severity,
        "message": condition.message,
        "since": time_status(condition.since_utc),
    }


def decision_status(decision: Decision) -> dict[str, object]:
    """Return one entry of the history."""
    return {
        "at": time_status(decision.at_utc),
        "service": decision.service,
        "event": decision.event,
        "colour": decision.colour,
        "release": decision.release,
        "rollout": decision.rollout,
        "phase": decision.phase,
        "outcome": decision.outcome,
        "trigger": decision.trigger,
        "actor": decision.actor,
        "detail": decision.detail,
        "evidence": list(decision.evidence),
    }


def phase_of(snapshot: Snapshot, member: Member) -> Phase:
    """Return the phase of the service's own candidate; a member that moves nothing is steady."""
    return rollout.phase(snapshot.state) if candidate_of(snapshot, member.service.name) else Phase.STEADY


def desired_colour(snapshot: Snapshot, member: Member) -> Colour | None:
    """Return the colour that is wanted active: the one the file names, else the candidate's, else the active one."""
    candidate = candidate_of(snapshot, member.service.name)
    return member.service.active.colour or (candidate.colour if candidate else member.state.active)


def blocking(snapshot: Snapshot, member: Member, now: Instant) -> str | None:
    """Say what keeps the service from what is wanted of it, and how to go on; None when nothing does."""
    if member.state.active is None:
        return _undecided(member)
    if candidate_of(snapshot, member.service.name):
        return _awaited(snapshot, member, now)
    wanted = next((one for one in candidates(snapshot) if one.service == member.service.name), None)
    if wanted is None:
        return _overridden(member)
    under_way = snapshot.state.rollout
    if under_way is not None:
        return f"{_release(wanted)} waits for the end of rollout {under_way.id}, which is {under_way.phase}"
    held = held_by(snapshot)
    if held:
        return f"{_release(wanted)} waits: {held}"
    failed = quarantine(snapshot)
    if failed:
        why = f" ({failed.reason})" if failed.reason else ""
        return (
            f"{_release(wanted)} is quarantined: rollout {failed.rollout} ended as {failed.outcome}{why}; start a new "
            f"release in {wanted.colour}, or try it again: bluegreen retry {member.service.name}"
        )
    return None


def way_back(member: Member, snapshot: Snapshot) -> dict[str, object]:
    """Say whether the way back could be taken now, and if not, why (rule 9)."""
    back = member.state.way_back
    reason = not_ready(member, snapshot.state)
    return {
        "ready": reason is None,
        "to": back.colour if back else None,
        "release": back.release if back else None,
        "reason": reason,
        "command": command_now(member, snapshot.state),
    }


def applied(member: Member) -> dict[str, object]:
    """Say which of the Traefiks that are read back show what was decided, as far as is known now."""
    found = read_back(member)
    whys = "; ".join(dict.fromkeys(one.reason for one in found.missing))
    if found.is_verified:
        detail = f"applied by {found.by} of {found.of} Traefiks"
    elif not found.of:
        fetched = ", and every poller has fetched it" if member.fetched else ""
        detail = f"not verified: the file names no Traefik to read back (traefik.api){fetched}"
    elif found.by or found.is_refused:
        detail = f"applied by {found.by} of {found.of} Traefiks: {whys}"
    else:
        detail = f"not verified: {whys}"
    return {
        "by": found.by,
        "of": found.of,
        "verified": found.is_verified,
        "refused": found.is_refused,
        "detail": detail,
        "missing": [
            {"traefik": one.traefik, "answers": one.answers, "fetched": one.fetched, "reason": one.reason}
            for one in found.missing
        ],
    }


def _wanted(snapshot: Snapshot, member: Member) -> dict[str, object] | None:
    """Return the standby release that is to become active: under way, about to begin, or held; not one that failed."""
    wanted = next((one for one in candidates(snapshot) if one.service == member.service.name), None)
    if wanted is None or (snapshot.state.rollout is None and quarantine(snapshot)):
        return None
    return {"colour": wanted.colour, "release": wanted.release}


def _awaited(snapshot: Snapshot, member: Member, now: Instant) -> str | None:
    """Say what a rollout under way waits for."""
    under_way = snapshot.state.rollout
    if under_way is None or not under_way.is_switched:
        reason = holding_up(snapshot, now)
        is_still = reason is not None and under_way is not None and under_way.still_mono_s is not None
        return f"{reason}; its time stands still until Docker answers" if is_still else reason
    bad = failing(member, under_way.deaths_before)
    if bad is not None:
        reason = not_ready(member, snapshot.state)
        kept = f"it stays, for there is no way back: {reason}" if reason else "the way back has yet to pass its checks"
        if under_way.forced is not None and reason is None:
            kept = f"it was forced, so it stays until somebody says: bluegreen rollback {member.service.name}"
        return f"{bad.reason}; {kept}"
    if under_way.phase is Phase.CONFIRMING:
        return f"not confirmed yet: {unconfirmed(member) or 'another service of the group is not'}"
    clock_mono_s = under_way.clock_mono_s(now)
    left_s = max(0.0, (under_way.deadline_mono_s or clock_mono_s) - clock_mono_s)
    return f"release {member.observed[member.state.active or Colour.BLUE].release} is watched for {left_s:.0f} s more"


def _overridden(member: Member) -> str | None:
    override = member.state.override
    if override is None:
        return None
    by = f" by {override.actor}" if override.actor else ""
    return (
        f"traffic is kept at {override.colour}{by}: {override.reason}; this ends with a new release in "
        f"{override.colour.other}, another `active` in the file, or bluegreen retry {member.service.name}"
    )


def _override(member: Member) -> dict[str, object] | None:
    override = member.state.override
    if override is None:
        return None
    return {
        "colour": override.colour,
        "reason": override.reason,
        "actor": override.actor,
        "since": time_status(override.since_utc),
        "rejected": override.rejected,
    }


def _lease(standing: Standing, now: Instant) -> dict[str, object] | None:
    lease = leases.standing(standing.member, now)
    if lease is None:
        return None
    told: dict[str, object] = {"id": lease.id} if standing.shows_lease_id else {}
    return {**told, "holder": lease.holder, "until": time_status(lease.until_utc), "warning": lease.warning}


def _undecided(member: Member) -> str:
    if not all(observed.known for _, observed in member.observed.items()):
        return "undecided: Docker has not listed its containers yet"
    running = [colour for colour, observed in member.observed.items() if observed.servers]
    if member.state.undecided and len(running) < len(Colour):
        return f"undecided: both colours were seen running; name one: bluegreen switch {member.service.name} blue|green"
    if not running:
        return "undecided: no server of either colour was seen yet; start one, or write initial: blue in the file"
    return f"undecided: both colours have servers; name one: bluegreen switch {member.service.name} blue|green"


def service_conditions(
    member: Member, group: GroupState, health: Mapping[ServerKey, ServerHealth], since_utc: datetime
) -> tuple[Condition, ...]:
    """Return what an operator should know of one service; `since_utc` is when the daemon first saw it."""
    found = []
    active, replaced = member.state.active, member.state.replaced
    if active is None:
        found.append(Condition("undecided", Severity.WARNING, _undecided(member), since_utc))
    elif member.observed[active].known:
        found += _unserved(member, group, health, active)
    if replaced is not None:
        instead = f" instead of {replaced.before}" if replaced.before else ""
        message = f"{active} was replaced in place: it runs {replaced.release}{instead}"
        found.append(Condition("replaced", Severity.WARNING, message, replaced.since_utc))
    back, override = member.state.way_back, member.state.override
    if back is not None and back.lost is not None:
        why = lost(member, group) or back.lost  # what stands in its place may be another thing by now
        severity = Severity.INFO if made_room(member, group) else Severity.WARNING
        message = f"the way back to release {back.release} in {back.colour} is lost: {why}"
        found.append(Condition("way-back-lost", severity, message, None))
    found += _unclear(member, since_utc)
    if override is not None and (told := _overridden(member)):
        found.append(Condition("override", Severity.INFO, told, override.since_utc))
    return tuple(found)


def _unclear(member: Member, since_utc: datetime) -> Iterable[Condition]:
    """Yield what makes it unclear where Traefik reaches servers, or which of them answers (rules 38 and 39)."""
    servers = [(colour, server) for colour, observed in member.observed.items() for server in observed.servers]
    guesses = [f"{colour}: {server.guess}" for colour, server in servers if server.guess is not None]
    if guesses:
        yield Condition("network-unclear", Severity.WARNING, _first_of(guesses), since_utc)
    twins = [f"{colour} {server.url}: {server.twin}" for colour, server in servers if server.twin is not None]
    if twins:
        fix = "give each colour a port or a network of its own; until then nothing is switched"
        yield Condition("same-address", Severity.WARNING, f"{_first_of(twins)}; {fix}", since_utc)


def _first_of(told: list[str]) -> str:
    more = f" (and {len(told) - TOLD_MOST} more)" if len(told) > TOLD_MOST else ""
    return "; ".join(told[:TOLD_MOST]) + more


def _unserved(
    member: Member, group: GroupState, health: Mapping[ServerKey, ServerHealth], active: Colour
) -> Iterable[Condition]:
    servers = member.observed[active].servers
    known = [health[server.key] for server in servers if server.key in health]
    if not servers:
        message = (
            f"{active} is active and has no servers: requests are answered with 503; start one{_way_out(member, group)}"
        )
        yield Condition("no-servers", Severity.CRITICAL, message, None)
    elif known and all(found.health is Health.UNHEALTHY for found in known):
        message = (
            f"{active} is active and none of its {len(servers)} servers is healthy; all are served: {known[0].cause}"
            f"{_way_out(member, group)}"
        )
        yield Condition("none-healthy", Severity.CRITICAL, message, max(found.since_utc for found in known))


def _way_out(member: Member, group: GroupState) -> str:
    """Print the command that works now, where there is one (rule 8)."""
    command = command_now(member, group)
    return f"; to go back: {command}" if command else ""


def _colour(standing: Standing, colour: Colour) -> dict[str, object]:
    member = standing.member
    observed = member.observed[colour]
    versions = sorted({server.version for server in observed.servers if server.version})
    return {
        "release": observed.release,
        "version": ", ".join(versions) or None,
        "state": colour_state(member, colour),
        "servers": [
            {
                "url": server.url,
                **_health(standing, assess(member, server), server.key),
                "container": server.container,
                "release": server.release,
                "version": server.version,
                "leaving": server.leaving_mono_s is not None,
                "published": server.key in member.published,
            }
            for server in sorted(observed.servers, key=lambda server: server.url)
        ],
    }


def _health(standing: Standing, found: Assessment, key: ServerKey) -> dict[str, object]:
    kept = standing.health.get(key)
    return {"health": found.health, "cause": found.cause, "since": time_status(kept.since_utc if kept else None)}


def _rollout(standing: Standing, now: Instant) -> dict[str, object] | None:
    under_way, one = standing.snapshot.state.rollout, candidate_of(standing.snapshot, standing.member.service.name)
    if under_way is None or one is None:
        return None
    return {
        "id": under_way.id,
        "candidate": one.colour,
        "release": one.release,
        "trigger": under_way.trigger,
        "actor": under_way.actor,
        "since": time_status(under_way.since_utc),
        "deadline": time_status(_deadline_utc(under_way, now)),
        "gates": {
            gate: {"state": verdict.state} | ({"reason": verdict.reason} if verdict.reason else {})
            for gate, verdict in _gates(standing, under_way, one, now)
        },
        "forced": under_way.forced,
        "smoke": _smoke(standing.member, under_way),
        "approval": _approval(under_way),
    }


def _gates(standing: Standing, under_way: Rollout, one: Candidate, now: Instant) -> Iterable[tuple[Gate, Verdict]]:
    """After the switch the gates say what they said at it; what the servers do since is told by the watch."""
    found = gates_of(standing.snapshot, one, now)
    for gate, verdict in found.items():
        if under_way.is_switched and verdict.state is not GateState.SKIPPED:
            yield gate, Verdict(GateState.PASSED)
        else:
            yield gate, verdict


def _smoke(member: Member, under_way: Rollout) -> list[dict[str, object]]:
    kept = next((found.results for found in under_way.smoke if found.service == member.service.name), None)
    live = member.smoke.results if member.smoke is not None and under_way.phase is Phase.TESTING else ()
    return [
        {
            "test": each.test,
            "server": each.url,
            "passed": each.passed,
            "cause": each.cause,
            "excerpt": each.excerpt,
            "duration": round(each.duration_s, 4),
        }
        for each in (live if kept is None else kept)
    ]


def _approval(under_way: Rollout) -> dict[str, object] | None:
    given = under_way.approval
    return {"actor": given.actor, "at": time_status(given.at_utc)} if given else None


def _quarantined(standing: Standing) -> list[dict[str, object]]:
    name = standing.member.service.name
    return [
        {
            "colour": one.colour,
            "release": one.release,
            "outcome": failed.outcome,
            "rollout": failed.rollout,
            "reason": failed.reason,
            "since": time_status(failed.since_utc),
        }
        for failed in standing.snapshot.state.quarantined
        for one in failed.candidates
        if one.service == name
    ]


def _deadline_utc(under_way: Rollout, now: Instant) -> datetime | None:
    if under_way.deadline_mono_s is None:
        return None
    return now.utc + timedelta(seconds=under_way.deadline_mono_s - under_way.clock_mono_s(now))


def _release(wanted: Candidate) -> str:
    return f"release {wanted.release} in {wanted.colour}" if wanted.release else f"a release in {wanted.colour}"


def time_status(at: datetime | None) -> str | None:
    """Return a time as the admin API writes it: UTC, RFC 3339."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z") if at else None
