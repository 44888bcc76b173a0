"""Waits until every Traefik has applied what a command did."""

import time

from provider.cli.client.admin_api import Admin, CommandRefused, NoDaemon
from provider.model import AFTER_SWITCH, Phase
from provider.model import api_types as api

LIMIT_S = 10.0
CHECK_EVERY_S = 0.2
STAYS_S = 1.0
"""A step that is still on after this long, and has time left or lacks a gate, is not about to end."""
SWITCHED_PHASES = AFTER_SWITCH | {Phase.STEADY}


def read_back(admin: Admin, service: str, answer: api.Done) -> api.Applied | None:
    """Wait until every Traefik has applied what a command did, 10 s at most; return what is known at the end.

    Returns None if it moved no traffic, its rollout goes through gates first, or its step lasts. The decision stands
    even if no daemon answers any more meanwhile.
    """
    begun_mono_s = time.monotonic()
    status, applied = answer["status"], answer.get("applied")
    number = step_number(status)
    while True:
        passed_s = time.monotonic() - begun_mono_s
        is_moving = applied is None and status is not None and _is_moving(status, number, passed_s)
        if not is_moving and (applied is None or not _is_awaited(applied)):
            return applied
        if passed_s >= LIMIT_S:
            return applied
        time.sleep(CHECK_EVERY_S)
        try:
            status = admin.service(service)
        except (NoDaemon, CommandRefused) as failure:
            known = applied or {"by": 0, "of": 0, "verified": False, "refused": False, "detail": "", "missing": []}
            detail = f"decided and recorded, but not confirmed: {failure}"
            return {**known, "refused": False, "detail": detail}
        has_moved = applied is not None or status["phase"] in SWITCHED_PHASES or step_number(status) != number
        applied = status["applied"] if has_moved and _has_traffic(status) else None


def step_number(status: api.Service | None) -> int | None:
    """Return the number of the step that is on; None if none is."""
    step = step_of(status) if status is not None else None
    return step["number"] if step is not None else None


def step_of(status: api.Service) -> api.StepStatus | None:
    """Return the step that is on; None if none is, also of a daemon of an earlier version, which knows none."""
    rollout = status["rollout"]
    return rollout.get("step") if rollout is not None else None


def _has_traffic(status: api.Service) -> bool:
    return status["phase"] in SWITCHED_PHASES or step_number(status) is not None


def _is_moving(status: api.Service, number: int | None, passed_s: float) -> bool:
    """Return whether traffic is about to move: a switch, or a step that is about to end."""
    if status["phase"] != "shifting":
        return False
    return number is None or passed_s < STAYS_S


def _is_awaited(applied: api.Applied) -> bool:
    """Return whether a Traefik that answers may still apply it."""
    return not applied["verified"] and any(one["answers"] for one in applied["missing"])
