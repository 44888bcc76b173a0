"""Logs each change, in one line."""

from collections.abc import Iterable
from operator import attrgetter

import structlog

from provider.model import Colour, Condition, Decision, Event, Health, Outcome, Server, ServerHealth, Severity

log = structlog.get_logger("bluegreen")

FAILURES = frozenset({Outcome.EXPIRED, Outcome.ABORTED, Outcome.ROLLED_BACK})
WARNINGS = frozenset({Event.REPLACED, Event.UNDECIDED})
_LEVELS = {
    Severity.INFO: attrgetter("info"),
    Severity.WARNING: attrgetter("warning"),
    Severity.CRITICAL: attrgetter("critical"),
}
LOGGED = ("colour", "release", "rollout", "phase", "outcome", "trigger", "actor", "detail")


def decision(taken: Decision) -> None:
    """Log a decision that is on disk; what failed, or came past the daemon, is a warning."""
    fields = {name: value for name in LOGGED if (value := getattr(taken, name)) is not None}
    is_warning = taken.outcome in FAILURES or taken.event in WARNINGS
    (log.warning if is_warning else log.info)(taken.event, service=taken.service, **fields)


def health(service: str, colour: Colour, server: Server, found: ServerHealth) -> None:
    """Log that the health of a server has changed."""
    bound = log.bind(service=service, colour=colour, server=server.url)
    if found.health is Health.UNHEALTHY:
        bound.warning("server unhealthy", cause=found.cause)
    else:
        bound.info(f"server {found.health}", **({"cause": found.cause} if found.cause else {}))


def conditions(service: str, came: Iterable[Condition], went: Iterable[str]) -> None:
    """Log each condition of a service that came, and the codes of those that went."""
    bound = log.bind(service=service)
    for condition in came:
        _LEVELS[condition.severity](bound)(condition.code, message=condition.message)
    for code in went:
        bound.info(f"no longer {code}")
