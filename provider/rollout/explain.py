"""Explains a service in sentences: what serves traffic, what blocks it, since when, what happens next and when."""

from collections.abc import Iterable
from datetime import datetime

from provider.model import Colour, Condition, Instant, Phase, Rollout
from provider.model.durations import spoken
from provider.rollout.facts import ServiceFacts

NEXT = {
    Phase.WAITING: "when it is healthy, its smoke tests run",
    Phase.TESTING: "when every smoke test has passed, it goes on to the approval",
    Phase.APPROVAL: "when it is approved, Docker lists it once more and it gets the traffic",
    Phase.SHIFTING: "when Docker has listed it once more, it gets the traffic",
    Phase.CONFIRMING: "when every Traefik shows the switch, the watch begins",
    Phase.WATCHING: "when the watch is over, the release is settled and the old colour may be stopped",
}
AT_DEADLINE = {
    Phase.WAITING: "otherwise it expires: it is quarantined, and nothing was switched",
    Phase.TESTING: "otherwise it expires: it is quarantined, and nothing was switched",
    Phase.APPROVAL: "otherwise it expires: it is quarantined, and nothing was switched",
    Phase.SHIFTING: "otherwise it expires: it is quarantined, and nothing was switched",
    Phase.CONFIRMING: "then the watch begins unconfirmed, or what Traefik did not apply is taken back",
    Phase.WATCHING: "until then it is rolled back if it fails while the rollback target is healthy",
}
FORCED = "it was forced, and is not rolled back automatically for its health"


def explain(facts: ServiceFacts, conditions: Iterable[Condition] = ()) -> list[str]:
    """Return the sentences, the most important ones first; `conditions` are those of the daemon itself."""
    lines = [_traffic(facts)]
    if facts.rollout is not None:
        lines += _rollout(facts, facts.rollout)
    if facts.blocking is not None:
        lines.append(f"It waits: {facts.blocking}.")
    elif facts.group.rollout is None:
        lines.append("No rollout is under way, and no release waits for one.")
    lines.append(_rollback(facts))
    if facts.active is not None and facts.member.applied:
        lines.append(f"Read back: {facts.read_back_detail}.")
    if facts.lease is not None:
        lines.append(f"{facts.lease.holder} deploys it, until {_clock(facts.lease.until_utc)} at most.")
    lines += [f"{condition.severity}: {condition.message}" for condition in conditions]
    return lines


def _traffic(facts: ServiceFacts) -> str:
    active, switched_utc = facts.active, facts.member.state.switched_utc
    if active is None:
        return f"{facts.name}: no colour serves traffic yet."
    since = f" since {_clock(switched_utc)}" if switched_utc else ""
    return (
        f"{facts.name}: {active} serves traffic{since}: {_colour(facts, active)}. "
        f"{active.other} is the standby: {_colour(facts, active.other)}."
    )


def _colour(facts: ServiceFacts, colour: Colour) -> str:
    observed = facts.member.observed[colour]
    if not observed.servers:
        return "no servers" if observed.known else "not known yet"
    versions = ", ".join(facts.versions(colour))
    release = f"release {observed.release}" if observed.release else "several releases"
    servers = "1 server" if len(observed.servers) == 1 else f"{len(observed.servers)} servers"
    return f"{release}{f' ({versions})' if versions else ''}, {servers}, {facts.colour_state(colour)}"


def _rollout(facts: ServiceFacts, rollout: Rollout) -> list[str]:
    candidate, now = facts.candidate, facts.now
    if candidate is None:
        return []
    by = f" by {rollout.actor}" if rollout.actor else ""
    began = (
        f"Rollout {rollout.id} brings release {candidate.release or '(not known yet)'} to {candidate.colour}. It began "
        f"{_ago(rollout.since_utc, now)} ago ({rollout.trigger}{by}) and is in phase {rollout.phase} for "
        f"{_ago(rollout.entered_utc or rollout.since_utc, now)}."
    )
    lines = [began]
    if not rollout.is_switched:
        gates = [f"{gate} {verdict.state}{_because(verdict.reason)}" for gate, verdict in facts.gates.items()]
        lines.append(f"Gates: {'; '.join(gates)}.")
        if facts.member.service.preview_url is not None:
            lines.append(f"Preview it before it gets the traffic: {facts.member.service.preview_url}")
    upcoming = f"Next: {NEXT[rollout.phase]}"
    if facts.left_s is None or facts.deadline_utc is None:
        lines.append(f"{upcoming}; its deadline does not run while it is held.")
        return lines
    left = spoken(max(0.0, facts.left_s))
    if rollout.still_mono_s is not None:
        lines.append(f"{upcoming}; its deadline does not run until Docker answers, with {left} left.")
    else:
        until = _clock(max(now.utc, facts.deadline_utc))
        then = FORCED if rollout.is_switched and rollout.forced else AT_DEADLINE[rollout.phase]
        lines.append(f"{upcoming}. It has until {until} ({left}); {then}.")
    return lines


def _rollback(facts: ServiceFacts) -> str:
    reason, target, command = facts.rollback_reason, facts.member.state.rollback_target, facts.rollback_command
    if reason is None and target is not None:
        return f"A rollback is ready, to release {target.release} in {target.colour}: {command}"
    instead = f" To switch to the other colour anyway: {command}" if command else ""
    return f"No rollback is ready now: {reason}.{instead}"


def _because(reason: str | None) -> str:
    return f" ({reason})" if reason else ""


def _clock(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _ago(since: datetime, now: Instant) -> str:
    return spoken((now.utc - since).total_seconds())
