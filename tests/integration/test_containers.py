import asyncio
import contextlib
import json
import threading
import time
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from bench.engine import Engine, PrivateEngine
from provider.docker.discovery import DUE_MOST, SECOND_LIST_S, Containers
from provider.docker.engine import Client
from provider.docker.labels import Scope
from provider.docker.listing import Listing
from provider.model import ByColour, Health, Server
from tests.support.waiting import eventually

EMPTY: ByColour[tuple[Server, ...]] = ByColour((), ())
NEVER_S = 3600.0


class Seen:
    """A sink that keeps what it was reported last."""

    def __init__(self) -> None:
        self.services: dict[str, ByColour[tuple[Server, ...]]] = {}
        self.listed_mono_s: dict[str, float] = {}
        self.complete_lists = 0
        self.connected: bool | None = None
        self.cause: str | None = None
        self.warnings: Mapping[str, str] = {}
        self.events: Counter[str] = Counter()
        self.history: list[tuple[int, ByColour[tuple[Server, ...]]]] = []
        self.then: Callable[[str], None] | None = None
        self.networks: frozenset[str] = frozenset()

    def docker_listed(self, services: Mapping[str, ByColour[tuple[Server, ...]]], listed_mono_s: float) -> None:
        self.services = dict(services)
        self.listed_mono_s = dict.fromkeys(services, listed_mono_s)
        self.complete_lists += 1

    def docker_service(self, service: str, colours: ByColour[tuple[Server, ...]], listed_mono_s: float) -> None:
        self.services[service] = colours
        self.listed_mono_s[service] = listed_mono_s
        self.history.append((self.events["die"], colours))
        if self.then:
            self.then(service)

    def docker_networks(self, networks: frozenset[str]) -> None:
        self.networks = networks

    def docker_connected(self, connected: bool, cause: str | None) -> None:
        self.connected, self.cause = connected, cause

    def docker_warnings(self, warnings: Mapping[str, str]) -> None:
        self.warnings = warnings

    def docker_event(self, action: str) -> None:
        self.events[action] += 1

    def blue(self, service: str = "shop") -> tuple[Server, ...]:
        return self.services.get(service, EMPTY).blue

    def containers(self, service: str = "shop") -> set[str | None]:
        return {server.container for _, servers in self.services.get(service, EMPTY).items() for server in servers}

    def leaving(self, container: str, service: str = "shop") -> bool:
        """Whether it was asked to stop; fails for one that is not listed."""
        server = next(server for server in self.blue(service) if server.container == container[:12])
        return server.leaving_mono_s is not None


FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"


