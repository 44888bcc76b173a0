"""Says how things stand: the answers of the admin API, with what blocks a service and how to go on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from provider import rollout
from provider.gates import Assessment, assess, colour_state
from provider.model import (
    Candidate,
    Colour,
    ColourState,
    Condition,
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
from provider.wanted import candidates, gates_of, held_by, holding_up, quarantine


@dataclass(frozen=True, slots=True)
class Standing:
    """All that the status of one service is told from."""

    snapshot: Snapshot
    member: Member
    environment: str
    revision: int | None
    health: Mapping[ServerKey, ServerHealth]
    since_utc: datetime
    conditions: tuple[Condition, ...]


def service_status(standing: Standing, now: Instant) -> dict[str, object]:
    """Return the answer of `GET /api/v1/services/{name}`."""
    member, snapshot = standing.member, standing.snapshot
    active = member.state.active
    shares = dict(rollout.weights(active)) if active else {}
    own = service_conditions(member, standing.health, standing.since_utc)
    conditions = (*standing.conditions, *own)
    return {
        "service": member.service.name,
        "environment": standing.environment,
        "group": member.service.group,
        "desired": member.service.active,
        "active": active,
        "phase": phase_of(snapshot, member),
        "weights": {colour: shares.get(colour, 0) for colour in Colour},
        "revision": standing.revision,
        "confirmed": None,
        "paused": held_by(snapshot) is not None,
        "colours": {colour: _colour(standing, colour) for colour in Colour},
        "rollout": _rollout(standing, now),
        "blocking": blocking(snapshot, member, now),
        "rollback": way_back(member, snapshot),
        "override": None,
        "quarantined": _quarantined(standing),
        "switched": _time(member.state.switched_utc),
        "conditions": [condition_status(condition) for condition in conditions],
    }


def condition_status(condition: Condition) -> dict[str, object]:
    """Return one entry of `conditions`."""
    return {
        "code": condition.code,
        "severity": condition.severity,
        "message": condition.message,
        "since": _time(condition.since_utc),
    }


def phase_of(snapshot: Snapshot, member: Member) -> Phase:
    """Return the phase of the service's own candidate; a member that moves nothing is steady."""
    return rollout.phase(snapshot.state) if candidate_of(snapshot, member) else Phase.STEADY


def candidate_of(snapshot: Snapshot, member: Member) -> Candidate | None:
    """Return the candidate that the rollout under way has for this service."""
    under_way = snapshot.state.rollout
    chosen = under_way.candidates if under_way else ()
    return next((one for one in chosen if one.service == member.service.name), None)


def desired_colour(snapshot: Snapshot, member: Member) -> Colour | None:
    """Return the colour that is wanted active: the one the file names, else the candidate's, else the active one."""
    candidate = candidate_of(snapshot, member)
    return member.service.active.colour or (candidate.colour if candidate else member.state.active)


def blocking(snapshot: Snapshot, member: Member, now: Instant) -> str | None:
    """Say what keeps the service from what the file wants, and how to go on; None when nothing does."""
    if member.state.active is None:
        return _undecided(member)
    name = member.service.name
    if candidate_of(snapshot, member):
        return holding_up(snapshot, now)
    wanted = next((one for one in candidates(snapshot) if one.service == name), None)
    if wanted is None:
        return None
    held = held_by(snapshot)
    if held:
        return f"{_release(wanted)} waits: {held} has hold: true; remove it to go on"
    failed = quarantine(snapshot)
    if failed:
        named = member.service.active.colour is wanted.colour
        again = f"change active to {wanted.colour.other} and back" if named else f"write active: {wanted.colour}"
        return (
            f"{_release(wanted)} is quarantined: rollout {failed.rollout} ended as {failed.outcome}; "
            f"start a new release in {wanted.colour}, or {again} in the file"
        )
    return None


def way_back(member: Member, snapshot: Snapshot) -> dict[str, object]:
    """Say whether the way back could be taken now, and if not, why (rule 9)."""
    back, active = member.state.way_back, member.state.active
    if back is None or active is None:
        standby = active.other if active else "the standby"
        return {"ready": False, "to": None, "release": None, "reason": f"{standby} has not been active"}
    reason = _way_back_lost(member, back.colour, back.release, snapshot)
    return {"ready": reason is None, "to": back.colour, "release": back.release, "reason": reason}


