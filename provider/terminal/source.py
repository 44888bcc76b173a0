"""Asks a daemon how things stand, again and again, and at once when it says that there is news.

Two threads ask and listen, so that a daemon that hangs keeps nobody from seeing so. How things stand is asked every
second all the same: health checks are no decisions, and a stream of events may be cut off somewhere on its way.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from provider.client import Admin, NoDaemon, Refused
from provider.terminal import words
from provider.terminal.seen import Seen

REFRESH_S = 1.0
SHARE = 10
"""A daemon that takes long to answer is asked so that it rests ten times as long as it works."""
SHARE_OF_NEWS = 3
"""One that has news without end, three times as long."""
AGAIN_S = 0.5
HISTORY_ROWS = 60


class Source:
    """What is known of the daemon; after `start` two threads keep it up to date."""

    def __init__(self, admin: Admin, service: str | None) -> None:
        self.service = service
        self._admin = admin
        self._lock, self._asked = threading.Lock(), threading.Event()
        self._wants_history = True
        self._rest_s = REFRESH_S
        self._seen: Seen

    @property
    def seen(self) -> Seen:
        """What is known now."""
        with self._lock:
            return self._seen

    def ask(self) -> None:
        """Ask once. Raises NoDaemon and Refused."""
        answer = words.printable(self._admin.standing(self.service))
        at_utc = words.utc_now()
        history = self._history() if self._wants_history else None
        with self._lock:
            before = getattr(self, "_seen", None)
            kept = before.history if before is not None else []
            is_live = before is not None and before.is_live
            self._seen = Seen(answer, kept if history is None else history, at_utc, None, is_live, self._rest_s)

    def _history(self) -> list[words.Answer] | None:
        """Return the newest decisions; None where the store cannot tell them now, which is tried again."""
        asked = {"limit": HISTORY_ROWS} | ({} if self.service is None else {"service": self.service})
        self._wants_history = False
        try:
            rows: Any = self._admin.get(f"/api/v1/history?{urlencode(asked, errors='surrogateescape')}")["history"]
        except (NoDaemon, Refused):
            self._wants_history = True
            return None
        return list(words.printable(rows))

    def start(self, on_news: Callable[[], None]) -> None:
        """Keep up to date from now on, and tell of whatever may be new; the threads end with the program."""
        for loop in (self._ask_again, self._listen):
            threading.Thread(target=loop, args=(on_news,), name=loop.__name__, daemon=True).start()

    def _ask_again(self, on_news: Callable[[], None]) -> None:
        while True:
            self._asked.wait(self._rest_s)
            self._asked.clear()
            begun_s = time.monotonic()
            try:
                self.ask()
            except (NoDaemon, Refused) as failure:
                self._wants_history = True
                self._lost(str(failure))
            took_s = time.monotonic() - begun_s
            self._rest_s = max(REFRESH_S, SHARE * took_s)
            on_news()
            time.sleep(SHARE_OF_NEWS * took_s)

    def _listen(self, on_news: Callable[[], None]) -> None:
        """Have it asked at once when the daemon has news, or is gone, or is back."""
        while True:
            with suppress(NoDaemon, Refused):
                for event in self._admin.events():
                    self._wants_history = self._wants_history or event == "decision"
                    if event or not self.seen.is_live:
                        self._asked.set()
                    self._live(is_live=True)
            self._live(is_live=False)
            self._asked.set()
            on_news()
            time.sleep(AGAIN_S)

    def _live(self, *, is_live: bool) -> None:
        with self._lock:
            self._seen = replace(self._seen, is_live=is_live)

    def _lost(self, trouble: str) -> None:
        with self._lock:
            self._seen = replace(self._seen, trouble=words.printable(trouble))
