"""Follows one service from outside: its status, and the decisions since the following began.

Both are asked for every second, so that a restart of the daemon in between loses nothing: a rollout that ended
meanwhile is in the history. New rows are those not seen before, whatever their dates: a clock may be set back.
"""

import json
import time
from collections.abc import Callable, Iterable
from typing import TypeAlias, TypeVar

from provider.cli.client.admin_api import Admin, CommandRefused, NoDaemon
from provider.model import api_types as api
from provider.model.errors import BluegreenError

T = TypeVar("T")
Log: TypeAlias = Callable[[str], None]
OnStatus: TypeAlias = Callable[[api.Service], None]

CHECK_EVERY_S = 1.0
RETRY_S = 30.0
MANY_ROWS = 1000
FEW_ROWS = 50
RETRIED = frozenset({404, 503})
"""Statuses that pass: a daemon that starts has no services yet, and one whose disk hangs cannot read the history."""


class TimedOut(BluegreenError):  # noqa: N818
    """The time limit passed; the text says what is missing. The rollout goes on."""


class FollowedService:
    """The status of a service, and the new decisions about it, until a time limit.

    Every request but those of `begin` is retried for 30 s while no daemon answers.
    """

    def __init__(self, admin: Admin, service: str, log: Log) -> None:
        self.service = service
        self._admin, self._log = admin, log
        self._end_mono_s: float | None = None
        self._known: dict[str, None] = {}

    def limit(self, seconds: float | None) -> None:
        """Set the time limit, in seconds from now; None removes it."""
        self._end_mono_s = None if seconds is None else time.monotonic() + seconds

    def begin(self) -> api.Service:
        """Return the first status; decisions until now do not count as new. Raises NoDaemon and CommandRefused."""
        self._new(self._rows(MANY_ROWS))
        return self._admin.service(self.service)

    def status(self) -> api.Service:
        """Return the status of the service. Raises NoDaemon and CommandRefused."""
        return self.retry(lambda: self._admin.service(self.service))

    def new_decisions(self) -> list[api.Decision]:
        """Return the decisions since the last call, oldest first."""
        rows = self.retry(lambda: self._rows(FEW_ROWS))
        if rows and self._key(rows[-1]) not in self._known:  # more decisions than these rows
            rows = self.retry(lambda: self._rows(MANY_ROWS))
        return self._new(rows)

    def retry(self, ask: Callable[[], T], *, statuses: frozenset[int] = RETRIED) -> T:
        """Ask until a daemon answers; raise its last failure after 30 s, or at the time limit."""
        lost_mono_s = None
        while True:
            try:
                return ask()
            except (NoDaemon, CommandRefused) as failure:
                if isinstance(failure, CommandRefused) and failure.status not in statuses:
                    raise
                now = time.monotonic()
                if lost_mono_s is None:
                    lost_mono_s = now
                    self._log(f"{failure}; retrying for {RETRY_S:g} s")
                if now - lost_mono_s >= RETRY_S or self.is_over:
                    raise
            time.sleep(CHECK_EVERY_S)

    @property
    def is_over(self) -> bool:
        """Whether the time limit has passed."""
        return self._end_mono_s is not None and time.monotonic() >= self._end_mono_s

    def pause(self, status: api.Service, what: str = "") -> None:
        """Sleep until the next check. Raises TimedOut, with what is missing, at the time limit."""
        if self.is_over:
            raise TimedOut(f"{self.service}: timed out: {what or describe_phase(status)}")
        left_s = CHECK_EVERY_S if self._end_mono_s is None else self._end_mono_s - time.monotonic()
        time.sleep(max(0.0, min(CHECK_EVERY_S, left_s)))

    def _rows(self, limit: int) -> list[api.Decision]:
        return self._admin.history(service=self.service, limit=limit)

    def _new(self, rows: Iterable[api.Decision]) -> list[api.Decision]:
        """Return the rows not seen before, oldest first, and remember them."""
        new = [row for row in reversed(list(rows)) if self._key(row) not in self._known]
        self._known.update((self._key(row), None) for row in new)
        return new

    @staticmethod
    def _key(row: api.Decision) -> str:
        return json.dumps(row, sort_keys=True)


def describe_phase(status: api.Service) -> str:
    """Return the phase of a service, and what blocks it."""
    return f"in phase {status['phase']}{because(status)}"


def because(status: api.Service) -> str:
    """Return what blocks a service, to be appended to a text."""
    return f": {status['blocking']}" if status["blocking"] else ""
