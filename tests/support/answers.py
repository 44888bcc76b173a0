"""Answers of the admin API, as what is drawn of them is tested with."""

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

SHOP: dict[str, Any] = {
    "service": "shop",
    "url": "https://shop.example.com/",
    "preview_url": None,
    "active": "blue",
    "phase": "waiting",
    "weights": {"blue": 100, "green": 0},
    "colours": {
        "blue": {
            "release": "3f2a91c0",
            "version": "1.4.1",
            "state": "healthy",
            "servers": [
                {
                    "url": "http://[fd00::1]:8081",
                    "health": "healthy",
                    "cause": None,
                    "since": "2026-01-01T00:00:00.000Z",
                    "container": "9c1f2e",
                    "release": "3f2a91c0",
                }
            ],
        },
        "green": {"release": None, "version": None, "state": "empty", "servers": []},
    },
    "blocking": "gate health of shop: green has no servers",
    "rollback": {"ready": False, "to": None, "release": None, "reason": "green has not been active"},
    "rollout": None,
    "confirmed": True,
    "paused": False,
    "override": None,
    "lease": None,
    "quarantined": [],
    "conditions": [],
}
POLLERS: list[dict[str, Any]] = [
    {"poller": "edge-1", "revision": 7, "current": True, "last_poll": "2026-01-01T00:00:00.000Z", "replica": None},
    {"poller": "edge-2", "revision": 6, "current": False, "last_poll": "2026-01-01T00:00:00.000Z", "replica": None},
]
REPLICAS: list[dict[str, Any]] = [
    {
        "replica": f"node-{number}",
        "leads": number == 1,
        "away": False,
        "admin": f"http://10.0.0.{number}:8901",
        "version": "1.0",
        "revision": 42,
        "current": True,
        "pollers": 1,
        "behind": 0,
    }
    for number in (1, 2, 3)
]
"""Three replicas, the first of which leads."""
SOON = (datetime.now(UTC) + timedelta(hours=5, minutes=50)).isoformat()
ROLLOUT: dict[str, Any] = {
    "id": "r17",
    "candidate": "green",
    "release": "77b0e1d2",
    "actor": "ci",
    "since": "2026-01-01T00:00:00.000Z",
    "deadline": SOON,
    "gates": {"health": {"state": "passed"}, "smoke": {"state": "skipped"}, "approval": {"state": "pending"}},
    "approval": None,
}
DECIDED: list[Any] = [
    {
        "at": at,
        "service": "shop",
        "event": event,
        "colour": "green",
        "release": "77b0e1d2",
        "rollout": "r17",
        "phase": phase,
        "outcome": outcome,
        "trigger": "docker",
        "actor": None,
        "detail": detail,
        "evidence": evidence,
    }
    for at, event, phase, outcome, detail, evidence in (
        ("2026-01-02T00:00:03.000Z", "gates-failed", "steady", "aborted", "home failed", ["home http://a: 500"]),
        ("2026-01-01T23:59:58.000Z", "begun", "waiting", None, None, []),
    )
]

AWAY = {
    "code": "docker-away",
    "severity": "warning",
    "message": "Docker does not answer [errno 2] :smile:",
    "since": None,
}


def changed(**fields: Any) -> Any:
    return {**copy.deepcopy(SHOP), **fields}
