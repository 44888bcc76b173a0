"""The load of the demo: steady, bounded, and every request is counted."""

import asyncio
import itertools
import os
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import aiohttp

from provider.cli.demo.wait import Waiter

CLIENTS = 8
EVERY_S = 0.04
REQUEST_S = 10.0


def cause(error: aiohttp.ClientError | TimeoutError) -> str:
    """Return why a request got no answer, for people."""
    match error:
        case TimeoutError():
            return "no answer in time"
        case aiohttp.ClientOSError(errno=int(number)):
            return os.strerror(number).lower()
        case _:
            return str(error) or type(error).__name__


class Turn(NamedTuple):
    """An answer that differs from the one before it on the same path, and when it came (monotonic)."""

    text: str
    at_s: float
    url: str


class Load:
    """CLIENTS clients, each with one connection that is kept open and a request every EVERY_S, to the paths in turn.

    The requests are POSTs, because neither Traefik nor this client retries one: a lost request counts as failed, as
    does every status but 200. `answers` counts by text, `failures` by cause. `others` are further Traefiks, which get
    their share of the requests.
    """

    def __init__(self, url: str, paths: Iterable[str], waiter: Waiter, others: Iterable[str] = ()) -> None:
        self._urls = [base + path for path in paths for base in (url, *others)]
        self.answers: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.turns: list[Turn] = []
        self.slowest_s = 0.0
        self._latest: dict[str, str] = {}
        self._waiter = waiter
        self._stopping = False

    @property
    def requests(self) -> int:
        """How many requests have ended, good or bad."""
        return self.answers.total() + self.failures.total()

    def turned_to(self, text: str, since_s: float, at: str = "") -> float | None:
        """Return when this answer first took over since then, of the Traefik `at` this URL; None if it did not."""
        turns = (turn for turn in self.turns if turn.text == text and turn.at_s > since_s)
        return next((turn.at_s for turn in turns if turn.url.startswith(at)), None)

    def stop(self) -> None:
        """Let `run` end when the requests under way have."""
        self._stopping = True

    async def run(self) -> None:
        """Send requests until stopped."""
        async with asyncio.TaskGroup() as clients:
            for number in range(CLIENTS):
                clients.create_task(self._client(number * EVERY_S / CLIENTS), name=f"client {number}")

    async def _client(self, delay_s: float) -> None:
        loop = asyncio.get_running_loop()
        due_s = loop.time() + delay_s
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=REQUEST_S)) as session:
            for url in itertools.cycle(self._urls):
                if self._stopping:
                    return
                await asyncio.sleep(due_s - loop.time())
                begun_s = loop.time()
                await self._request(session, url)
                ended_s = loop.time()
                self.slowest_s = max(self.slowest_s, ended_s - begun_s)
                due_s = max(due_s + EVERY_S, ended_s)
                self._waiter.notify()

    async def _request(self, session: aiohttp.ClientSession, url: str) -> None:
        try:
            async with session.post(url) as response:
                text = (await response.text()).strip()
        except (aiohttp.ClientError, TimeoutError) as error:
            self.failures[cause(error)] += 1
            return
        if response.status != 200:
            self.failures[f"{response.status}: {text}"] += 1
            return
        self.answers[text] += 1
        if self._latest.get(url) != text:
            self._latest[url] = text
            self.turns.append(Turn(text, asyncio.get_running_loop().time(), url))
