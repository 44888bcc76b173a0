"""Prints what changes while a daemon is followed in a pipe: a line for each change, with its time."""

import re
from collections.abc import Iterator
from datetime import UTC

from provider.cli.terminal import words
from provider.cli.terminal.view import LiveStatus
from provider.model import api_types as api

_COUNTING = re.compile(r"\b\d\d:\d\d:\d\d\b|\b\d+(\.\d+)?(?= (s|ms|of|more|requests|%))|(?<= of )\d+")
"""Seconds that are left, the end of a step, which is worked out again each time, and what an analysis has counted."""


class Changes:
    """Remembers what was printed; numbers that count in what blocks a service are no change."""

    def __init__(self) -> None:
        self._printed: dict[str, str] = {}
        self._trouble: str | None = None

    def of(self, latest: LiveStatus) -> Iterator[str]:
        """Yield a line for each thing that has changed since it was printed."""
        at = f"{words.utc_now().astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        if latest.trouble is not None:
            if self._trouble is None:
                yield f"{at} LOST: {latest.trouble}"
            self._trouble = latest.trouble
            return
        if self._trouble is not None:
            yield f"{at} the daemon answers again"
            self._trouble = None
        now = dict(_lines(latest.answer))
        for key, line in now.items():
            kept = _kept(line)
            if self._printed.get(key) != kept:
                yield f"{at} {line}"
            self._printed[key] = kept
        for key in [key for key in self._printed if key not in now]:
            del self._printed[key]
            yield f"{at} over: {key}"


def _lines(answer: api.Overview | api.Service) -> Iterator[tuple[str, str]]:
    services = answer["services"] if "services" in answer else (answer,)  # noqa: SIM401  get() would lose the type
    for condition in answer["conditions"]:
        yield condition["code"], f"{condition['severity']}: {condition['message']}"
    if "services" in answer and (replicas := answer.get("replicas")):
        yield "who leads", words.leader(replicas)
    for service in services:
        yield service["service"], _line(service)
        for condition in service["conditions"]:
            if condition not in answer["conditions"]:
                name = f"{service['service']} {condition['code']}"
                yield name, f"{service['service']}: {condition['severity']}: {condition['message']}"


def _line(service: api.Service) -> str:
    """Return the status of a service in one line."""
    parts = [words.summary(service)]
    for colour, found in service["colours"].items():
        named = f"{words.release(found)} " if found["release"] else ""
        share = f"{service['weights'][colour]}%"
        parts.append(f"{colour} {share} {named}{found['state']} {words.healthy_of(found)}".rstrip())
    if service["rollout"] is not None:
        parts.append(f"{words.rollout(service)}: {words.gates(service).plain}")
    if service["blocking"]:
        parts.append(service["blocking"])
    return "; ".join(parts)


def _kept(line: str) -> str:
    return _COUNTING.sub("0", line)
