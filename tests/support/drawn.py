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