class Proxy:
    """Stands between the daemon and the engine, notes requests, and goes silent the way a dead one does.

    Requests for a path that has `forbidden` in it are answered with 403.
    """

    def __init__(self, target: str, path: Path) -> None:
        self.url = f"unix://{path}"
        self.requests: list[str] = []
        self._target = target.removeprefix("unix://")
        self._path = path
        self._tasks: set[asyncio.Task[None]] = set()
        self._lines: dict[asyncio.StreamReader, list[str]] = {}
        self._muted: set[asyncio.StreamReader] = set()
        self._silent = False
        self.forbidden: str | None = None

    def silence(self, path: str = "") -> None:
        """Pass on nothing more on connections that have asked for this path; without one, on all, new ones too."""
        self._silent = not path
        self._muted |= {client for client, lines in self._lines.items() if any(path in line for line in lines)}

    def speak(self) -> None:
        """Serve new connections again; those that went silent stay so."""
        self._silent = False

    def lists(self) -> list[str]:
        """Return the label that was asked for by each list of containers."""
        queries = [urllib.parse.urlsplit(line).query for line in self.requests if "/containers/json" in line]
        return [json.loads(urllib.parse.parse_qs(query)["filters"][0])["label"][0] for query in queries]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_unix_connection(self._target)
        lines = self._lines.setdefault(reader, [])
        if self._silent:
            self._muted.add(reader)

        async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                while data := await source.read(65536):
                    if source is reader and data.startswith(b"GET "):
                        lines.append(data.split(b" ", 2)[1].decode())
                        self.requests.append(lines[-1])
                        if self.forbidden is not None and self.forbidden in lines[-1]:
                            writer.write(FORBIDDEN)
                            continue
                    if reader not in self._muted:
                        target.write(data)
                        await target.drain()
            target.close()

        try:
            await asyncio.gather(pump(reader, up_writer), pump(up_reader, writer))
        finally:
            for end in (writer, up_writer):
                end.close()
                with contextlib.suppress(OSError):
                    await end.wait_closed()

    async def __aenter__(self) -> "Proxy":
        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(self._serve(reader, writer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        self._server = await asyncio.start_unix_server(connected, self._path)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def following(
    url: str,
    *,
    environment: str = "production",
    required: bool = False,
    docker_host_address: str | None = None,
    ping_s: float = NEVER_S,
    timeout_s: float = 30.0,
    refresh_s: float = NEVER_S,
) -> AsyncIterator[tuple[Containers, Seen]]:
    """Follow an engine by its events alone, unless asked to look by itself as well."""
    seen = Seen()
    containers = Containers(
        seen,
        base_url=url,
        docker_host_address=docker_host_address,
        ping_s=ping_s,
        timeout_s=timeout_s,
        refresh_s=refresh_s,
        backoff_s=0.05,
        backoff_max_s=0.2,
    )
    containers.set_scope(Scope(environment, required))
    task = asyncio.create_task(containers.run())
    try:
        await eventually(lambda: seen.connected is not None)
        yield containers, seen
    finally:
        task.cancel()
        await asyncio.wait([task])


async def answers(server: Server) -> str:
    def get() -> str:
        with urllib.request.urlopen(server.url, timeout=30) as answer:
            return str(answer.read().decode().strip())

    async def attempt() -> str:
        try:
            return await asyncio.to_thread(get)
        except OSError as error:
            raise AssertionError(server.url) from error

    return await eventually(attempt)


async def test_what_runs_at_the_start_is_in_the_first_complete_list(engine: Engine) -> None:
    blue = engine.run("t-blue", "shop", "blue", version="1.4.1")
    green = engine.run("t-green", "shop", "green", version="1.4.2")
    async with following(engine.url) as (_, seen):
        assert seen.connected, seen.cause
        colours = seen.services["shop"]
        assert [(s.container, s.version) for s in colours.blue] == [(blue[:12], "1.4.1")]
        assert [(s.container, s.version) for s in colours.green] == [(green[:12], "1.4.2")]
        assert colours.blue[0].release != colours.green[0].release
        address = engine.api.inspect_container(blue)["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
        assert colours.blue[0].url == f"http://{address}:80"


async def test_a_start_and_a_death_are_followed(engine: Engine) -> None:
    async with following(engine.url) as (_, seen):
        first = await asyncio.to_thread(engine.run, "t-first", "shop", "blue")
        second = await asyncio.to_thread(engine.run, "t-second", "shop", "blue")
        await eventually(lambda: seen.containers() == {first[:12], second[:12]})
        await asyncio.to_thread(engine.api.stop, first)
        await eventually(lambda: seen.containers() == {second[:12]})
        await asyncio.to_thread(engine.remove, second)
        await eventually(lambda: seen.containers() == set())
        assert seen.events["start"] == 2
        assert seen.events["die"] == 2


async def test_a_dead_container_stays_gone_while_the_engine_still_lists_it(engine: Engine) -> None:
    """Rule 4: removed by Docker's own word, never published again. The engine says `die` before its list does."""
    dying = engine.run("t-dying", "shop", "blue")
    staying = engine.run("t-staying", "shop", "blue")
    async with following(engine.url) as (containers, seen):
        assert seen.containers() == {dying[:12], staying[:12]}
        seen.then = containers.relist
        await asyncio.to_thread(engine.api.kill, dying)
        await eventually(lambda: [deaths for deaths, _ in seen.history].count(1) > 20)
        assert {server.container for deaths, now in seen.history if deaths for server in now.blue} == {staying[:12]}


@pytest.mark.parametrize("name", ["INT", "KILL", "USR1"])
async def test_a_container_asked_to_stop_leaves(engine: Engine, name: str) -> None:
    """Rule 4. USR1 is the stop signal of this container."""
    container = engine.run("t-leaving", "shop", "blue", stop_signal="SIGUSR1")
    async with following(engine.url) as (_, seen):
        await asyncio.to_thread(engine.api.kill, container, signal=name)
        await eventually(lambda: any(server.leaving_mono_s for _, colours in seen.history for server in colours.blue))


async def test_signals_that_do_not_ask_to_stop_are_no_reason_to_leave(engine: Engine) -> None:
    """Rule 4: whatever its spelling, and QUIT too, which a JVM answers with a dump of its threads."""
    container = engine.run("t-reloading", "shop", "blue", drains=True)
    async with following(engine.url) as (_, seen):
        signals = ("HUP", "USR1", "SIGUSR2", "WINCH", "28", "RTMIN+3", "SIGQUIT")
        for name in signals:
            await asyncio.to_thread(engine.api.kill, container, signal=name)
        await eventually(lambda: seen.events["kill"] == len(signals))
        await asyncio.to_thread(engine.api.kill, container, signal="INT")
        await eventually(lambda: seen.leaving(container))
        assert not any(server.leaving_mono_s for _, colours in seen.history[:-1] for server in colours.blue)
        asked_mono_s = seen.blue()[0].leaving_mono_s
        assert asked_mono_s is not None
        await asyncio.to_thread(engine.api.kill, container, signal="INT")
        await eventually(lambda: (seen.blue()[0].leaving_mono_s or 0.0) > asked_mono_s), "it has as long again"


async def test_a_container_with_a_long_stop_timeout_has_as_long_to_stop(engine: Engine) -> None:
    """Rule 4: its StopTimeout plus 10 s."""
    container = engine.run("t-draining", "shop", "blue", stop_timeout_s=300, drains=True)
    async with following(engine.url) as (_, seen):
        await asyncio.to_thread(engine.api.kill, container, signal="INT")
        await eventually(lambda: seen.leaving(container) and seen.blue()[0].leaving_limit_s == 310.0)


async def test_a_reload_signal_leaves_the_server_in_place(engine: Engine) -> None:
    """Rule 4."""
    container = engine.run("t-reloading", "shop", "blue")
    async with following(engine.url) as (containers, seen):
        await asyncio.to_thread(engine.api.kill, container, signal="HUP")
        await eventually(lambda: seen.events["kill"] == 1)
        before = time.monotonic()
        containers.relist("shop")
        await eventually(lambda: seen.listed_mono_s["shop"] >= before)
        assert not seen.leaving(container)


async def test_a_restart_ends_leaving_and_keeps_the_release(engine: Engine) -> None:
    container = engine.run("t-restarted", "shop", "blue", version="1", drains=True)
    async with following(engine.url) as (_, seen):
        release = seen.blue()[0].release
        await asyncio.to_thread(engine.api.kill, container, signal="INT")
        await eventually(lambda: seen.leaving(container))
        await asyncio.to_thread(engine.api.restart, container, timeout=1)
        await eventually(lambda: seen.blue() and not seen.leaving(container))
        assert seen.blue()[0].release == release


def healths(seen: Seen, service: str) -> list[Health | None]:
    return [server.docker_health for server in seen.blue(service)]


def deaths(seen: Seen) -> list[int | None]:
    return [server.deaths for server in seen.blue()]


async def counted(containers: Containers, seen: Seen, container: str, wanted: int) -> None:
    """Wait until a container runs, and has died so often."""

    def look() -> bool:
        assert (seen.containers(), deaths(seen)) == ({container[:12]}, [wanted])
        return True

    containers.relist("shop")
    await eventually(look)


async def test_a_crash_is_a_death_and_a_restart_by_hand_is_none(engine: Engine) -> None:
    """Rule 5: a death counts unless the container was asked to stop."""
    container = engine.run("t-crashing", "shop", "blue")
    engine.restart_always(container)
    async with following(engine.url) as (containers, seen):
        await counted(containers, seen, container, 0)
        for times in (1, 2):
            await asyncio.to_thread(engine.crash, container)
            await counted(containers, seen, container, times)
        assert len(seen.blue()[0].died_mono_s) == 2
        await asyncio.to_thread(engine.api.restart, container)
        await eventually(lambda: seen.events["start"] == 3)
        await counted(containers, seen, container, 2)


async def test_a_crash_that_nobody_saw_is_counted_by_the_next_list(engine: Engine, tmp_path: Path) -> None:
    """Rule 5: be the stream of events dead, or the daemon."""
    container = engine.run("t-unseen", "shop", "blue")
    engine.restart_always(container)
    async with (
        Proxy(engine.url, tmp_path / "proxy") as proxy,
        following(proxy.url, ping_s=0.1, refresh_s=3.0) as (containers, seen),
    ):
        await counted(containers, seen, container, 0)
        proxy.silence("/events")
        await asyncio.to_thread(engine.crash, container)
        await counted(containers, seen, container, 1)
    async with following(engine.url) as (containers, seen):
        await counted(containers, seen, container, 1)


async def test_another_image_under_the_same_tag_is_another_release(engine: Engine) -> None:
    engine.build("bluegreen-test:moving")
    async with following(engine.url) as (_, seen):
        await asyncio.to_thread(engine.run, "t-before", "shop", "blue", image="bluegreen-test:moving")
        await asyncio.to_thread(engine.build, "bluegreen-test:moving", more="LABEL build=2\n")
        await asyncio.to_thread(engine.run, "t-after", "shop", "blue", image="bluegreen-test:moving")
        await eventually(lambda: len(seen.blue()) == 2)
        assert len({server.release for server in seen.blue()}) == 2


async def test_health_follows_the_healthcheck(engine: Engine) -> None:
    container = engine.run("t-checked", "shop", "blue", healthcheck=True)
    async with following(engine.url) as (_, seen):

        def health() -> Health | None:
            return seen.blue()[0].docker_health

        await eventually(lambda: health() is Health.HEALTHY)
        await asyncio.to_thread(engine.sicken, container)
        await eventually(lambda: health() is Health.UNHEALTHY)
        await asyncio.to_thread(engine.heal, container)
        await eventually(lambda: health() is Health.HEALTHY)
        assert seen.events["health_status"] >= 3


async def test_a_paused_container_is_a_server_that_is_unhealthy(engine: Engine) -> None:
    container = engine.run("t-paused", "shop", "blue")
    async with following(engine.url) as (_, seen):
        await asyncio.to_thread(engine.api.pause, container)
        await eventually(lambda: seen.blue()[0].docker_health is Health.UNHEALTHY)
        await asyncio.to_thread(engine.api.unpause, container)
        await eventually(lambda: seen.blue()[0].docker_health is None)


async def test_the_network_is_the_labels_and_else_all_are_reported(engine: Engine) -> None:
    """Rule 38: the order of names chooses none."""
    back, front = engine.network("t-back"), engine.network("t-front")
    written = engine.run("t-written", "shop", "blue", networks=[back, front], labels={"bluegreen.network": front})
    unwritten = engine.run("t-unwritten", "shop", "green", networks=[front, back])

    def address(container: str, network: str) -> str:
        return str(engine.api.inspect_container(container)["NetworkSettings"]["Networks"][network]["IPAddress"])

    async with following(engine.url) as (_, seen):
        assert seen.blue()[0].url == f"http://{address(written, front)}:80"
        assert seen.blue()[0].is_labelled
        routes = {network: f"http://{address(unwritten, network)}:80" for network in (back, front)}
        assert dict(seen.services["shop"].green[0].routes) == routes
        assert not seen.services["shop"].green[0].is_labelled
        assert seen.warnings == {}


async def test_other_settings_of_a_plain_container_are_another_release(engine: Engine, tmp_path: Path) -> None:
    """Rule 40: as the engine has them. Two equal ones are one release, each asked about once in its life."""
    async with Proxy(engine.url, tmp_path / "proxy") as proxy, following(proxy.url) as (containers, seen):
        for name, key in {"t-one": "", "t-two": "", "t-three": "s3cret"}.items():
            await asyncio.to_thread(engine.run, name, "shop", "blue", environment={"KEY": key})
        await eventually(lambda: len(seen.blue()) == 3)
        assert len({server.release for server in seen.blue()}) == 2
        assert "s3cret" not in repr(seen.blue())
        await asyncio.to_thread(engine.run, "t-bound", "shop", "green", binds=[f"{tmp_path}:/data"])
        await asyncio.to_thread(engine.run, "t-free", "shop", "green")
        await eventually(lambda: len(seen.services["shop"].green) == 2)
        assert len({server.release for server in seen.services["shop"].green}) == 2
        asked = Counter(line for line in proxy.requests if line.endswith("/json") and "/containers/" in line)
        containers.relist("shop")
        lists = len(proxy.lists())
        await eventually(lambda: len(proxy.lists()) > lists)
        again = Counter(line for line in proxy.requests if line.endswith("/json") and "/containers/" in line)
        assert asked == again


async def test_a_changed_network_changes_the_address(engine: Engine) -> None:
    network = engine.network("t-late")
    container = engine.run("t-moved", "shop", "blue", labels={"bluegreen.network": network})
    async with following(engine.url) as (_, seen):
        assert "bluegreen.network=t-late" in seen.warnings["t-moved"]
        await asyncio.to_thread(engine.api.connect_container_to_network, container, network)
        await eventually(seen.blue)
        assert not seen.warnings
        await asyncio.to_thread(engine.api.disconnect_container_from_network, container, network)
        await eventually(lambda: not seen.blue())


async def test_a_published_port_answers_on_loopback(engine: Engine) -> None:
    """Rule 18."""
    engine.run("t-published", "shop", "blue", version="1", publish=True)
    async with following(engine.url) as (_, seen):
        assert seen.blue()[0].url.startswith("http://127.0.0.1:")
        assert await answers(seen.blue()[0]) == "shop blue 1"


async def test_host_networking_answers_at_the_host_address(engine: Engine, unused_tcp_port: int) -> None:
    """Rule 18."""
    engine.run("t-host", "shop", "blue", version="1", host_port=unused_tcp_port)
    async with following(engine.url, docker_host_address="127.0.0.1") as (_, seen):
        assert seen.blue()[0].url == f"http://127.0.0.1:{unused_tcp_port}"
        assert await answers(seen.blue()[0]) == "shop blue 1"


async def test_with_host_networking_the_exposed_port_is_found(engine: Engine) -> None:
    engine.run("t-host", "shop", "blue", networks=["host"])
    async with following(engine.url, docker_host_address="192.0.2.1") as (_, seen):
        assert seen.blue()[0].url == "http://192.0.2.1:80"


async def test_a_container_that_joins_another_ones_network_is_found_at_its_address(engine: Engine) -> None:
    owner = engine.run("t-owner", "other", "blue")
    engine.run("t-joined", "shop", "blue", port=81, networks=[f"container:{owner}"])
    async with following(engine.url) as (containers, seen):
        assert seen.blue()[0].url == seen.blue("other")[0].url.replace(":80", ":81")
        await asyncio.to_thread(engine.api.stop, owner)
        await eventually(lambda: not seen.blue("other"))
        containers.relist("shop")
        await eventually(lambda: not seen.blue())
        assert f"shares the network of container {owner[:12]}" in seen.warnings["t-joined"]


async def test_only_the_environment_in_scope_counts_and_its_change_lists_again(engine: Engine) -> None:
    """Rule 18: staging and production share one engine."""
    staging = engine.run("t-staging", "shop", "blue", labels={"bluegreen.environment": "staging"})
    production = engine.run("t-production", "shop", "blue", labels={"bluegreen.environment": "production"})
    engine.run("t-nowhere", "shop", "blue")
    async with following(engine.url, required=True) as (containers, seen):
        assert seen.containers() == {production[:12]}
        assert set(seen.warnings) == {"t-nowhere"}
        containers.set_scope(Scope("staging", required=True))
        await eventually(lambda: seen.containers() == {staging[:12]})
        containers.set_scope(Scope("staging", required=False))
        await eventually(lambda: len(seen.containers()) == 2)
        assert not seen.warnings


async def test_ignored_containers_are_reported_with_the_reason_until_they_are_gone(engine: Engine) -> None:
    async with following(engine.url) as (_, seen):
        red = await asyncio.to_thread(engine.run, "t-red", "shop", "red")
        await asyncio.to_thread(engine.run, "t-blue", "shop", "blue")
        await eventually(seen.blue)
        await eventually(lambda: "bluegreen.colour=red" in seen.warnings.get("t-red", ""))
        await asyncio.to_thread(engine.remove, red)
        await eventually(lambda: not seen.warnings)


async def test_a_service_is_listed_once_more_when_asked_though_nothing_changed(engine: Engine) -> None:
    """Rule 6."""
    engine.run("t-blue", "shop", "blue")
    async with following(engine.url) as (containers, seen):
        before = time.monotonic()
        containers.relist("shop")
        await eventually(lambda: seen.listed_mono_s.get("shop", 0.0) >= before)
        containers.relist("nobody")
        await eventually(lambda: seen.listed_mono_s.get("nobody", 0.0) >= before)
        assert seen.services["nobody"] == EMPTY


async def test_an_event_costs_a_list_of_its_service_alone(engine: Engine, tmp_path: Path) -> None:
    for number in range(3):
        engine.run(f"t-other-{number}", f"other-{number}", "blue")
    async with Proxy(engine.url, tmp_path / "proxy") as proxy, following(proxy.url) as (_, seen):
        await eventually(lambda: seen.complete_lists > 1)
        del proxy.requests[:]
        container = await asyncio.to_thread(engine.run, "t-blue", "shop", "blue")
        await eventually(lambda: seen.containers() == {container[:12]})
        await asyncio.to_thread(engine.api.pause, container)
        await eventually(lambda: seen.blue()[0].docker_health is Health.UNHEALTHY)
        assert set(proxy.lists()) == {"bluegreen.service=shop"}
        assert len(proxy.lists()) <= 5
        others = [request for request in proxy.requests if "/containers/json" not in request]
        assert set(others) <= {f"/v1.41/containers/{container[:12]}/json"}, "a new container is inspected, and no other"
        assert len(others) <= 2, "once for what it was created with, once for how often it has died"


COMPOSE = {
    "com.docker.compose.project": "p",
    "com.docker.compose.service": "web",
    "com.docker.compose.config-hash": "8f14e45f",
    "bluegreen.version": "1",
}
KINDS: Mapping[str, dict[str, Any]] = {
    "plain": {"environment": {"KEY": "s3cret"}},
    "of Compose": {"labels": COMPOSE},
    "with a port of its own": {"port": 8080},
    "published": {"publish": True},
    "of Compose, published": {"publish": True, "labels": COMPOSE},
    "starting its HEALTHCHECK": {"healthcheck": True},
    "of another environment": {"labels": {"bluegreen.environment": "staging"}},
    "ignored": {"labels": {"bluegreen.colour": "red"}},
    "without a network": {"networks": ["none"]},
}


@pytest.mark.parametrize("kind", [*KINDS, "paused", "on the host's network", "joined", "on networks", "dead"])
def test_an_inspection_says_of_a_container_what_a_list_says(engine: Engine, kind: str, unused_tcp_port: int) -> None:
    """Rules 18, 38 and 40: the same server, to its release, routes and health."""
    options = dict(KINDS.get(kind, {}))
    match kind:
        case "on the host's network":
            options["host_port"] = unused_tcp_port
        case "joined":
            options["port"] = 8080  # the owner listens on the other
            options["networks"] = [f"container:{engine.run('t-owner', 'other', 'blue')}"]
        case "on networks":
            options["networks"] = [engine.network("t-front"), engine.network("t-back")]
    container = engine.run("t-kind", "shop", "blue", **options)
    if kind == "paused":
        engine.api.pause(container)
    if kind == "dead":
        engine.api.kill(container)
        engine.api.wait(container)
    client = Client(engine.url, tls=False, timeout_s=30.0)
    try:
        listing, scope = Listing(), Scope("production", required=False)
        inspected, its_lives = listing.inspected(client, [container[:12]])
        by_inspection = listing.sightings(inspected, scope, "host")
        listing = Listing()
        listed = listing.listed(client, "shop")
        listing.inspect(client, listing.unknown(listed.containers))
        assert by_inspection == listing.sightings(listed, scope, "host")
        assert len(by_inspection) == (kind not in {"dead", "of another environment"})
        assert its_lives == (listing.lives(client, [container[:12]]) if kind != "dead" else {})
        assert listing.inspection_is_enough == (kind not in {"dead", "paused"})
    finally:
        client.close()


async def test_a_start_is_reported_upon_one_inspection_and_listed_afterwards(engine: Engine, tmp_path: Path) -> None:
    engine.run("t-old", "shop", "blue", labels=COMPOSE)
    async with Proxy(engine.url, tmp_path / "proxy") as proxy, following(proxy.url) as (_, seen):
        await eventually(lambda: seen.complete_lists > 1)
        del proxy.requests[:], seen.history[:]
        asked: list[list[str]] = []
        seen.then = lambda _: asked.append([*proxy.requests])
        container = await asyncio.to_thread(engine.run, "t-new", "shop", "blue", labels=COMPOSE)
        await eventually(lambda: len(asked) > 1)
        assert [line.partition("/containers/")[2] for line in asked[0]] == [f"{container[:12]}/json"]
        assert proxy.lists() == ["bluegreen.service=shop"]
        inspected, listed = (
            [server for server in colours.blue if server.container == container[:12]] for _, colours in seen.history
        )
        assert inspected == listed != [], "the list has nothing to correct"


async def test_what_cannot_be_inspected_is_listed(engine: Engine, tmp_path: Path) -> None:
    """A proxy before the socket may forbid it, at any time."""
    engine.run("t-old", "shop", "blue", labels=COMPOSE)
    async with Proxy(engine.url, tmp_path / "proxy") as proxy, following(proxy.url) as (_, seen):
        await eventually(lambda: seen.complete_lists > 1)
        container = await asyncio.to_thread(engine.run, "t-new", "shop", "blue", labels=COMPOSE)
        await eventually(lambda: len(seen.containers()) == 2)
        proxy.forbidden = f"{container[:12]}/json"
        await asyncio.to_thread(engine.api.restart, container, timeout=0)
        await eventually(lambda: seen.events["start"] == 2)
        before = time.monotonic()
        await eventually(lambda: seen.listed_mono_s["shop"] >= before)
        assert seen.connected
        assert len(seen.containers()) == 2


async def test_a_storm_costs_one_inspection_of_each_container_and_few_lists(engine: Engine, tmp_path: Path) -> None:
    """Nothing from outside is without a bound. Each start and each check that changes a health is an event."""
    engine.run("t-old", "other", "blue")
    async with Proxy(engine.url, tmp_path / "proxy") as proxy, following(proxy.url) as (_, seen):
        await eventually(lambda: seen.complete_lists > 1)
        del proxy.requests[:]
        services = [f"shop-{number}" for number in range(DUE_MOST + 2)]
        before_s = time.monotonic()
        for name in services:
            await asyncio.to_thread(engine.run, f"t-{name}", name, "blue", healthcheck=True)
        await eventually(lambda: all(healths(seen, name) == [Health.HEALTHY] for name in services))
        await eventually(lambda: all(seen.listed_mono_s[name] > before_s for name in services))
        inspections = [line for line in proxy.requests if "/containers/json" not in line]
        assert len(inspections) <= 2 * len(services), "one for its start, one for its health"
        periods = (time.monotonic() - before_s) / SECOND_LIST_S + 1
        assert len(proxy.lists()) <= periods * DUE_MOST


async def test_an_engine_that_is_stopped_leaves_no_servers_and_is_found_again(
    restartable_engine: PrivateEngine,
) -> None:
    engine = restartable_engine
    container = engine.run("t-blue", "shop", "blue")
    async with following(engine.url) as (_, seen):
        assert seen.containers() == {container[:12]}
        await asyncio.to_thread(engine.stop)
        await eventually(lambda: seen.connected is False)
        assert "next attempt in" in (seen.cause or "")
        lists = seen.complete_lists
        await asyncio.to_thread(engine.start)
        await asyncio.to_thread(engine.api.start, container)
        await eventually(lambda: seen.connected and seen.containers() == {container[:12]})
        assert seen.complete_lists > lists
        assert not seen.leaving(container)


async def test_an_engine_that_freezes_is_noticed_and_the_servers_stay(restartable_engine: PrivateEngine) -> None:
    """Rule 4."""
    engine = restartable_engine
    container = engine.run("t-blue", "shop", "blue")
    async with following(engine.url, ping_s=0.1, timeout_s=2.0) as (_, seen):
        engine.freeze()
        await eventually(lambda: seen.connected is False)
        assert "no answer within 2 s" in (seen.cause or "")
        assert seen.containers() == {container[:12]}
        engine.thaw()
        await eventually(lambda: seen.connected)
        assert seen.containers() == {container[:12]}


async def test_a_dead_proxy_in_between_is_noticed_and_the_servers_stay(engine: Engine, tmp_path: Path) -> None:
    """Rule 4."""
    container = engine.run("t-blue", "shop", "blue")
    async with (
        Proxy(engine.url, tmp_path / "proxy") as proxy,
        following(proxy.url, ping_s=0.1, timeout_s=2.0) as (_, seen),
    ):
        proxy.silence()
        await eventually(lambda: seen.connected is False)
        assert seen.containers() == {container[:12]}
        proxy.speak()
        await eventually(lambda: seen.connected)


async def test_a_proxy_that_forbids_a_sign_of_life_is_reported_at_once_and_for_good(
    engine: Engine, tmp_path: Path
) -> None:
    """It would end each connection at its first quiet moment, and look like an engine that comes and goes."""
    engine.run("t-blue", "shop", "blue")
    async with Proxy(engine.url, tmp_path / "proxy") as proxy:
        proxy.forbidden = "/_ping"
        seen = Seen()
        containers = Containers(seen, base_url=proxy.url, ping_s=0.1, backoff_s=0.01, backoff_max_s=0.1)
        containers.set_scope(Scope("production"))
        task = asyncio.create_task(containers.run())
        try:
            await eventually(lambda: sum("/_ping" in asked for asked in proxy.requests) > 3)
            assert "403" in (seen.cause or "")
            assert (seen.connected, seen.complete_lists) == (False, 0)
            proxy.forbidden = None
            await eventually(lambda: seen.connected)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_an_event_stream_that_dies_in_silence_is_replaced(engine: Engine, tmp_path: Path) -> None:
    async with (
        Proxy(engine.url, tmp_path / "proxy") as proxy,
        following(proxy.url, ping_s=0.1, refresh_s=1.0) as (_, seen),
    ):
        proxy.silence("/events")
        container = await asyncio.to_thread(engine.run, "t-blue", "shop", "blue")
        await eventually(lambda: seen.containers() == {container[:12]})
        await asyncio.to_thread(engine.remove, container)
        await eventually(lambda: seen.events["die"] == 1)
        assert seen.connected


async def test_a_start_that_nobody_saw_ends_leaving_with_the_next_complete_list(engine: Engine, tmp_path: Path) -> None:
    """Rule 4."""
    container = engine.run("t-blue", "shop", "blue", labels={"bluegreen.environment": "production"}, drains=True)
    async with Proxy(engine.url, tmp_path / "proxy") as proxy, following(proxy.url) as (containers, seen):
        await asyncio.to_thread(engine.api.kill, container, signal="INT")
        await eventually(lambda: seen.leaving(container))
        proxy.silence("/events")
        await asyncio.to_thread(engine.api.restart, container, timeout=1)
        assert seen.leaving(container)
        containers.set_scope(Scope("production", required=True))
        await eventually(lambda: not seen.leaving(container))
        assert not seen.events["start"]


async def test_no_event_falls_between_two_subscriptions_or_counts_twice(engine: Engine) -> None:
    container = engine.run("t-blue", "shop", "blue", drains=True)
    async with following(engine.url, ping_s=0.05, refresh_s=0.2) as (_, seen):
        await eventually(lambda: seen.complete_lists > 2)
        sent = 0
        while seen.complete_lists < 12:
            await asyncio.to_thread(engine.api.kill, container, signal="HUP")
            sent += 1
        await asyncio.to_thread(engine.api.kill, container, signal="INT")
        await eventually(lambda: seen.leaving(container))
        await eventually(lambda: seen.events["kill"] == sent + 1)


async def test_a_cancelled_run_ends_while_its_stream_is_open(engine: Engine) -> None:
    """Section 6.4: SIGTERM is answered at once. The stream is quiet for an hour if it is not closed."""
    seen = Seen()
    containers = Containers(seen, base_url=engine.url, ping_s=NEVER_S, timeout_s=NEVER_S, refresh_s=NEVER_S)
    containers.set_scope(Scope("production"))
    task = asyncio.create_task(containers.run())
    await eventually(lambda: seen.connected)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=60)
    assert done
    await eventually(lambda: "docker" not in {thread.name for thread in threading.enumerate()})


@pytest.mark.takes(12)
async def test_a_quiet_engine_is_there_for_as_long_as_a_subscription_is_kept(engine: Engine) -> None:
    """The first one is kept for two periods, and hears nothing."""
    async with following(engine.url, ping_s=1.0, refresh_s=4.0, timeout_s=1.0) as (_, seen):
        causes: list[str | None] = []

        def connected(connected: bool, cause: str | None) -> None:
            causes.extend([] if connected else [cause])

        seen.docker_connected = connected  # type: ignore[method-assign]
        await eventually(lambda: seen.complete_lists >= 5)  # two each period, so the first subscription has ended
        assert causes == []
