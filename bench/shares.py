"""The share of the requests that a candidate gets in each step, for each way in which clients stay."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import aiohttp

from bench.load import HOST, colours
from bench.processes import Daemon, folder, polling
from bench.report import Table, figure
from provider.model import Affinity, Colour, JsonObject
from provider.traefik.process import LOOPBACK, free_ports

SERVICE = "shop"
WEIGHTS = (5, 25, 50, 75)
REQUESTS = 500
STEP_LIMIT_S = 60.0
AT_ONCE = 10
DESIRED = """\
environment: bench
traefik: {{api: ["{api}"]}}
services:
  {service}:
    initial: blue
    router: {{rule: "Host(`{host}`)", entryPoints: [web]}}
    settle: 0s
    healthCheck: {{mode: http, path: /, interval: 200ms, timeout: 1s, healthyAfter: 1}}
    canary: {{affinity: {affinity}, steps: [{steps}]}}
    servers:
      blue: {{urls: ["http://{loopback}:{blue}"], version: "1"}}
"""
GREEN = """\
      green: {{urls: ["http://{loopback}:{green}"], version: "2"}}
"""


@dataclass(slots=True)
class Client:
    """One client: the address it comes from, the cookies it was given, and the colours that answered it."""

    source: str = LOOPBACK
    jar: dict[str, str] = field(default_factory=dict)
    answers: list[str] = field(default_factory=list)

    async def ask(self, url: str) -> None:
        """Send a request over a connection of its own, as whoever comes again after a while."""
        connector = aiohttp.TCPConnector(local_addr=(self.source, 0), force_close=True)
        async with (
            aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.get(url, headers={"Host": HOST}, cookies=self.jar) as answer,
        ):
            assert answer.status == 200, answer
            self.answers.append(await answer.text())
            self.jar |= {name: cookie.value for name, cookie in answer.cookies.items()}


async def measure() -> Table:
    """Return the table of the shares."""
    rows = []
    ports = dict(zip(Colour, free_ports(2), strict=True))
    with colours(ports):
        for affinity in Affinity:
            rows += await _shares(affinity, ports)
            print("  " + " | ".join(rows[-1]), flush=True)
    columns = ("affinity", "clients", *(f"{weight} %" for weight in WEIGHTS), "moved back")
    return Table(f"Share reached at each step, in % of {REQUESTS} requests", columns, rows)


async def _shares(affinity: Affinity, ports: dict[Colour, int]) -> list[list[str]]:
    """Return the rows of one affinity: of the clients that come again at each step, and of those that are new."""
    again, new, moved_back = list[str](), list[str](), 0
    same = _clients(affinity)
    async with _stepping(affinity, ports) as (daemon, url):
        for number, _ in enumerate(WEIGHTS, 1):
            await daemon.until(SERVICE, partial(_is_in, number), STEP_LIMIT_S)
            before = [client.answers[-1] if client.answers else Colour.BLUE for client in same]
            await _ask_all(same, url)
            after = [client.answers[-1] for client in same]
            moved_back += sum(pair == (Colour.GREEN, Colour.BLUE) for pair in zip(before, after, strict=True))
            again.append(_share(same))
            if affinity is Affinity.COOKIE:
                others = _clients(affinity)
                await _ask_all(others, url)
                new.append(_share(others))
            await daemon.promote(SERVICE)
    if affinity is Affinity.NONE:
        return [[affinity.value, "any", *again, "-"]]
    rows = [[affinity.value, "the same again", *again, f"{moved_back}"]]
    return [*rows, [affinity.value, "new", *new, "-"]] if new else rows


@asynccontextmanager
async def _stepping(affinity: Affinity, ports: dict[Colour, int]) -> AsyncIterator[tuple[Daemon, str]]:
    async with AsyncExitStack() as stack:
        daemon = Daemon(stack.enter_context(folder()))
        traefik = polling(daemon.endpoint, interval_s=1.0, throttle_s=0.1)
        text = DESIRED + GREEN
        steps = ", ".join(f"{{weight: {weight}, for: 1h}}" for weight in WEIGHTS)
        given = {colour.value: str(port) for colour, port in ports.items()}
        given |= {"api": traefik.api, "service": SERVICE, "host": HOST, "affinity": affinity.value, "steps": steps}
        daemon.write(DESIRED.format(**given, loopback=LOOPBACK))
        await stack.enter_async_context(daemon.running())
        await stack.enter_async_context(traefik)
        await daemon.until(SERVICE, lambda status: bool(status["active"]), STEP_LIMIT_S)
        daemon.write(text.format(**given, loopback=LOOPBACK))
        yield daemon, traefik.url("web")


def _is_in(number: int, status: JsonObject) -> bool:
    under_way = status["rollout"]
    step = under_way["step"] if isinstance(under_way, dict) else None
    return isinstance(step, dict) and step["number"] == number and bool(status["confirmed"])


def _clients(affinity: Affinity) -> list[Client]:
    """Return as many as there are requests, by address where that is what counts."""
    by_address = affinity is Affinity.CLIENT
    return [
        Client(f"127.{number % 200 + 1}.{number // 200 + 1}.{number * 7 % 250 + 1}") if by_address else Client()
        for number in range(REQUESTS)
    ]


async def _ask_all(clients: Sequence[Client], url: str) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(client: Client) -> None:
        async with gate:
            await client.ask(url)

    async with asyncio.TaskGroup() as tasks:
        for client in clients:
            tasks.create_task(one(client))


def _share(clients: Sequence[Client]) -> str:
    last = Counter(client.answers[-1] for client in clients)
    return figure(100 * last[Colour.GREEN] / last.total())
