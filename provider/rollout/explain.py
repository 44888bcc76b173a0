"""Explains a service in sentences: what serves traffic, what blocks it, since when, what happens next and when."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from provider.model import Colour, Condition, Gate, Instant, Phase, Protocol, Rollout, Severity
from provider.model.durations import spoken
from provider.rollout import stepping
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
IN_STEP = "otherwise it expires: it is quarantined, and the active colour has all of the traffic again"
FORCED = "it was forced, and is not rolled back automatically for its health"


def explain(facts: ServiceFacts, conditions: Iterable[Condition] = ()) -> list[str]:
    """Return the sentences, the most important ones first, what is wrong last.

    `conditions` are those of the daemon itself, which follow those of the service.
    """
    lines = [_traffic(facts)]
    if kept := _kept(facts):
        lines.append(kept)
    if facts.rollout is not None:
        lines += _rollout(facts, facts.rollout)
    elif facts.group.rollout is not None:
        lines.append(_of_others(facts, facts.group.rollout))
    if facts.blocking is not None:
        lines.append(f"It waits: {facts.blocking}.")
    elif facts.group.rollout is None:
        lines.append("No rollout is under way, and no release waits for one.")
    if facts.rollout is None or facts.rollout.step is None:  # in a step, abort is the way back, and said above
        lines.append(_rollback(facts))
    if facts.active is not None and facts.member.applied:
        lines.append(f"Read back: {facts.read_back_detail}.")
    if facts.lease is not None:
        lines.append(f"{facts.lease.holder} deploys it, until {_clock(facts.lease.until_utc)} at most.")
    wrong = [one for one in facts.conditions if one.severity is not Severity.INFO and one.message != facts.blocking]
    return lines + [f"{condition.severity}: {condition.message}" for condition in (*wrong, *conditions)]


def _of_others(facts: ServiceFacts, under_way: Rollout) -> str:
    names = [one.service for one in under_way.candidates]
    moved = " and ".join(names)
    return (
        f"Rollout {under_way.id} of its group moves {moved}, not {facts.name}, and is in phase {under_way.phase}: "
        f"bluegreen explain {names[0]}."
    )


def _traffic(facts: ServiceFacts) -> str:
    active, switched_utc = facts.active, facts.member.state.switched_utc
    if active is None:
        return f"{facts.name}: no colour serves traffic yet."
    since = f" since {_clock(switched_utc)}" if switched_utc else ""
    return (
        f"{facts.name}: {active} serves traffic{since}: {_colour(facts, active)}. "
        f"{active.other} is the standby: {_colour(facts, active.other)}."
    )


def _kept(facts: ServiceFacts) -> str | None:
    """Rule 32: say that a switch moves no connection that is there."""
    endpoints = [one for one in facts.member.service.endpoints if one.protocol is not Protocol.HTTP]
    if not endpoints:
        return None
    named = ", ".join(f"{one.name} ({one.protocol.upper()})" for one in endpoints)
    return (
        f"A switch and a rollback move new connections only: those that {named} already has stay with their server "
        "until one of both sides ends them."
    )


def _colour(facts: ServiceFacts, colour: Colour) -> str:
    observed = facts.member.observed[colour]
    if not observed.servers:
        return "no servers" if observed.known else "not known yet"
    versions = ", ".join(facts.versions(colour))
    release = f"release {observed.release}" if observed.release else "several releases"
    servers = "1 server" if len(observed.servers) == 1 else f"{len(observed.servers)} servers"
    endpoints = {server.endpoint for server in observed.servers}
    servers += f" at {len(endpoints)} endpoints" if len(endpoints) > 1 else ""
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
    lines = [began, *_step(facts, rollout)]
    if not rollout.is_switched:
        gates = [f"{gate} {verdict.state}{_because(verdict.reason)}" for gate, verdict in facts.gates.items()]
        lines.append(f"Gates: {'; '.join(gates)}.")
        if facts.member.service.preview_url is not None:
            lines.append(f"Preview it before it gets the traffic: {facts.member.service.preview_url}")
    upcoming = f"Next: {_next(rollout)}"
    if facts.left_s is None:
        lines.append(f"{upcoming}; {_endless(facts, rollout)}.")
        return lines
    left = spoken(max(0.0, facts.left_s))
    if rollout.still_mono_s is not None:
        until = "while its clock stands still" if rollout.step is not None else "until Docker answers"
        lines.append(f"{upcoming}; its deadline does not run {until}, with {left} left.")
    else:
        until = _clock(now.utc + timedelta(seconds=max(0.0, facts.left_s)))
        then = FORCED if rollout.is_switched and rollout.forced else AT_DEADLINE[rollout.phase]
        then = IN_STEP if rollout.step is not None and not rollout.is_switched else then
        lines.append(f"{upcoming}. It has until {until} ({left}); {then}.")
    return lines


def _step(facts: ServiceFacts, rollout: Rollout) -> list[str]:
    """Say which step is on, since when, until when, what is counted, and how to end it."""
    found = stepping.current(rollout)
    if found is None or rollout.canary is None or rollout.is_switched:
        return []
    step, written = found
    of, name, candidate = len(rollout.canary.steps), facts.name, facts.candidate
    if step.promoted is not None:
        time = f"{step.promoted} ended its time"
    elif (until_utc := facts.step_until_utc) is None:
        time = "its clock stands still" if step.shown_mono_s is not None else "its time begins when Traefik shows it"
    elif until_utc <= facts.now.utc:
        time = "its time is over"
    else:
        time = f"its time lasts until {_clock(until_utc)} ({spoken((until_utc - facts.now.utc).total_seconds())})"
    since = f"for {_ago(step.begun_utc, facts.now)}; {time}"
    lines = [f"Step {step.number} of {of} gives the candidate {written.weight} % of the requests, {since}."]
    is_over = stepping.is_over(rollout, facts.now)
    ways = [] if step.promoted or is_over else [f"to end its time: bluegreen promote {name}"]
    approval = facts.gates[Gate.APPROVAL]
    if written.approval_is_manual and not approval.lets_through and candidate is not None:
        command = f"bluegreen approve {name} --release {candidate.release} --step {step.number}"
        ways.append(f"to approve what follows: {command}")
    if is_over:
        ways.append(f"to go on without what is missing: bluegreen promote {name} --force --reason WHY")
    ways.append(f"to take the traffic away from it: bluegreen abort {name}")
    text = "; ".join(ways)
    lines.append(f"{text[:1].upper()}{text[1:]}.")
    return lines


def _endless(facts: ServiceFacts, rollout: Rollout) -> str:
    """Say why nothing times out now."""
    if rollout.deadline_mono_s is None:
        return "its deadline does not run while it is held"
    if stepping.lacks_requests_alone(facts.snapshot, facts.now):
        return "it has no deadline while it lacks nothing but requests"
    return "it does not expire while the active colour has no healthy server"


def _next(rollout: Rollout) -> str:
    if rollout.step is None or rollout.canary is None or rollout.is_switched:
        return NEXT[rollout.phase]
    if rollout.next_weight == 100:
        return "when its time is over and its gates have passed, it gets all of the traffic"
    number = rollout.step.number + 1
    return f"when its time is over and its gates have passed, step {number} with {rollout.next_weight} % follows"


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
