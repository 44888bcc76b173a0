"""A fleet of services, and events that happen to some of them: switches that are commanded, servers that fail."""

import asyncio
import time
from collections.abc import Callable, Collection, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, cast

import aiohttp
import orjson
import uvloop

from bench import fleet
from bench.load import beside
from bench.replicated import Replica
from provider.model import Colour
from provider.store.etcd.address import parse_address
from provider.store.etcd.client import connect
from provider.store.etcd.gateway import Put
from provider.store.etcd.keys import Keys
from provider.store.etcd.rows import Book
from provider.store.records import Change
from provider.traefik.process import LOOPBACK, free_ports

if TYPE_CHECKING:
    from asyncio import Transport

SWITCHED = FAILING = 100
"""Services that are switched, and services whose second server fails and comes back."""
EVERY_S = 60 / 1000
"""A thousand events a minute."""
SECOND = "127.0.0.2"
"""The address of the second servers; the checks of all of them stay on this machine."""
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
ANSWER_S = 30.0
ROWS_AT_ONCE = 100


def name(number: int) -> str:
    """Return a name that has nothing in common with its neighbours', as compression would find that."""
    number = number * 618_031 % 36**4
    return "s" + "".join(DIGITS[number // 36**place % 36] for place in range(4))


def switched() -> list[str]:
    """Return the services that can be switched."""
    return [name(number) for number in range(SWITCHED)]


def failing() -> list[str]:
    """Return the services whose second server may fail."""
    return [name(number) for number in range(SWITCHED, SWITCHED + FAILING)]


def text(services: int, ports: Sequence[int], *, pinned: Collection[str] = (), both: int = SWITCHED) -> str:
    """Return a desired state in its shortest form: at this size the 5 MiB of a file are near.

    The first `both` services have both colours, and those that are `pinned` are green; the next ones can fail.
    """
    blue, green = ports
    lines = [
        "environment: bench",
        "traefik: {defaultCertificate: generated}",
        "defaults:",
        "  settle: 0s",
        "  watch: 0s",
        "  minServers: 1",
        "  healthCheck: {mode: tcp, interval: 1h, timeout: 9s, healthyAfter: 1, unhealthyAfter: 1}",
        "services:",
    ]
    for number in range(services):
        own = name(number)
        more, urls = "", f"blue: {{urls: [http://{LOOPBACK}:{blue}]}}"
        if number < both:
            more = f"active: {'green' if own in pinned else 'blue'}, healthCheck: {{interval: {both // 20}s}}, "
            urls += f", green: {{urls: [http://{LOOPBACK}:{green}]}}"
        elif number < both + FAILING:
            more = f"healthCheck: {{mode: http, path: /{own}, interval: 1s}}, "
            urls = f"blue: {{urls: [http://{LOOPBACK}:{blue}, http://{SECOND}:{blue}]}}"
        lines.append(f'  {own}: {{{more}router: {{rule: "Host(`{own}.test`)"}}, servers: {{{urls}}}}}')
    return "\n".join(lines) + "\n"


async def decide(store: str, services: int, ports: Sequence[int], both: int = SWITCHED) -> None:
    """Write into etcd what replicas have decided that serve this fleet from blue: their start waits for no check."""
    few = fleet.decided_of(text(both + FAILING + 1, ports, both=both))
    *_, plain = few.values()
    decided = {own: few.get(own, plain) for own in map(name, range(services))}
    address = parse_address(store)
    keys, gateway = Keys(address.prefix), connect(address, None)
    book = Book(keys)
    try:
        await gateway.transact((), [Put(keys.floor, b"1")])  # the first document of all would wait for checks
        for begin in range(0, services, ROWS_AT_ONCE):
            some = dict(islice(decided.items(), begin, begin + ROWS_AT_ONCE))
            await gateway.transact((), book.puts(book.compose(Change(services=some))))
    finally:
        await gateway.close()


class Servers:
    """The servers of all services, from the process that measures; `ports` are those of blue and of green."""

    def __init__(self, pipe: Connection, ports: Sequence[int]) -> None:
        self._pipe, self.ports = pipe, ports

    def turn(self, service: str) -> None:
        """Have the second server of a service answer 503 from now on, or 200 again."""
        self._pipe.send(service)


@contextmanager
def servers() -> Iterator[Servers]:
    """Run them in a process of their own."""
    ports = free_ports(2)
    with beside(_serve, ports) as pipe:
        yield Servers(pipe, ports)


def _serve(pipe: Connection, ports: Sequence[int]) -> None:
    blue, green = ports
    down: set[str] = set()

    def turn() -> None:
        down.symmetric_difference_update({pipe.recv()})

    async def answer() -> None:
        loop = asyncio.get_running_loop()
        for host, port, some in (
            (LOOPBACK, blue, frozenset[str]()),
            (LOOPBACK, green, frozenset()),
            (SECOND, blue, down),
        ):
            await loop.create_server(partial(_Server, some), host, port, backlog=4096)
        loop.add_reader(pipe.fileno(), turn)
        pipe.send(None)
        await asyncio.Event().wait()

    uvloop.run(answer())


class _Server(asyncio.Protocol):
    """Answers 200, and 503 to the path of a service that is down."""

    def __init__(self, down: Collection[str]) -> None:
        self._down = down

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("Transport", transport)

    def data_received(self, data: bytes) -> None:
        path = data.split(b" ", 2)[1].decode(errors="replace").strip("/")
        status = "503 Service Unavailable" if path in self._down else "200 OK"
        self._transport.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        self._transport.close()


@dataclass(slots=True)
class Happened:
    """How many events there were, how long commands took to be answered, and what was refused."""

    events: int = 0
    took_s: list[float] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


async def switches(session: aiohttp.ClientSession, leader: Replica, time_s: float) -> Happened:
    """Switch one service after the other to its other colour, a thousand times a minute."""
    happened, names = Happened(), switched()

    async def switch(number: int) -> None:
        colour = (Colour.GREEN, Colour.BLUE)[number // len(names) % 2]
        url = f"{leader.admin}/services/{names[number % len(names)]}/switch"
        begun_s = time.monotonic()
        try:
            async with asyncio.timeout(ANSWER_S), session.post(url, json={"colour": colour}) as answer:
                said = orjson.loads(await answer.read())
        except (aiohttp.ClientError, TimeoutError) as failure:
            happened.refused.append(type(failure).__name__)
            return
        happened.took_s.append(time.monotonic() - begun_s)
        if answer.status not in {200, 202}:
            happened.refused.append(said["code"])

    await _each(switch, happened, time_s)
    return happened


async def failures(them: Servers, time_s: float) -> Happened:
    """Have one server after the other fail, or come back, a thousand times a minute; all are back at the end."""
    happened, names, down = Happened(), failing(), set[str]()

    async def turn(number: int) -> None:
        service = names[number % len(names)]
        down.symmetric_difference_update({service})
        them.turn(service)

    await _each(turn, happened, time_s)
    for service in down:
        them.turn(service)
    return happened


async def _each(happen: Callable[[int], Coroutine[Any, Any, None]], happened: Happened, time_s: float) -> None:
    """Begin an event when its time has come, whatever became of those before."""
    begun_s = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(int(time_s / EVERY_S)):
            await asyncio.sleep(begun_s + number * EVERY_S - time.monotonic())
            group.create_task(happen(number))
            happened.events += 1
