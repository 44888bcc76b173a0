"""Tells what changes of a daemon that is followed in a pipe: a whole line for each change, with its time."""

import re
from collections.abc import Iterator
from datetime import UTC

from provider.terminal import words
from provider.terminal.seen import Seen
from provider.terminal.words import Answer


class Changes:
    """Remembers what was told; numbers that run in what blocks a service are no change."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}
        self._trouble: str | None = None

    def of(self, seen: Seen) -> Iterator[str]:
        """Yield a line for each thing that is otherwise than it was told."""
        at = f"{words.utc_now().astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        if seen.trouble is not None:
            if self._trouble is None:
                yield f"{at} LOST: {seen.trouble}"
            self._trouble = seen.trouble
            return
        if self._trouble is not None:
            yield f"{at} it answers again"
            self._trouble = None
        now = dict(_lines(seen.answer))
        for key, line in now.items():
            kept = _kept(line)
            if self._told.get(key) != kept:
                yield f"{at} {line}"
            self._told[key] = kept
        for key in [key for key in self._told if key not in now]:
            del self._told[key]
            yield f"{at} over: {key}"


def _lines(answer: Answer) -> Iterator[tuple[str, str]]:
    of_all = answer.get("services")
    for condition in answer["conditions"]:
        yield condition["code"], f"{condition['severity']}: {condition['message']}"
    for service in [answer] if of_all is None else of_all:
        yield service["service"], _line(service)
        for condition in service["conditions"] if of_all is not None else ():
            if condition not in answer["conditions"]:
                name = f"{service['service']} {condition['code']}"
                yield name, f"{service['service']}: {condition['severity']}: {condition['message']}"


def _line(service: Answer) -> str:
    """Say in one line how a service stands."""
    parts = [words.standing(service)]
    for colour, found in service["colours"].items():
        named = f"{words.release(found)} " if found["release"] else ""
        share = f"{service['weights'][colour]}%"
        parts.append(f"{colour} {share} {named}{found['state']} {words.healthy_of(found)}".rstrip())
    if service["rollout"] is not None:
        parts.append(f"{words.brings(service)}: {words.gates(service).plain}")
    if service["blocking"]:
        parts.append(service["blocking"])
    return "; ".join(parts)


def _kept(line: str) -> str:
    return re.sub(r"\b\d+(\.\d+)? (s|ms)\b", "0 s", line)
