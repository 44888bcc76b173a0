"""Reads, in rounds, what the analyses that are under way ask for."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from provider.checks.analysis.fetching import open_session
from provider.checks.analysis.prometheus import Asked
from provider.checks.analysis.traefik import Resolve, Traefiks
from provider.model.analysed import Answer, Followed, Scrape
from provider.model.progressive import Prometheus, Query
from provider.runtime.clock import CLOCK
from provider.runtime.resolver import look_up

if TYPE_CHECKING:
    import aiohttp

EVERY_LEAST_S = 1.0
AT_ONCE = 50
"""So many services of a scrape are reported together, and kept by one commit."""


@dataclass(frozen=True, slots=True)
class _Counters:
    """The counters of all services with one source and one rhythm, read together."""

    prometheus: Prometheus | None
    every_s: float

    @property
    def name(self) -> str:
        return f"{self.prometheus.url if self.prometheus else 'traefik'} every {self.every_s:g} s"


@dataclass(frozen=True, slots=True)
class _Asking:
    """One query of one service."""

    followed: Followed
    query: Query

    @property
    def name(self) -> str:
        return f"query {self.query.name} of {self.followed.service}"


_Key: TypeAlias = _Counters | _Asking


class Analyser:
    """Reads the counters of the services that are followed, and makes their queries, each at its rhythm.

    `on_scrape` and `on_answer` get what came of it, from within `run`. `resolve` turns a host and a port into
    addresses. All methods belong to the event loop's thread.
    """

    def __init__(
        self,
        *,
        on_scrape: Callable[[Scrape], None],
        on_answer: Callable[[Answer], None],
        resolve: Resolve = look_up,
    ) -> None:
        self._on_scrape, self._on_answer, self._resolve = on_scrape, on_answer, resolve
        self._groups: dict[str, tuple[Followed, ...]] = {}
        self._urls: tuple[str, ...] = ()
        self._changed = asyncio.Event()
        self._voided = 0
        self._running: dict[_Key, asyncio.Task[None]] = {}
        self._session: aiohttp.ClientSession

    def set_traefiks(self, apis: tuple[str, ...], metrics: tuple[str, ...]) -> None:
        """Replace the addresses of Traefik's metrics; without any they are beside its APIs."""
        urls = metrics or tuple(f"{api.rstrip('/')}/metrics" for api in apis)
        urls = tuple(dict.fromkeys(urls))
        if urls != self._urls:
            self._urls = urls
            for key in [key for key in self._running if isinstance(key, _Counters) and key.prometheus is None]:
                self._running.pop(key).cancel()
            self._changed.set()

    def set_followed(self, group: str, followed: tuple[Followed, ...]) -> None:
        """Replace the services of a rollout group that are analysed now."""
        if followed:
            self._groups[group] = followed
        else:
            self._groups.pop(group, None)
        self._changed.set()

    def void(self) -> None:
        """Drop what is being read: it may be from long ago."""
        self._voided += 1

    async def run(self) -> None:
        """Read until cancelled; nothing is read on after that."""
        self._running = {}
        async with open_session() as self._session, asyncio.TaskGroup() as tasks:
            while True:
                self._changed.clear()
                wanted = set(self._wanted())
                for key in self._running.keys() - wanted:
                    self._running.pop(key).cancel()
                for key in wanted - self._running.keys():
                    work = self._count(key) if isinstance(key, _Counters) else self._ask(key)
                    self._running[key] = tasks.create_task(work, name=f"analysis: {key.name}")
                await self._changed.wait()

    def _wanted(self) -> Iterable[_Key]:
        for followed in self._groups.values():
            for one in followed:
                analysis = one.analysis
                yield _Counters(analysis.prometheus, analysis.every_s)
                if analysis.asks is not None:
                    yield from (_Asking(one, query) for query in analysis.queries)

    def _followed(self, key: _Counters) -> tuple[Followed, ...]:
        return tuple(
            one
            for followed in self._groups.values()
            for one in followed
            if (one.analysis.prometheus, one.analysis.every_s) == (key.prometheus, key.every_s)
        )

    async def _count(self, key: _Counters) -> None:
        """Read the counters at their rhythm; a reading that takes longer makes the next one late."""
        source = Traefiks(self._session, self._urls, self._resolve) if key.prometheus is None else None
        asked = Asked(self._session, key.prometheus) if key.prometheus is not None else None
        while True:
            due_mono_s = CLOCK.mono_s + max(EVERY_LEAST_S, key.every_s)
            voided, followed = self._voided, self._followed(key)
            if source is not None:
                readings = await source.read(followed)
                cause = None if readings else "the file names no Traefik to read: traefik.api or traefik.metrics"
                scrape = Scrape(key.name, followed, readings, cause)
            elif asked is not None:
                scrape = await asked.scrape(key.name, followed)
            for start in range(0, len(followed), AT_ONCE):  # a thousand services would hold the event loop for 60 ms
                if voided == self._voided:
                    self._on_scrape(replace(scrape, followed=followed[start : start + AT_ONCE]))
                await asyncio.sleep(0)
            await asyncio.sleep(max(0.0, due_mono_s - CLOCK.mono_s))

    async def _ask(self, key: _Asking) -> None:
        """Make a query at its rhythm."""
        assert key.followed.analysis.asks is not None, "a query needs a Prometheus"
        asked = Asked(self._session, key.followed.analysis.asks)
        while True:
            due_mono_s = CLOCK.mono_s + max(EVERY_LEAST_S, key.query.every_s)
            voided = self._voided
            answer = await asked.answer(key.followed, key.query.name, key.query.text)
            if voided == self._voided:
                self._on_answer(answer)
            await asyncio.sleep(max(0.0, due_mono_s - CLOCK.mono_s))
