"""Rule 38: each engine is followed by itself; `tests/integration/test_hosts.py` follows real ones."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from provider.docker import kinds
from provider.docker.hosts import Hosts
from provider.docker.inventory import Sink
from provider.docker.joined import EMPTY
from provider.docker.labels import Scope
from provider.model import ByColour, DockerMode, Engine, EngineSeen, Server
from tests.support.waiting import eventually

A = Engine("a", "tcp://10.0.0.5:2376", address="10.0.0.5")
B = Engine("b", "tcp://10.0.0.6:2376", address="10.0.0.6")
ONE = Server("http://10.0.0.5:80", "11111111", container="aaaaaaaaaaaa")
TWO = Server("http://10.0.0.6:80", "11111111", container="bbbbbbbbbbbb")


def blue(*servers: Server) -> ByColour[tuple[Server, ...]]:
    return ByColour(servers, ())


class Followed:
    """What follows an engine, played by the test; `part` is where it reports."""

    def __init__(self, sink: Sink, engine: str | Engine | None) -> None:
        self.part, self.engine = sink, engine
        self.scope: Scope | None = None
        self.relisted: list[str] = []
        self.runs = False

    def set_scope(self, scope: Scope) -> None:
        self.scope = scope

    def relist(self, service: str) -> None:
        self.relisted.append(service)

    def void(self) -> None: ...

    async def run(self) -> None:
        self.runs = True
        try:
            await asyncio.Event().wait()
        finally:
            self.runs = False


class Reports:
    """A sink that notes what it is told."""

    def __init__(self) -> None:
        self.engines: Mapping[str, EngineSeen] = {}
        self.services: dict[str, ByColour[tuple[Server, ...]]] | None = None
        self.times_mono_s: list[float] = []
        self.connected: list[tuple[bool, str | None]] = []
        self.warnings: Mapping[str, str] = {}

    def docker_engines(self, engines: Mapping[str, EngineSeen]) -> None:
        self.engines = engines

    def docker_listed(self, services: Mapping[str, ByColour[tuple[Server, ...]]], listed_mono_s: float) -> None:
        self.services = dict(services)
        self.times_mono_s.append(listed_mono_s)

    def docker_service(self, service: str, colours: ByColour[tuple[Server, ...]], listed_mono_s: float) -> None:
        assert self.services is not None
        self.services[service] = colours
        self.times_mono_s.append(listed_mono_s)

    def docker_networks(self, networks: frozenset[str]) -> None: ...

    def docker_connected(self, connected: bool, cause: str | None) -> None:
        self.connected.append((connected, cause))

    def docker_warnings(self, warnings: Mapping[str, str]) -> None:
        self.warnings = warnings

    def docker_event(self, action: str) -> None: ...

    def runs(self, service: str) -> list[tuple[str | None, str | None]]:
        """Return where the servers of blue run, each with its engine."""
        assert self.services is not None
        return [(server.container, server.engine) for server in self.services.get(service, EMPTY).blue]


class Played:
    """Several engines, each played by the test, by name."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.followed: list[Followed] = []
        self.sink = Reports()

        def follow(
            _: DockerMode, sink: Sink, *, base_url: str | Engine | None, docker_host_address: str | None
        ) -> Followed:
            assert docker_host_address is None
            self.followed.append(Followed(sink, base_url))
            return self.followed[-1]

        monkeypatch.setattr(kinds, "follow", follow)
        self.hosts = Hosts(self.sink, mode=DockerMode.ENGINE, base_url="unix:///here.sock")

    def use(self, *engines: Engine) -> None:
        self.hosts.set_scope(Scope("production", engines=engines))

    def __getitem__(self, name: str) -> Followed:
        """Return what follows an engine now."""
        return next(
            one for one in reversed(self.followed) if isinstance(one.engine, Engine) and one.engine.name == name
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.hosts.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Played:
    return Played(monkeypatch)


def test_without_engines_the_one_of_the_command_line_is_followed_as_it_is(played: Played) -> None:
    played.use()
    (alone,) = played.followed
    assert alone.engine == "unix:///here.sock"
    assert alone.scope == Scope("production")
    alone.part.docker_listed({"shop": blue(ONE)}, 1.0)
    alone.part.docker_connected(connected=True, cause=None)
    assert played.sink.runs("shop") == [("aaaaaaaaaaaa", None)]
    assert played.sink.connected == [(True, None)]
    assert played.sink.engines == {}


def test_each_engine_has_its_own_address_and_knows_whether_it_is_one_of_several(played: Played) -> None:
    played.use(A, B)
    assert played["a"].scope == Scope("production", address="10.0.0.5", is_one=True)
    assert played["b"].scope == Scope("production", address="10.0.0.6", is_one=True)
    played.use(A)
    assert played["a"].scope == Scope("production", address="10.0.0.5")


def test_an_engine_that_has_not_listed_keeps_nobody_waiting_and_is_named(played: Played) -> None:
    played.use(A, B)
    played["b"].part.docker_connected(connected=False, cause="no answer")
    played["a"].part.docker_listed({"shop": blue(ONE)}, 1.0)
    played["a"].part.docker_connected(connected=True, cause=None)
    assert played.sink.runs("shop") == [("aaaaaaaaaaaa", "a")]
    assert played.sink.engines == {"a": EngineSeen(True, True), "b": EngineSeen(False, False, "no answer")}
    played["b"].part.docker_listed({"shop": blue(TWO)}, 2.0)
    assert played.sink.runs("shop") == [("aaaaaaaaaaaa", "a"), ("bbbbbbbbbbbb", "b")]
    assert played.sink.engines["b"].is_listed


def test_a_service_is_as_old_as_the_oldest_list_of_the_engines_on_which_it_lives(played: Played) -> None:
    """Rule 6: the silence of another engine does not hold up its switch."""
    played.use(A, B)
    played["a"].part.docker_listed({"shop": blue(ONE)}, 1.0)
    played["b"].part.docker_listed({"mail": blue(TWO)}, 2.0)
    played["a"].part.docker_service("shop", blue(ONE), 5.0)
    assert played.sink.times_mono_s[-1] == 5.0
    played["b"].part.docker_service("shop", blue(TWO), 3.0)
    assert played.sink.times_mono_s[-1] == 3.0
    played.hosts.relist("shop")
    assert (played["a"].relisted, played["b"].relisted) == (["shop"], ["shop"])


def test_one_container_on_two_engines_is_one_server(played: Played) -> None:
    """Two addresses of the file may lead to one engine."""
    played.use(A, B)
    played["a"].part.docker_listed({"shop": blue(ONE)}, 1.0)
    played["b"].part.docker_listed({"shop": blue(ONE)}, 2.0)
    assert played.sink.runs("shop") == [("aaaaaaaaaaaa", "a")]


def test_warnings_name_the_engine_of_their_container(played: Played) -> None:
    played.use(A, B)
    played["a"].part.docker_warnings({"shop-1": "no port"})
    played["b"].part.docker_warnings({"shop-1": "no colour"})
    assert played.sink.warnings == {"a/shop-1": "no port", "b/shop-1": "no colour"}
    played["a"].part.docker_listed({}, 1.0)
    played.use(B)
    assert played.sink.warnings == {"b/shop-1": "no colour"}


async def test_the_engines_change_with_the_file(played: Played) -> None:
    async with played.running():
        played.use(A, B)
        (alone,) = played.followed[:1]
        await eventually(lambda: played["a"].runs and played["b"].runs and not alone.runs)
        a, b = played["a"], played["b"]
        a.part.docker_listed({"shop": blue(ONE)}, 1.0)
        b.part.docker_listed({"shop": blue(TWO)}, 1.0)
        played.use(A)
        await eventually(lambda: a.runs and not b.runs)
        assert played["a"] is a, "what has not changed goes on"
        assert played.sink.runs("shop") == [("aaaaaaaaaaaa", "a")]
        b.part.docker_service("shop", blue(TWO), 9.0)
        assert played.sink.runs("shop") == [("aaaaaaaaaaaa", "a")], "what came late from an engine that is gone"


async def test_an_engine_at_another_address_keeps_its_servers_until_it_has_listed(played: Played) -> None:
    """P4."""
    async with played.running():
        played.use(A, B)
        played["a"].part.docker_listed({"shop": blue(ONE)}, 1.0)
        played["a"].part.docker_connected(connected=True, cause=None)
        before = played["a"]
        await eventually(lambda: before.runs)
        played.use(Engine("a", "tcp://10.0.0.9:2376"), B)
        await eventually(lambda: played["a"].runs and not before.runs)
        assert played.sink.engines["a"] == EngineSeen(is_listed=True, answers=False)
        assert played.sink.runs("shop") == [("aaaaaaaaaaaa", "a")]


def test_after_a_void_each_engine_has_to_answer_again(played: Played) -> None:
    """Rule 14."""
    played.use(A, B)
    for name in ("a", "b"):
        played[name].part.docker_listed({}, 1.0)
        played[name].part.docker_connected(connected=True, cause=None)
    played.hosts.void()
    played["a"].part.docker_connected(connected=True, cause=None)
    assert {name: seen.answers for name, seen in played.sink.engines.items()} == {"a": True, "b": False}


def test_back_to_the_engine_of_the_command_line(played: Played) -> None:
    played.use(A)
    played["a"].part.docker_listed({"shop": blue(ONE)}, 1.0)
    played.use()
    assert played.sink.engines == {}
    assert played.sink.services == {}
    assert played.followed[-1].engine == "unix:///here.sock"
