"""Reads the metrics of every address of every Traefik."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeAlias

import aiohttp
from yarl import URL

from provider.checks.analysis.fetching import FAULTS, cause_of, fetch
from provider.checks.analysis.text import Scanner
from provider.model.analysed import Followed, TraefikCounts
from provider.runtime.clock import CLOCK

ADDRESSES = 64
"""Maximum number of addresses of one name."""
RESOLVE_LIMIT_S = 30.0
"""Longer than the system's own limit: a lookup given up earlier would go on in its thread beside the next one."""
AT_ONCE = 8
"""So many Traefiks are read at once."""
METRICS = re.compile(r"/metrics/?$")

Resolve: TypeAlias = Callable[[str, int], Awaitable[tuple[str, ...]]]


class Traefiks:
    """The metrics of the Traefiks under these URLs; a name that is not resolved keeps the addresses it had."""

    def __init__(self, session: aiohttp.ClientSession, urls: tuple[str, ...], resolve: Resolve) -> None:
        self._session, self._resolve = session, resolve
        self._urls = tuple(URL(url) for url in urls)
        self._known: dict[URL, tuple[str, ...]] = {}
        self._room = asyncio.Semaphore(AT_ONCE)

    async def read(self, followed: tuple[Followed, ...]) -> tuple[TraefikCounts, ...]:
        """Read every Traefik once. One that two addresses lead to counts once: it names its start to 10 ms."""
        targets = dict[str, tuple[URL, str]]()
        causes = []
        for url in self._urls:
            addresses, cause = await self._addresses(url)
            if cause is not None:
                causes.append(_none(str(url), cause))
            for address in addresses:
                targets.setdefault(_name(url, address), (url, address))
        async with asyncio.TaskGroup() as tasks:
            reading = [
                tasks.create_task(self._read(name, url, address, followed), name=f"metrics of {name}")
                for name, (url, address) in sorted(targets.items())
            ]
        return (*causes, *_distinct(task.result() for task in reading))

    async def _addresses(self, url: URL) -> tuple[tuple[str, ...], str | None]:
        host = url.host or ""
        if ":" in host:  # a lookup would lose the zone of an IPv6 address
            return (host,), None
        try:
            async with asyncio.timeout(RESOLVE_LIMIT_S):
                found = (await self._resolve(host, url.port or 0))[:ADDRESSES]
        except (OSError, UnicodeError) as error:
            known = self._known.get(url, ())
            return known, None if known else f"the name {host} is not resolved: {cause_of(error)}"
        self._known[url] = found
        return found, None if found else f"the name {host} has no address"

    async def _read(self, name: str, url: URL, address: str, followed: tuple[Followed, ...]) -> TraefikCounts:
        scanner, is_literal = Scanner(followed), url.host == address
        async with self._room:
            began_mono_s = CLOCK.mono_s
            try:
                dated_s = await fetch(
                    self._session,
                    url if is_literal else url.with_host(address),
                    scanner.feed,
                    headers={"Host": url.host_port_subcomponent or "", "Accept": "text/plain;version=0.0.4"},
                    name=None if is_literal else url.host,
                )
                children = scanner.counts()
            except FAULTS as error:
                return _none(name, cause_of(error))
        return TraefikCounts(name, began_mono_s, CLOCK.mono_s, children, scanner.started_s, dated_s)


def _name(url: URL, address: str) -> str:
    """Return the name of a Traefik: the one that the read-back knows it by, where its metrics are beside its API."""
    by_address = str(url if url.host == address else url.with_host(address))
    return METRICS.sub("", by_address)


def _none(name: str, cause: str) -> TraefikCounts:
    now_mono_s = CLOCK.mono_s
    return TraefikCounts(name, now_mono_s, now_mono_s, cause=cause)


def _distinct(readings: Iterable[TraefikCounts]) -> list[TraefikCounts]:
    found: list[TraefikCounts] = []
    started = set[float]()
    for one in readings:
        if one.started_s is not None:
            if one.started_s in started:
                continue
            started.add(one.started_s)
        found.append(one)
    return found
