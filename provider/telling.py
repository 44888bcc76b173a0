"""Tells the log of each change, in one line."""

from operator import attrgetter

import structlog

from provider.entry import Entry
from provider.model import Colour, Condition, Decision, GroupState, Health, Outcome, Server, ServerHealth, Severity
from provider.status import service_conditions

log = structlog.get_logger("bluegreen")

FAILURES = frozenset({Outcome.EXPIRED, Outcome.ABORTED, Outcome.ROLLED_BACK})
TOLD_AS_DECISIONS = frozenset({"replaced", "undecided"})
_LEVELS = {
    Severity.INFO: attrgetter("info"),
    Severity.WARNING: attrgetter("warning"),
    Severity.CRITICAL: attrgetter("critical"),
}
TOLD = ("colour", "release", "rollout", "phase", "outcome", "trigger", "actor", "detail")


def decision(taken: Decision) -> None:
    """Tell of a decision that is on disk; what failed, or came past the daemon, is a warning."""
    told = {name: value for name in TOLD if (value := getattr(taken, name)) is not None}
    is_warning = taken.outcome in FAILURES or taken.event in TOLD_AS_DECISIONS
    (log.warning if is_warning else log.info)(taken.event, service=taken.service, **told)


def health(service: str, colour: Colour, server: Server, found: ServerHealth) -> None:
    """Tell that the health of a server is another one."""
    told = log.bind(service=service, colour=colour, server=server.url)
    if found.health is Health.UNHEALTHY:
        told.warning("server unhealthy", cause=found.cause)
    else:
        told.info(f"server {found.health}", **({"cause": found.cause} if found.cause else {}))


def conditions(entry: Entry, group: GroupState) -> tuple[Condition, ...]:
    """Tell of each condition that came or went, but for those that a decision tells of; return those that came."""
    standing = service_conditions(entry.member(), group, entry.health, entry.since_utc)
    found = {condition.code: condition for condition in standing if condition.code not in TOLD_AS_DECISIONS}
    told = log.bind(service=entry.service.name)
    came = tuple(found[code] for code in sorted(found.keys() - entry.told))
    for condition in came:
        _LEVELS[condition.severity](told)(condition.code, message=condition.message)
    for code in entry.told - found.keys():
        told.info(f"no longer {code}")
    entry.told = frozenset(found)
    return came
