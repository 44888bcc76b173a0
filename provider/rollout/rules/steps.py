"""Rules on a rollout in steps: shown by Traefik, failed, passed, and the step after it (rule 19).

The weights of a step are decided here, in one transition; the last step is followed by the switch of `before_switch`.
"""

from dataclasses import replace

from provider.model import Event, GateState, Instant, Member, Phase, Rollout, Snapshot, Trigger
from provider.rollout import analysing, clocks, confirming, stepping, watching
from provider.rollout.candidates import gates_of, limits, moved, shut
from provider.rollout.gates import BEFORE_NEXT
from provider.rollout.leases import end_at_step
from provider.rollout.transitions import Taken, advance


def show(snapshot: Snapshot, now: Instant) -> Taken | None:
    """Rule 19: the time of a step begins when Traefik shows it, or when that is not waited for any longer."""
    under_way = _unshown(snapshot)
    if under_way is None or under_way.step is None:
        return None
    if not _is_late(snapshot, under_way, now) and any(_unconfirmed(snapshot, under_way)):
        return None
    return replace(snapshot, state=clocks.show_step(snapshot.state, limits(snapshot), now)), ()


def fail(snapshot: Snapshot, now: Instant) -> Taken | None:
    """Rule 19c: a refused document, too few healthy servers or a failed test takes the traffic of a candidate away.

    Where the active colour has no healthy server it would have nowhere to go: then nothing is decided.
    """
    under_way = snapshot.state.rollout
    if stepping.current(under_way) is None or under_way is None or not stepping.is_active_able(snapshot):
        return None
    reason = _refused(snapshot, under_way, now) or _unhealthy(snapshot, under_way, now) or _failed(snapshot, now)
    if reason is None:
        return None
    evidence = analysing.history_lines(snapshot)
    return advance(snapshot, Event.GATES_FAILED, now, reason, evidence=evidence, trigger=Trigger.WATCH)


def pass_step(snapshot: Snapshot, now: Instant) -> Taken | None:
    """Rule 19: the time is over, and every gate lets every candidate through."""
    under_way = snapshot.state.rollout
    found = stepping.current(under_way)
    if found is None or under_way is None or found[0].passed_mono_s is not None:
        return None
    if not stepping.is_over(under_way, now) or stepping.stopped_by(snapshot) is not None:
        return None
    if shut(snapshot, BEFORE_NEXT, now) is not None:
        return None
    step, written = found
    detail = f"step {step.number}, {written.weight} %" + (f", ended by {step.promoted}" if step.promoted else "")
    return advance(snapshot, Event.STEP_PASSED, now, detail, evidence=analysing.history_lines(snapshot))


def begin(snapshot: Snapshot, under_way: Rollout, now: Instant) -> Taken:
    """Give the candidates the weight of the next step; the lease of a deployment ends with the first one (rule 20)."""
    of = len(under_way.canary.steps) if under_way.canary else 0
    number = under_way.step.number + 1 if under_way.step else 1
    changed, rows = advance(
        snapshot, Event.STEP_BEGUN, now, f"step {number} of {of}: {under_way.next_weight} % for the candidate"
    )
    if number == 1:
        changed, ended = end_at_step(changed, now)
        rows = (*rows, *ended)
    return changed, rows


def has_next(snapshot: Snapshot) -> bool:
    """Return whether a step follows: there is one left, and there is a choice (rule 19b)."""
    under_way = snapshot.state.rollout
    if under_way is None or under_way.canary is None or under_way.forced is not None or under_way.next_weight == 100:
        return False
    return under_way.step is not None or not stepping.is_active_down(snapshot)


def shown_due_mono_s(snapshot: Snapshot, under_way: Rollout) -> float:
    """Return when it is not waited for any longer that Traefik shows the step."""
    begun_mono_s = under_way.step.begun_mono_s if under_way.step else under_way.entered_mono_s
    return begun_mono_s + limits(snapshot)[Phase.CONFIRMING]


def wakes_mono_s(snapshot: Snapshot, now: Instant) -> list[float]:
    """Return when time alone may change what these rules say, besides the deadline."""
    under_way = snapshot.state.rollout
    found = stepping.current(under_way)
    if found is None or under_way is None or under_way.still_mono_s is not None:
        return []
    end_mono_s = stepping.ends_mono_s(under_way)
    times = [shown_due_mono_s(snapshot, under_way) if end_mono_s is None else end_mono_s]
    for member in moved(snapshot):
        active = member.state.active
        failing = watching.failing(member, active.other if active else None, under_way.deaths_before)
        wake_mono_s = watching.passes(member, active, failing, now)[1] if failing and active else None
        times += [wake_mono_s] if wake_mono_s is not None else []
    return times


def _is_late(snapshot: Snapshot, under_way: Rollout, now: Instant) -> bool:
    return under_way.clock_mono_s(now) >= shown_due_mono_s(snapshot, under_way)


def _unshown(snapshot: Snapshot) -> Rollout | None:
    under_way = snapshot.state.rollout
    found = stepping.current(under_way)
    return under_way if found is not None and found[0].shown_mono_s is None else None


def _unconfirmed(snapshot: Snapshot, under_way: Rollout) -> list[str | None]:
    before = under_way.errors_before
    return [
        confirming.new_errors(each, under_way, before) or confirming.unconfirmed(each, under_way) or _left_out(each)
        for each in moved(snapshot)
    ]


def _left_out(member: Member) -> str | None:
    """Say that a candidate has none of its traffic yet, as of its servers nothing is known: Traefik shows no step."""
    active = member.state.active
    if active is None:
        return None
    for endpoint in member.service.endpoints:
        served = dict(member.shown.at(endpoint.name)) if member.shown is not None else {}
        if active.other not in served:
            where = member.service.at(endpoint.name)
            return f"{active.other} of {member.service.name} has no server in the document yet{where}"
    return None


def _refused(snapshot: Snapshot, under_way: Rollout, now: Instant) -> str | None:
    """Rule 7, for a step: new errors of Traefik, or old weights still shown at the deadline and after it."""
    is_unshown = _unshown(snapshot) is not None
    is_late = _is_late(snapshot, under_way, now)
    for member in moved(snapshot):
        reason = confirming.new_errors(member, under_way, under_way.errors_before) if is_unshown else None
        if reason is None and is_late:
            reason = confirming.not_applied(member, under_way)
        if reason is not None:
            return reason
    return None


def _unhealthy(snapshot: Snapshot, under_way: Rollout, now: Instant) -> str | None:
    """Rule 8, for a step: too few servers of the candidate, while the active colour passes.

    One that recovers as it has no traffic meanwhile (rule 19b) would fail again with it: only an outage that the active
    colour shared is a reason to wait.
    """
    if under_way.forced is not None or (under_way.step and under_way.step.forced is not None):
        return None
    for member in moved(snapshot):
        active = member.state.active
        found = watching.failing(member, active.other, under_way.deaths_before) if active else None
        if active is None or found is None or (found.is_recovering and watching.has_failed(member, active)):
            continue  # the end of an outage that both shared
        if not snapshot.docker_connected and watching.rests_on_docker(member):
            continue  # what it said before it was away may be long past
        if watching.passes(member, active, found, now)[0]:
            return found.reason
    return None


def _failed(snapshot: Snapshot, now: Instant) -> str | None:
    under_way = snapshot.state.rollout
    for one in under_way.candidates if under_way else ():
        if one.service not in {member.service.name for member in snapshot.members}:
            continue
        for gate, verdict in gates_of(snapshot, one, now).items():
            if verdict.state is GateState.FAILED:
                return f"gate {gate} of {one.service}: {verdict.reason}"
    return None
