"""Steps of a canary: a rollout in one of them, documents as the daemon renders them, and clients that come again."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from http.cookies import SimpleCookie
from typing import NamedTuple

from provider.model import Affinity, Canary, Member, Phase, Rollout, Served, Server, Service, Step, StepState
from provider.model.document import Document
from provider.rollout.serving import serve
from provider.rollout.weights import alias
from provider.traefik.document.render import assemble, render_pass_through, render_service
from provider.traefik.process import LOOPBACK, Traefik
from tests.support.phases import in_phase
from tests.support.traefik import Backend, DocumentServer
from tests.support.waiting import eventually
from tests.support.worlds import GREEN, at, member, runs

WEIGHTS = (5, 25, 50, 75)
AT_ONCE = 20
ANSWERS_IN_S = 30.0


def stepping(number: int, affinity: Affinity = Affinity.NONE, weights: Iterable[int] = WEIGHTS) -> Rollout:
    """Be in a step of the rollout `r1` of the shop's green r2."""
    under_way = in_phase(Phase.SHIFTING).rollout
    assert under_way is not None
    canary = Canary(tuple(map(Step, weights)), affinity)
    return replace(under_way, canary=canary, step=StepState(number, at().utc, at().mono_s))


def switched(of: Member, under_way: Rollout) -> Member:
    """Be past the last step: green is active, of a service with sessions under the name that the rollout gave it."""
    return replace(of, state=replace(of.state, active=GREEN, alias=alias(of.service, GREEN, under_way)))


def runs_at(of: Service, blue: Iterable[Backend], green: Iterable[Backend]) -> Member:
    """Put a service together whose blue runs r1 and is active, and whose green runs r2."""
    old = (Server(one.url, "r1", container=f"b{number}", deaths=0) for number, one in enumerate(blue))
    new = (Server(one.url, "r2", container=f"g{number}", deaths=0) for number, one in enumerate(green))
    return member(of, blue=runs(*old), green=runs(*new))


def served(of: Member, under_way: Rollout | None = None) -> Served:
    """What is served of it, which must be something."""
    found = serve(of, under_way)
    assert found is not None
    return found


def rendered(*all_served: Served, passed: Mapping[str, object] | None = None) -> Document:
    """Render a document of these services."""
    return assemble([render_service(one) for one in all_served], render_pass_through(passed or {}))


@dataclass
class Stage:
    """A real Traefik and the documents that it polls."""

    traefik: Traefik
    documents: DocumentServer
    reloads: int = 0

    async def show(self, *all_served: Served, passed: Mapping[str, object] | None = None) -> Document:
        """Publish a document of these services, and wait until its marker proves that Traefik applied it."""
        document = rendered(*all_served, passed=passed)
        self.documents.publish(document.body)
        await eventually(lambda: self.traefik.middleware(document.marker))
        errors = self.traefik.errors()
        assert errors == ()
        return document

    async def reload(self, *all_served: Served) -> Document:
        """Publish the same, and besides a change that is nobody's of them."""
        self.reloads += 1
        header = {"headers": {"customRequestHeaders": {"X-Reload": str(self.reloads)}}}
        return await self.show(*all_served, passed={"http": {"middlewares": {"unrelated": header}}})


class Answer(NamedTuple):
    """What one request was answered with; `set_cookies` are the cookies that it set."""

    status: int
    body: str
    headers: Mapping[str, str]
    set_cookies: Mapping[str, str]


async def ask(url: str, host: str, *, source: str = LOOPBACK, headers: Mapping[str, str] | None = None) -> Answer:
    """Send one request over a connection of its own, from an address of this machine."""
    name, _, rest = url.removeprefix("http://").partition(":")
    port, _, path = rest.partition("/")
    lines = {"Host": host, "Connection": "close", **(headers or {})}
    async with asyncio.timeout(ANSWERS_IN_S):
        reader, writer = await asyncio.open_connection(name, int(port), local_addr=(source, 0))
        try:
            head = "".join(f"{key}: {value}\r\n" for key, value in lines.items())
            writer.write(f"GET /{path} HTTP/1.1\r\n{head}\r\n".encode())
            answer = await reader.read()
        finally:
            writer.close()
    top, _, body = answer.partition(b"\r\n\r\n")
    first, *fields = top.decode().split("\r\n")
    pairs = [(key.lower(), value.strip()) for key, _, value in (field.partition(":") for field in fields)]
    cookies = SimpleCookie()
    for key, value in pairs:
        if key == "set-cookie":
            cookies.load(value)
    return Answer(int(first.split()[1]), body.decode(), dict(pairs), {key: one.value for key, one in cookies.items()})


@dataclass
class Client:
    """One client: its address, the cookies that it was given, and the answers to it, the newest last."""

    source: str = LOOPBACK
    jar: dict[str, str] = field(default_factory=dict)
    bodies: list[str] = field(default_factory=list)

    async def ask(self, url: str, host: str) -> None:
        """Send a request with all cookies; anything but 200 is a failure."""
        cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.jar.items())} if self.jar else {}
        answer = await ask(url, host, source=self.source, headers=cookie)
        assert answer.status == 200, answer
        self.jar |= answer.set_cookies
        self.bodies.append(answer.body)

    @property
    def last(self) -> str:
        """The name of the backend that answered last."""
        return self.bodies[-1]


async def all_ask(clients: Iterable[Client], url: str, host: str) -> None:
    """Let each client send one request, a few at a time."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(work: Awaitable[None]) -> None:
        async with gate:
            await work

    await asyncio.gather(*(one(client.ask(url, host)) for client in clients))


def share(clients: Iterable[Client], body: str = "green") -> float:
    """The per cent of these clients that a backend answered last."""
    counted = Counter(client.last for client in clients)
    return 100 * counted[body] / counted.total()
