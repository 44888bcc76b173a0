"""A service as the terminal draws it."""

from datetime import UTC, datetime
from typing import Any

from tests.support.answers import POLLERS, changed

NOW = datetime(2026, 1, 2, 0, 0, 10, tzinfo=UTC)


BLOCKS = "release 77b0e1d2 waits for approval: bluegreen approve shop --release 77b0e1d2"


def server(port: int, health: str = "healthy", cause: str | None = None) -> Any:
    return {
        "url": f"http://127.0.0.1:{port}",
        "health": health,
        "cause": cause,
        "since": "2026-01-02T00:00:00.000Z",
        "container": f"c{port}",
        "release": "77b0e1d2",
        "version": "1.4.2",
        "leaving": False,
        "published": False,
    }


def rolling(**more: Any) -> Any:
    """A service in the middle of a rollout that waits for an approval."""
    service = changed(
        environment="production",
        revision=42,
        phase="approval",
        blocking=BLOCKS,
        pollers=POLLERS,
        rollout={
            "id": "r17",
            "candidate": "green",
            "release": "77b0e1d2",
            "trigger": "docker",
            "actor": None,
            "since": "2026-01-02T00:00:00.000Z",
            "deadline": "2026-01-02T23:59:10.000Z",
            "forced": None,
            "approval": None,
            "gates": {
                "health": {"state": "passed"},
                "smoke": {"state": "passed"},
                "approval": {"state": "pending", "reason": BLOCKS},
            },
            "smoke": [
                {"test": "home", "server": "http://127.0.0.1:1", "passed": True, "cause": None, "duration": 0.0123},
                {"test": "pay", "server": "http://127.0.0.1:1", "passed": True, "cause": None, "duration": 0.001},
            ],
        },
    )
    service["colours"]["green"] = {
        "release": "77b0e1d2",
        "version": "1.4.2",
        "state": "healthy",
        "servers": [server(1), server(2)],
    }
    return {**service, **more}


def in_step(**more: Any) -> Any:
    """A service whose rollout is in step 2 of 3 for a minute, for four more, and is analysed; `more` is of the step."""
    counts = {"blue": {"requests": 2603, "bad": 1}, "green": {"requests": 137, "bad": 3}}
    service = rolling(
        phase="shifting",
        weights={"blue": 75, "green": 25},
        blocking="step 2 of 3 (25 %) lasts until 00:04:10 UTC",
    )
    service["rollout"]["gates"] |= {
        "approval": {"state": "skipped"},
        "analysis": {"state": "running", "reason": "137 of 200 requests"},
    }
    service["rollout"]["step"] = {
        "number": 2,
        "of": 3,
        "weight": 25,
        "weights": [5, 25, 50],
        "since": "2026-01-01T23:59:10.000Z",
        "until": "2026-01-02T00:04:10.000Z",
        "promoted": None,
        "approval": None,
        "analysis": {
            "state": "running",
            "reason": "137 of 200 requests",
            "requests": 137,
            "min_requests": 200,
            "tests": [
                {"name": "errors over-active", "evidence": 0.15, "limit": 2.477, "counts": counts},
                {"name": "slow max", "evidence": 9.0, "limit": 2.477, "counts": counts},
            ],
            "queries": [{"name": "queue", "value": 12.0, "failures": 1, "failures_most": 3}],
            "last": None,
        },
    } | more
    return service
