"""Keeps the status of a daemon up to date: asks every second, and at once when an event comes.

One thread asks and one listens, so that a daemon that hangs is noticed. Asking every second is needed all the same:
health checks are no events, and a stream of events may break somewhere on its way.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from provider.cli.client.admin_api import Admin, CommandRefused, NoDaemon
from provider.cli.terminal import words
from provider.cli.terminal.view import LiveStatus
from provider.model import api_types as api

REFRESH_S = 1.0
SHARE = 10
"""A slow daemon rests ten times as long as it took to answer."""
SHARE_AFTER_EVENTS = 3
"""With events without end, three times as long."""
AGAIN_S = 0.5
HISTORY_ROWS = 60


class Feed:
    """The latest answers of a daemon; after `start` two threads keep them up to date."""

    def __init__(self, admin: Admin, service: str | None) -> None:
        self.service = service
        self._admin = admin
        self._lock, self._asked = threading.Lock(), threading.Event()
        self._wants_history = True
        self._rest_s = REFRESH_S
        self._latest: LiveStatus

    @property
    def latest(self) -> LiveStatus:
        """The latest answers."""
        with self._lock:
            return self._latest

    def ask(self) -> None:
        """Ask once. Raises NoDaemon and CommandRefused."""
        answer = words.printable(self._admin.status(self.service))
        at_utc = words.utc_now()
        history = self._history() if self._wants_history else None
        with self._lock:
            before = getattr(self, "_latest", None)
            kept = before.history if before is not None else []
            is_live = before is not None and before.is_live
            self._latest = LiveStatus(answer, kept if history is None else history, at_utc, None, is_live, self._rest_s)

    def _history(self) -> list[api.Decision] | None:
        """Return the newest decisions; None if the store cannot read them now, which is retried."""
        self._wants_history = False
        try:
            rows = self._admin.history(service=self.service, limit=HISTORY_ROWS)
        except (NoDaemon, CommandRefused):
            self._wants_history = True
            return None
        return words.printable(rows)

    def start(self, on_change: Callable[[], None]) -> None:
        """Keep up to date, and call `on_change` when there may be a change; the threads end with the program."""
        for loop in (self._ask_again, self._listen):
            threading.Thread(target=loop, args=(on_change,), name=loop.__name__, daemon=True).start()

    def _ask_again(self, on_change: Callable[[], None]) -> None:
        while True:
            self._asked.wait(self._rest_s)
            self._asked.clear()
            begun_s = time.monotonic()
            try:
                self.ask()
            except (NoDaemon, CommandRefused) as failure:
                self._wants_history = True
                self._lost(str(failure))
            took_s = time.monotonic() - begun_s
            self._rest_s = max(REFRESH_S, SHARE * took_s)
            on_change()
            time.sleep(SHARE_AFTER_EVENTS * took_s)

    def _listen(self, on_change: Callable[[], None]) -> None:
        """Ask at once when an event comes, or the daemon goes away or comes back."""
        while True:
            with suppress(NoDaemon, CommandRefused):
                for event in self._admin.events():
                    self._wants_history = self._wants_history or event == "decision"
                    if event or not self.latest.is_live:
                        self._asked.set()
                    self._live(is_live=True)
            self._live(is_live=False)
            self._asked.set()
            on_change()
            time.sleep(AGAIN_S)

    def _live(self, *, is_live: bool) -> None:
        with self._lock:
            self._latest = replace(self._latest, is_live=is_live)

    def _lost(self, trouble: str) -> None:
        with self._lock:
            self._latest = replace(self._latest, trouble=words.printable(trouble))
