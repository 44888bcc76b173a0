"""Waits until every Traefik has applied what a command did."""

import time

from provider.cli.client.admin_api import Admin, CommandRefused, NoDaemon
from provider.model import AFTER_SWITCH, Phase
from provider.model import api_types as api

LIMIT_S = 10.0
CHECK_EVERY_S = 0.2
SWITCHED_PHASES = AFTER_SWITCH | {Phase.STEADY}


def read_back(admin: Admin, service: str, answer: api.Done) -> api.Applied | None:
    """Wait until every Traefik has applied what a command did, 10 s at most; return what is known at the end.

    Returns None if it moved no traffic, or its rollout goes through gates first. The decision stands even if no daemon
    answers any more meanwhile.
    """
    end_mono_s = time.monotonic() + LIMIT_S
    status, applied = answer["status"], answer.get("applied")
    while True:
        is_shifting = applied is None and status is not None and status["phase"] == "shifting"
        if not is_shifting and (applied is None or not _is_awaited(applied)):
            return applied
        if time.monotonic() >= end_mono_s:
            return applied
        time.sleep(CHECK_EVERY_S)
        try:
            status = admin.service(service)
        except (NoDaemon, CommandRefused) as failure:
            known = applied or {"by": 0, "of": 0, "verified": False, "refused": False, "detail": "", "missing": []}
            detail = f"decided and recorded, but not confirmed: {failure}"
            return {**known, "refused": False, "detail": detail}
        applied = status["applied"] if status["phase"] in SWITCHED_PHASES else None


def _is_awaited(applied: api.Applied) -> bool:
    """Return whether a Traefik that answers may still apply it."""
    return not applied["verified"] and any(one["answers"] for one in applied["missing"])
