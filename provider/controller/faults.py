"""Reports a fault of this program, and keeps it to the group or the loop on which it struck (P4)."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeAlias

import structlog

from provider.controller.state import State
from provider.model import ConditionCode, condition
from provider.observability.active_conditions import Conditions
from provider.runtime.clock import clock

log = structlog.get_logger("bluegreen")

Isolated: TypeAlias = Callable[[str], AbstractContextManager[None]]


@contextmanager
def isolated(state: State, conditions: Conditions, key: str) -> Iterator[None]:
    """Set a group aside where the block fails: it is served as it was and not decided on until the file changes."""
    try:
        yield
    except Exception as error:
        log.exception("a group is set aside", group=key)
        set_aside(state, conditions, key, error)


def set_aside(state: State, conditions: Conditions, key: str, error: Exception) -> None:
    """Serve a group as it was, and do not decide on it until the file changes."""
    state.set_aside.add(key)
    name = key.removeprefix("@")
    _report(conditions, name, f"; {name} is served as it was and not decided on until the file changes", error)


def report_loop(conditions: Conditions, name: str, error: Exception) -> None:
    """Report that a loop failed, and was started again."""
    _report(conditions, name, " and was started again", error)


def _report(conditions: Conditions, what: str, then: str, error: Exception) -> None:
    conditions.put(condition(ConditionCode.INTERNAL_ERROR, clock().utc, what=what, then=then, error=repr(error)))
