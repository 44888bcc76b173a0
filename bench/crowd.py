"""Many replicas' mirrors, and many Traefiks that poll, each crowd in one process beside the measurement."""

import asyncio
import logging
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

import structlog
import uvloop

from bench.load import beside, received
from bench.processes import resident_mb
from bench.replicated import PREFIX
from provider.store.etcd.client import JsonGateway
from provider.store.etcd.documents import Numbered
from provider.store.etcd.kept import KeptFile
from provider.store.etcd.mirror import Mirror
from provider.store.etcd.mirrored import MirrorListeners
from provider.store.etcd.replicas import PollerInfo, PollersInfo, ReplicaInfo
from provider.traefik.process import LOOPBACK

if TYPE_CHECKING:
    from asyncio import Transport

SAY_S = 0.2
"""How often a replica tells its mirror who polls it."""
TRAEFIKS = 2
"""Traefiks that poll each replica."""
POLL_S = 1.0


@dataclass(slots=True)
class Arrived:
    """When the first and the last mirror of a crowd had a document, and how many have it."""

    first_s: float
    last_s: float
    mirrors: int = 1


@dataclass(slots=True)
class Report:
    """What a crowd did since the last report; times are of CLOCK_MONOTONIC."""

    documents: dict[int, Arrived] = field(default_factory=dict)
    polls: int = 0
    polled_bytes: int = 0
    cpu_s: float = 0.0
    resident_mb: float = 0.0


class Crowd:
    """A crowd, from the process that measures."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    async def report(self) -> Report:
        """Return what it did since it was asked last."""
        self._pipe.send(None)
        return cast("Report", await asyncio.to_thread(received, self._pipe))


@contextmanager
def mirrors(count: int, members: Sequence[str], place: Path) -> Iterator[Crowd]:
    """Run so many mirrors, each with a gateway and a folder of its own; they ask the members of etcd in turn."""
    place.mkdir(exist_ok=True)
    with beside(_mirror, (count, tuple(members), place)) as pipe:
        yield Crowd(pipe)


@contextmanager
def pollers(count: int, endpoint: str) -> Iterator[Crowd]:
    """Run so many clients that poll as Traefik does, each over a connection that it keeps."""
    with beside(_poll, (count, endpoint)) as pipe:
        yield Crowd(pipe)


def _mirror(pipe: Connection, given: tuple[int, tuple[str, ...], Path]) -> None:
    count, members, place = given
    report = Report()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))

    async def follow() -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                name = f"mirror-{number:02}"
                endpoints = [
                    f"http://{one}" for one in members[number % len(members) :] + members[: number % len(members)]
                ]
                (place / name).mkdir(exist_ok=True)
                mirror = Mirror(
                    JsonGateway(endpoints),
                    PREFIX,
                    ReplicaInfo(id=name, name=name),
                    MirrorListeners(on_document=lambda found: _arrived(report, found)),
                    kept=KeptFile(place / name),
                )
                group.create_task(mirror.run())
                group.create_task(_say_who_polls(mirror, name))
            while not any(one.mirrors == count for one in report.documents.values()):
                await asyncio.sleep(SAY_S)
            await _answer(pipe, report)

    uvloop.run(follow())


def _arrived(report: Report, found: Numbered) -> None:
    now_s = time.monotonic()
    seen = report.documents.get(found.revision)
    if seen is None:
        report.documents[found.revision] = Arrived(now_s, now_s)
    else:
        seen.last_s = now_s
        seen.mirrors += 1


async def _say_who_polls(mirror: Mirror, name: str) -> None:
    """Say that each Traefik of a replica has each document as soon as that is served."""
    while True:
        revision = mirror.state.served_revision
        infos = tuple(
            PollerInfo(label=f"{name}-{number}", revision=revision, before=revision, last_poll_s=time.time())
            for number in range(TRAEFIKS)
        )
        mirror.put_pollers(PollersInfo(name=name, revision=revision, pollers=infos))
        await asyncio.sleep(SAY_S)


class _Poller(asyncio.Protocol):
    """Asks once in each interval, as a Go ticker does: one that comes during an answer is kept."""

    def __init__(self, name: str, host: str, report: Report) -> None:
        fields = (
            f"Host: {host}\r\nUser-Agent: Go-http-client/1.1\r\nX-Bluegreen-Poller: {name}\r\nAccept-Encoding: gzip"
        )
        self._request = f"GET /traefik HTTP/1.1\r\n{fields}\r\n\r\n".encode()
        self._report = report
        self._head, self._left = b"", -1
        self._next_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("Transport", transport)
        self._next_s = asyncio.get_running_loop().time()
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._report.polled_bytes += len(data)
        if self._left < 0:
            self._head += data
            head, found, body = self._head.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
            if not found or length is None:
                return
            self._left, data = int(length[1]), body
        self._left -= len(data)
        if self._left == 0:
            self._report.polls += 1
            self._head, self._left = b"", -1
            self._next_s += POLL_S
            loop = asyncio.get_running_loop()
            self._next_s = max(self._next_s, loop.time() - POLL_S)
            loop.call_at(self._next_s, self._ask)

    def _ask(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(self._request)


def _poll(pipe: Connection, given: tuple[int, str]) -> None:
    count, endpoint = given
    address = urlsplit(endpoint)
    report = Report()

    async def poll() -> None:
        loop = asyncio.get_running_loop()
        for number in range(count):
            await asyncio.sleep(POLL_S / count)
            name = f"traefik-{number:03}"
            await loop.create_connection(
                lambda name=name: _Poller(name, address.netloc, report),  # type: ignore[misc]
                address.hostname or LOOPBACK,
                address.port or 0,
            )
        await _answer(pipe, report)

    uvloop.run(poll())


async def _answer(pipe: Connection, report: Report) -> None:
    """Say that the crowd is ready, then answer each question with a report, until this is killed."""

    def answer() -> None:
        pipe.recv()
        report.cpu_s, report.resident_mb = time.process_time(), resident_mb(os.getpid())
        pipe.send(report)
        report.documents.clear()
        report.polls = report.polled_bytes = 0

    asyncio.get_running_loop().add_reader(pipe.fileno(), answer)
    pipe.send(None)
    await asyncio.Event().wait()