def _way_back_lost(member: Member, colour: Colour, release: str | None, snapshot: Snapshot) -> str | None:
    observed = member.observed[colour]
    if release is None:
        return f"{colour} ran several releases when it was left"
    if not observed.servers:
        return f"{colour} has no servers any more"
    if observed.release != release:
        return f"{colour} runs {', '.join(sorted(observed.releases))}, not {release}"
    if observed.from_docker and not snapshot.docker_connected:
        return "Docker does not answer, so what runs is not known"
    if rollout.quarantine_of(snapshot.state, (Candidate(member.service.name, colour, release),)):
        return f"release {release} is quarantined"
    state = colour_state(member, colour)
    return None if state is ColourState.HEALTHY else f"{colour} is {state}"


def _undecided(member: Member) -> str:
    if not all(observed.known for _, observed in member.observed.items()):
        return "undecided: Docker has not listed its containers yet"
    running = [colour for colour, observed in member.observed.items() if observed.servers]
    if member.state.undecided and len(running) < len(Colour):
        return "undecided: both colours were seen running; write initial: blue or initial: green in the file"
    if not running:
        return "undecided: no server of either colour was seen yet; start one, or write initial: blue in the file"
    return "undecided: both colours have servers; write initial: blue or initial: green in the file"


def service_conditions(
    member: Member, health: Mapping[ServerKey, ServerHealth], since_utc: datetime
) -> tuple[Condition, ...]:
    """Return what an operator should know of one service; `since_utc` is when the daemon first saw it."""
    found = []
    active, replaced = member.state.active, member.state.replaced
    if active is None:
        found.append(Condition("undecided", Severity.WARNING, _undecided(member), since_utc))
    elif member.observed[active].known:
        found += _unserved(member, health, active)
    if member.service.preview is not None:
        message = "this version does not publish the preview that the file asks for"
        found.append(Condition("preview-not-built", Severity.WARNING, message, since_utc))
    if replaced is not None:
        instead = f" instead of {replaced.before}" if replaced.before else ""
        message = f"{active} was replaced in place: it runs {replaced.release}{instead}"
        found.append(Condition("replaced", Severity.WARNING, message, replaced.since_utc))
    return tuple(found)


def _unserved(member: Member, health: Mapping[ServerKey, ServerHealth], active: Colour) -> Iterable[Condition]:
    servers = member.observed[active].servers
    known = [health[server.key] for server in servers if server.key in health]
    if not servers:
        way_out = f"start one, or write active: {active.other}"
        message = f"{active} is active and has no servers: requests are answered with 503; {way_out}"
        yield Condition("no-servers", Severity.CRITICAL, message, None)
    elif known and all(found.health is Health.UNHEALTHY for found in known):
        message = (
            f"{active} is active and none of its {len(servers)} servers is healthy; all are served: {known[0].cause}"
        )
        yield Condition("none-healthy", Severity.CRITICAL, message, max(found.since_utc for found in known))


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
    return {"health": found.health, "cause": found.cause, "since": _time(kept.since_utc if kept else None)}


def _rollout(standing: Standing, now: Instant) -> dict[str, object] | None:
    under_way, one = standing.snapshot.state.rollout, candidate_of(standing.snapshot, standing.member)
    if under_way is None or one is None:
        return None
    return {
        "id": under_way.id,
        "candidate": one.colour,
        "release": one.release,
        "trigger": under_way.trigger,
        "actor": under_way.actor,
        "since": _time(under_way.since_utc),
        "deadline": _time(_deadline_utc(under_way, now)),
        "gates": {
            gate: {"state": verdict.state} | ({"reason": verdict.reason} if verdict.reason else {})
            for gate, verdict in gates_of(standing.snapshot, one, now).items()
        },
    }


def _quarantined(standing: Standing) -> list[dict[str, object]]:
    name = standing.member.service.name
    return [
        {
            "colour": one.colour,
            "release": one.release,
            "outcome": failed.outcome,
            "rollout": failed.rollout,
            "since": _time(failed.since_utc),
        }
        for failed in standing.snapshot.state.quarantined
        for one in failed.candidates
        if one.service == name
    ]


def _deadline_utc(under_way: Rollout, now: Instant) -> datetime | None:
    if under_way.deadline_mono_s is None:
        return None
    return now.utc + timedelta(seconds=under_way.deadline_mono_s - now.mono_s)


def _release(wanted: Candidate) -> str:
    return f"release {wanted.release} in {wanted.colour}" if wanted.release else f"a release in {wanted.colour}"


def _time(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z") if at else None
