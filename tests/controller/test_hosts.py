"""Rule 38: what the silence of one engine, and its end, mean for the servers of a service."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from provider.model import ByColour, EngineSeen, Health, Server
from provider.runtime.clock import clock
from tests.support.running import Running, running
from tests.support.waiting import eventually

UP, AWAY, NEW = EngineSeen(True, True), EngineSeen(True, False, "no answer"), EngineSeen()
ENGINES = "docker:\n  engines:\n    - {name: a, url: unix:///a}\n    - {name: b, url: unix:///b}\n"
FILE = (
    "environment: production\nservices:\n"
    + "".join(
        f"  {name}:\n    router: {{rule: 'Host(`{name}.example.com`)'}}\n    settle: 1ms\n"
        "    healthCheck: {mode: docker}\n"
        for name in ("shop", "mail")
    )
    + ENGINES
)


def on(engine: str | None, number: int, release: str = "r1") -> Server:
    url = f"http://10.0.0.{number}:80"
    return Server(url, release, container=f"c{number}", docker_health=Health.HEALTHY, engine=engine)


A1, B2, A3 = on("a", 1), on("b", 2), on("a", 3)


def blue(*servers: Server) -> ByColour[tuple[Server, ...]]:
    return ByColour(servers, ())


def see(daemon: Running, engines: Mapping[str, EngineSeen], **services: ByColour[tuple[Server, ...]]) -> None:
    """Report as Hosts does: first what is known of each engine, then all that is listed."""
    daemon.controller.inputs.docker_engines(engines)
    daemon.list_docker(None, **services)


async def test_an_engine_that_was_never_seen_keeps_its_stored_servers(tmp_path: Path) -> None:
    """P4."""
    async with running(tmp_path, docker=True) as daemon:
        daemon.load(FILE)
        see(daemon, {"a": UP, "b": UP}, shop=blue(A1, B2), mail=blue(A3))
        await daemon.until_served(blue=[A1.url, B2.url])
    async with running(tmp_path, docker=True) as daemon:
        daemon.load(FILE)
        moved = replace(A1, url="http://10.0.0.9:80")
        see(daemon, {"a": UP, "b": NEW}, shop=blue(moved), mail=blue(A3))
        await daemon.until_served(blue=[B2.url, moved.url])
        see(daemon, {"a": UP, "b": UP}, shop=blue(moved), mail=blue(A3))
        await daemon.until_served(blue=[moved.url])


async def test_a_new_service_is_undecided_until_every_engine_has_listed(tmp_path: Path) -> None:
    async with running(tmp_path, docker=True) as daemon:
        daemon.load(FILE)
        see(daemon, {"a": UP, "b": NEW}, shop=blue(A1))
        tracked = daemon.controller.state.services["shop"]
        await eventually(lambda: tracked.unlisted == ("b",))
        draft = daemon.controller.publisher.draft
        assert "engine b has not listed its containers yet" in (draft.held_back(clock()) or "")
        assert tracked.state.active is None
        see(daemon, {"a": UP, "b": UP}, shop=blue(A1))
        await daemon.until_served(blue=[A1.url])


async def test_an_engine_that_is_away_stops_the_switches_of_what_lives_there_and_no_others(tmp_path: Path) -> None:
    async with running(tmp_path, docker=True) as daemon:
        daemon.load(FILE)
        see(daemon, {"a": UP, "b": UP}, shop=blue(A1, B2), mail=blue(A3))
        await daemon.until_served(blue=[A1.url, B2.url])
        await daemon.until_served("mail", blue=[A3.url])
        green = {"shop": (on("a", 4, "r2"), on("a", 5, "r2")), "mail": (on("a", 6, "r2"),)}
        listed = {"shop": ByColour((A1, B2), green["shop"]), "mail": ByColour((A3,), green["mail"])}
        see(daemon, {"a": UP, "b": AWAY}, **listed)
        assert daemon.metric("docker_connected") == 0
        assert daemon.metric("docker_engine_connected", engine="a") == 1
        assert daemon.metric("docker_engine_connected", engine="b") == 0
        assert "engine b: no answer; services that have no server there go on" in daemon.codes()["docker-away"]
        await eventually(lambda: "mail" in daemon.edges.relisted)
        see(daemon, {"a": UP, "b": AWAY}, **listed)
        await daemon.until_served("mail", green=[server.url for server in green["mail"]])
        snapshot = daemon.controller.state.snapshot("shop")
        assert (snapshot.docker_connected, snapshot.engines_away) == (False, ("b",))
        assert daemon.controller.state.services["shop"].state.active == "blue"
        see(daemon, {"a": UP, "b": UP}, **listed)
        await eventually(lambda: "shop" in daemon.edges.relisted)
        see(daemon, {"a": UP, "b": UP}, **listed)
        await daemon.until_served(green=[server.url for server in green["shop"]])
        assert "docker-away" not in daemon.codes()


@pytest.mark.parametrize("restarts", [False, True])
async def test_the_servers_of_an_engine_that_leaves_the_file_leave_and_the_last_stays(
    tmp_path: Path, *, restarts: bool
) -> None:
    async with running(tmp_path, docker=True) as daemon:
        daemon.load(FILE)
        see(daemon, {"a": UP, "b": UP}, shop=blue(A1, B2), mail=blue(B2))
        await daemon.until_served(blue=[A1.url, B2.url])
        await daemon.until_served("mail", blue=[B2.url])
        if not restarts:
            see(daemon, {"a": UP}, shop=blue(A1))
            await daemon.until_served(blue=[A1.url])
            await until_only_the_last_stays(daemon)
    if restarts:
        async with running(tmp_path, docker=True) as daemon:
            daemon.load(FILE)
            see(daemon, {"a": UP}, shop=blue(A1))
            await daemon.until_served(blue=[A1.url])
            await until_only_the_last_stays(daemon)


async def until_only_the_last_stays(daemon: Running) -> None:
    await daemon.until_served("mail", blue=[B2.url])
    (server,) = daemon.controller.state.services["mail"].observed.blue.servers
    assert server.is_left_behind
    assert server.returns_mono_s is None
    assert daemon.controller.state.snapshot("mail").docker_connected, "it holds up no switch"
    see(daemon, {"a": UP}, shop=blue(A1), mail=blue(A3))
    await daemon.until_served("mail", blue=[A3.url])
    see(daemon, {"a": UP}, shop=blue(A1), mail=blue(A3))
    await eventually(lambda: daemon.controller.state.services["mail"].observed.blue.servers == (A3,))
    assert daemon.controller.state.services["shop"].observed.blue.servers == (A1,)


async def test_an_engine_that_is_back_in_the_file_has_its_servers_again(tmp_path: Path) -> None:
    async with running(tmp_path, docker=True) as daemon:
        daemon.load(FILE)
        see(daemon, {"a": UP, "b": UP}, mail=blue(B2))
        await daemon.until_served("mail", blue=[B2.url])
        see(daemon, {"a": UP})
        await eventually(lambda: daemon.controller.state.services["mail"].observed.blue.servers[0].is_left_behind)
        see(daemon, {"a": UP, "b": NEW})
        await eventually(lambda: daemon.controller.state.services["mail"].observed.blue.servers == (B2,))
        assert not daemon.controller.state.snapshot("mail").docker_connected


async def test_from_one_engine_to_several_nothing_rolls_out_and_nothing_is_dark(tmp_path: Path) -> None:
    """Rule 40: containers are known by their ids, whatever their release is called where there are several engines."""
    alone = replace(on(None, 1), release="old")
    async with running(tmp_path, docker=True) as daemon:
        daemon.load(FILE.removesuffix(ENGINES).replace("mail:\n", "mail:\n    initial: blue\n"))
        daemon.controller.inputs.docker_connected(True, None)
        daemon.list_docker(shop=blue(alone))
        await daemon.until_served(blue=[alone.url])
        daemon.load(FILE)
        see(daemon, {"a": NEW, "b": NEW}, shop=blue())
        await daemon.until_served(blue=[alone.url])
        assert not daemon.controller.state.snapshot("shop").docker_connected, "it may be on an engine not seen yet"
        now = replace(A1, release="new", former=("old",))
        see(daemon, {"a": UP, "b": NEW}, shop=blue(now))
        await eventually(lambda: daemon.controller.state.services["shop"].observed.blue.servers == (now,))
        see(daemon, {"a": UP, "b": UP}, shop=blue(now))
        await daemon.until_served(blue=[alone.url])
        state = daemon.controller.state.services["shop"].state
        await eventually(lambda: daemon.controller.state.services["shop"].state.settled.blue == {"new"})
        assert (state.active, state.replaced) == ("blue", None)
        assert daemon.controller.state.groups["shop"].rollout is None
