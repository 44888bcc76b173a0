"""Routing by labels on a real engine and through a real Traefik, under load (rules 34 to 36)."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from bench.engine import Engine
from provider.traefik.process import Traefik
from tests.support.commands import Operator
from tests.support.daemon import FAST_CHECKS, Daemon, StartDaemon, Watcher
from tests.support.traefik import StartTraefik
from tests.support.waiting import eventually
from tests.support.whole import whole

HOST = "shop.example.com"
OWN = {"bluegreen.environment": "production"}
AUTO = f"""\
environment: production
release: {{ignoreEnv: [LISTEN]}}
services: auto
defaults:
  settle: 200ms
  healthCheck: {FAST_CHECKS}
  deadlines: {{confirming: 200ms}}
  watch: 0s
"""
R, M = "traefik.http.routers.shop", "traefik.http.middlewares.named.headers.customresponseheaders"


def labels(release: str, rule: str = f"Host(`{HOST}`)", **more: str) -> Mapping[str, str]:
    """The labels of a release, by which Traefik names it in a header of every answer."""
    said = {f"{R}.rule": rule, f"{R}.entrypoints": "web", f"{R}.middlewares": "named", f"{M}.X-Release": release}
    return OWN | said | {f"{R}.{key}": value for key, value in more.items()}


class Visits:
    """What clients got: the release that answered, and the one that the labels named."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.pairs: dict[tuple[str, str], int] = {}
        self.failures: list[str] = []
        self._stopping = asyncio.Event()

    @asynccontextmanager
    async def going_on(self, clients: int = 6) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self._visit()) for _ in range(clients)]
        try:
            yield
        finally:
            self._stopping.set()
            await asyncio.gather(*tasks)

    async def until(self, answered: str, count: int = 30) -> None:
        """Wait for so many further answers of a release."""
        wanted = self._of(answered) + count
        await eventually(lambda: self._has(answered, wanted))

    async def _has(self, answered: str, wanted: int) -> bool:
        return self._of(answered) >= wanted

    def _of(self, answered: str) -> int:
        return sum(count for (body, _), count in self.pairs.items() if body == answered)

    async def _visit(self) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
            while not self._stopping.is_set():
                try:
                    async with session.get(self.url, headers={"Host": HOST}) as answer:
                        body = (await answer.text()).strip()
                        if answer.status != 200:
                            self.failures.append(f"{answer.status} {body}")
                            continue
                        pair = body, answer.headers.get("X-Release", "none")
                        self.pairs[pair] = self.pairs.get(pair, 0) + 1
                except (aiohttp.ClientError, TimeoutError) as error:
                    self.failures.append(repr(error))
                await asyncio.sleep(0.01)


async def routed(daemon: Daemon, url: str, body: str) -> None:
    async def look() -> bool:
        status, answer, _ = await daemon.get("/", base=url, host=HOST)
        return (status, answer.decode().strip()) == (200, body)

    await eventually(look)


async def first_release(
    start_daemon: StartDaemon, start_traefik: StartTraefik, engine: Engine
) -> tuple[Daemon, Traefik]:
    """Run the first release, and wait until Traefik routes it."""
    engine.run("shop-1", "shop", "blue", version="1", labels=labels("blue 1"))
    daemon = await start_daemon(AUTO, docker=engine.url)
    traefik = await start_traefik(daemon.endpoint)
    await routed(daemon, traefik.url("web"), "shop blue 1")
    return daemon, traefik


async def test_labels_change_with_the_switch_and_go_back_with_the_rollback_as_clients_see_it(
    start_daemon: StartDaemon, start_traefik: StartTraefik, engine: Engine
) -> None:
    """Rule 34: no client sees one release with the labels of another, and no request is lost."""
    daemon, traefik = await first_release(start_daemon, start_traefik, engine)
    visits = Visits(traefik.url("web"))
    async with visits.going_on():
        for number in range(2, 6):
            colour, other = ("green", "blue") if number % 2 == 0 else ("blue", "green")
            await asyncio.to_thread(engine.remove, f"shop-{number - 2}") if number > 2 else None
            await asyncio.to_thread(
                engine.run, f"shop-{number}", "shop", colour, version=str(number), labels=labels(f"{colour} {number}")
            )
            await visits.until(f"shop {colour} {number}")
            assert (await daemon.status("shop"))["active"] == colour
        await daemon.until("shop", rollout=None)
        status, _ = await daemon.command("shop", "rollback", force=False)
        assert status in {200, 202}
        await visits.until(f"shop {other} {number - 1}")
    assert visits.failures == []
    assert {body.removeprefix("shop ") == named for body, named in visits.pairs} == {True}, visits.pairs


async def test_bad_labels_of_a_new_release_keep_the_old_one_and_say_which(
    start_daemon: StartDaemon, start_traefik: StartTraefik, engine: Engine
) -> None:
    """Rule 34: an unknown key, for which Traefik drops the whole container."""
    daemon, traefik = await first_release(start_daemon, start_traefik, engine)
    bad = labels("green 2", priorty="3")
    container = await asyncio.to_thread(engine.run, "shop-2", "shop", "green", version="2", labels=bad)

    async def says_why() -> bool:
        blocking = (await daemon.status("shop"))["blocking"] or ""
        return container[:12] in blocking and f"{R}.priorty" in blocking

    await eventually(says_why)
    await routed(daemon, traefik.url("web"), "shop blue 1")


