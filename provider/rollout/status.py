"""The facts of a service, and what was decided, as answers of the admin API."""

from collections.abc import Iterable

from provider.model import Colour, Condition, Decision, Gate, Lease, Member, Override, Phase, Rollout, Server
from provider.model import api_types as api
from provider.model.dates import time_status
from provider.rollout import stepping
from provider.rollout.analysis_status import analysis_status
from provider.rollout.facts import ServiceFacts
from provider.rollout.gates import Verdict


def service_status(
    facts: ServiceFacts,
    *,
    environment: str,
    revision: int | None,
    conditions: Iterable[Condition] = (),
    shows_lease_id: bool = False,
) -> api.Service:
    """Return the answer of `GET /api/v1/services/{name}`; `conditions` are those of the daemon itself.

    The id of a lease is for who may take one.
    """
    service, state, weights = facts.member.service, facts.member.state, facts.weights
    return {
        "service": service.name,
        "environment": environment,
        "group": service.group,
        "url": service.url,
        "preview_url": service.preview_url,
        "desired": service.active,
        "active": state.active,
        "phase": facts.phase,
        "weights": {colour: weights.get(colour, 0) for colour in Colour},
        "revision": revision,
        "confirmed": facts.unconfirmed is None,
        "applied": applied(facts),
        "paused": facts.is_held,
        "colours": {colour: _colour(facts, colour) for colour in Colour},
        "rollout": _rollout(facts, facts.rollout) if facts.rollout is not None else None,
        "wanted": _wanted(facts),
        "blocking": facts.blocking,
        "rollback": _rollback(facts),
        "rollback_with_force": facts.is_rollback_forceable,
        "override": _override(state.override) if state.override is not None else None,
        "lease": _lease(facts.lease, shows_id=shows_lease_id) if facts.lease is not None else None,
        "quarantined": _quarantined(facts),
        "switched": time_status(state.switched_utc),
        "conditions": [condition_status(condition) for condition in (*conditions, *facts.conditions)],
    }


def condition_status(condition: Condition) -> api.Condition:
    """Return one entry of `conditions`."""
    return {
        "code": condition.code,
        "severity": condition.severity,
        "message": condition.message,
        "since": time_status(condition.since_utc),
    }


def decision_status(decision: Decision) -> api.Decision:
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


def applied(facts: ServiceFacts) -> api.Applied:
    """Return which of the Traefiks that are read back show what was decided, as far as is known now."""
    found = facts.read_back
    return {
        "by": found.by,
        "of": found.of,
        "verified": found.is_verified,
        "refused": found.is_not_applied,
        "detail": facts.read_back_detail,
        "missing": [
            {"traefik": one.traefik, "answers": one.answers, "fetched": one.fetched, "reason": one.reason}
            for one in found.missing
        ],
    }


def _wanted(facts: ServiceFacts) -> api.Release | None:
    """Return the standby release that is to become active: under way, about to begin, or held; not one that failed."""
    wanted = facts.wanted
    if wanted is None or facts.quarantine is not None:
        return None
    return {"colour": wanted.colour, "release": wanted.release}


def _rollback(facts: ServiceFacts) -> api.Rollback:
    target = facts.member.state.rollback_target
    return {
        "ready": facts.rollback_reason is None,
        "to": target.colour if target else None,
        "release": target.release if target else None,
        "reason": facts.rollback_reason,
        "command": facts.rollback_command,
    }


def _override(override: Override) -> api.Override:
    return {
        "colour": override.colour,
        "reason": override.reason,
        "actor": override.actor,
        "since": time_status(override.since_utc),
        "rejected": override.rejected,
    }


def _lease(lease: Lease, *, shows_id: bool) -> api.Lease:
    shown: api.Lease = {"holder": lease.holder, "until": time_status(lease.until_utc), "warning": lease.warning}
    return {"id": lease.id, **shown} if shows_id else shown


def _colour(facts: ServiceFacts, colour: Colour) -> api.ColourStatus:
    observed = facts.member.observed[colour]
    return {
        "release": observed.release,
        "version": ", ".join(facts.versions(colour)) or None,
        "state": facts.colour_state(colour),
        "servers": [_server(facts, each) for each in sorted(observed.servers, key=lambda server: server.url)],
    }


def _server(facts: ServiceFacts, server: Server) -> api.Server:
    found, known = facts.health(server), facts.known_health.get(server.key)
    return {
        "url": server.url,
        "endpoint": server.endpoint,
        "health": found.health,
        "cause": found.cause,
        "since": time_status(known.since_utc if known else None),
        "container": server.container,
        "release": server.release,
        "version": server.version,
        "leaving": server.leaving_mono_s is not None,
        "published": server.key in facts.member.published,
    }


def _rollout(facts: ServiceFacts, rollout: Rollout) -> api.Rollout | None:
    candidate, approval = facts.candidate, rollout.approval
    if candidate is None:
        return None
    return {
        "id": rollout.id,
        "candidate": candidate.colour,
        "release": candidate.release,
        "trigger": rollout.trigger,
        "actor": rollout.actor,
        "since": time_status(rollout.since_utc),
        "deadline": time_status(facts.deadline_utc),
        "gates": {gate: _gate(verdict) for gate, verdict in facts.gates.items()},
        "forced": rollout.forced,
        "smoke": _smoke(facts.member, rollout),
        "approval": {"actor": approval.actor, "at": time_status(approval.at_utc)} if approval else None,
        "step": _step(facts, rollout),
    }


def _step(facts: ServiceFacts, rollout: Rollout) -> api.StepStatus | None:
    found = stepping.current(rollout)
    if found is None or rollout.canary is None:
        return None
    step, written = found
    return {
        "number": step.number,
        "of": len(rollout.canary.steps),
        "weight": written.weight,
        "weights": [each.weight for each in rollout.canary.steps],
        "since": time_status(step.begun_utc),
        "until": time_status(facts.step_until_utc),
        "promoted": step.promoted,
        "approval": _gate(facts.gates[Gate.APPROVAL]) if written.approval_is_manual else None,
        "analysis": analysis_status(facts),
    }


def _gate(verdict: Verdict) -> api.GateStatus:
    if verdict.reason:
        return {"state": verdict.state, "reason": verdict.reason}
    return {"state": verdict.state}


def _smoke(member: Member, under_way: Rollout) -> list[api.SmokeStatus]:
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


def _quarantined(facts: ServiceFacts) -> list[api.Quarantined]:
    return [
        {
            "colour": one.colour,
            "release": one.release,
            "outcome": failed.outcome,
            "rollout": failed.rollout,
            "reason": failed.reason,
            "since": time_status(failed.since_utc),
        }
        for failed in facts.group.quarantined
        for one in failed.candidates
        if one.service == facts.name
    ]