async def test_a_label_does_not_take_the_host_of_a_service_of_another(
    start_daemon: StartDaemon, start_traefik: StartTraefik, engine: Engine
) -> None:
    """Rule 35: whoever may start a container may not take another's traffic."""
    daemon, traefik = await first_release(start_daemon, start_traefik, engine)
    thief = {"traefik.http.routers.a.rule": f"Host(`{HOST}`) && PathPrefix(`/`)", **OWN}
    await asyncio.to_thread(engine.run, "thief", "a", "blue", version="1", labels=thief)

    async def says_why() -> bool:
        conditions = (await daemon.status("a")).get("conditions", ())
        return any("service shop has it" in each["message"] for each in conditions)

    await eventually(says_why)
    assert "a" not in (await daemon.document())["http"]["routers"]
    await routed(daemon, traefik.url("web"), "shop blue 1")


async def test_a_container_without_the_label_of_the_environment_brings_no_service(
    start_daemon: StartDaemon, engine: Engine
) -> None:
    """Rule 35: two daemons on one engine would both route it."""
    engine.run("shop-1", "shop", "blue", version="1", labels=labels("blue 1"))
    foreign = {key: value for key, value in labels("x").items() if key not in OWN}
    engine.run("other-1", "other", "blue", version="1", labels=foreign)
    daemon = await start_daemon(AUTO, docker=engine.url)
    await daemon.until("shop", active="blue")
    message = (await daemon.until_condition("containers"))["message"]
    assert "other-1" in message
    assert "bluegreen.environment" in message


async def test_a_discovered_service_that_is_undecided_is_named_with_the_way_out(
    start_daemon: StartDaemon, engine: Engine, tmp_path: Path
) -> None:
    """Rules 1 and 35: by readyz and by the doctor; `switch` decides."""
    for number, colour in enumerate(("blue", "green"), 1):
        engine.run(f"shop-{number}", "shop", colour, version=str(number), labels=labels(f"{colour} {number}"))
    daemon = await start_daemon(AUTO, docker=engine.url)
    operator = Operator(daemon, engine.url, tmp_path)

    async def says_how() -> bool:
        status, answer, _ = await daemon.get("/readyz")
        return (status, b"shop" in answer, b"bluegreen switch shop blue|green" in answer) == (503, True, True)

    await eventually(says_how)
    _, said = await operator.run(f"bluegreen doctor --json --traefik none --docker {engine.url}")
    (found,) = [one for one in json.loads(said)["findings"] if one["code"] == "service-undecided"]
    assert (found["severity"], "bluegreen switch shop blue|green" in found["what"]) == ("critical", True)
    code, said = await operator.run("bluegreen switch shop green --no-wait")
    assert code == 0, said
    await daemon.until("shop", active="green")
    assert (await daemon.document())["http"]["routers"].keys() == {"shop"}


@pytest.mark.takes(30)
async def test_a_daemon_that_is_killed_while_labels_switch_serves_each_release_with_its_own(
    start_daemon: StartDaemon, engine: Engine
) -> None:
    """P4 and P5: what another service refers to, too, and edits of the file; no document lacks anything."""
    chance = random.Random(7)
    engine.run("auth-1", "auth", "blue", version="1", labels=helper(1))
    engine.run("shop-1", "shop", "blue", version="1", labels=labels("blue 1", middlewares="named,seen"))
    daemon = await start_daemon(AUTO, docker=engine.url)
    await daemon.until("shop", active="blue")
    await eventually(lambda: has_routers(daemon, "shop", "auth"))
    watcher = Watcher(daemon)
    async with watcher.watching():
        for number in range(2, 7):
            colour = "green" if number % 2 == 0 else "blue"
            if number > 2:
                for name in ("shop", "auth"):
                    await asyncio.to_thread(engine.remove, f"{name}-{number - 2}")
            said = labels(f"{colour} {number}", middlewares="named,seen" if number != 4 else "named,nobody@file")
            await asyncio.to_thread(engine.run, f"shop-{number}", "shop", colour, version=str(number), labels=said)
            await asyncio.to_thread(
                engine.run, f"auth-{number}", "auth", colour, version=str(number), labels=helper(number)
            )
            if number % 3 == 0:
                daemon.write(AUTO + f"http: {{middlewares: {{x{number}: {{compress: {{}}}}}}}}\n")
            for _ in range(2):
                await asyncio.sleep(chance.random())
                await daemon.kill()
                await daemon.start()
            await daemon.until("shop", active=colour)
            await daemon.until("auth", active=colour)
    for document in watcher.documents:
        sections = whole(json.dumps(document))["http"]
        assert {"shop", "auth"} <= sections["routers"].keys()
        (child,) = sections["services"]["shop"]["weighted"]["services"]
        assert sections["services"][child["name"]]["loadBalancer"]["servers"], document
        named = sections["middlewares"]["shop-named"]["headers"]["customResponseHeaders"]["X-Release"]
        assert child["name"] == f"shop-{named.split()[0]}", document


def helper(number: int) -> Mapping[str, str]:
    """The labels of a service that has a middleware for others; some releases do not."""
    router, middleware = "traefik.http.routers.auth.rule", "traefik.http.middlewares.seen.headers.customresponseheaders"
    seen = {f"{middleware}.X-Seen": str(number)} if number % 4 != 3 else {}
    return OWN | {router: "Host(`auth.example.com`)"} | seen


async def has_routers(daemon: Daemon, *names: str) -> bool:
    routers: dict[str, object] = (await daemon.document()).get("http", {}).get("routers", {})
    return set(names) <= routers.keys()
