"""Held polls with a real Traefik: what it gets, and what it makes of a hold that is longer than its patience."""

import asyncio

import aiohttp

from tests.support.daemon import Daemon, StartDaemon
from tests.support.release import fixed, routed_shop, until_routed
from tests.support.traefik import StartBackend, StartTraefik
from tests.support.waiting import eventually


async def test_a_traefik_whose_polls_are_held_follows_each_switch(
    start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend
) -> None:
    """Rule 16: it counts as a poller while it is held, with the revision that it has."""
    daemon, traefik, blue, green = await routed_shop(start_daemon, start_traefik, start_backend)

    async def is_held() -> bool:
        return [one["poller"] for one in (await daemon.status())["pollers"]] == ["127.0.0.1"]

    await eventually(is_held)
    for active, body in (("green", "two"), ("blue", "one")):
        daemon.write(fixed(blue, green, active=active))
        await until_routed(daemon, traefik.url("web"), body)

        async def has_the_last() -> bool:
            revision = (await daemon.status())["revision"]
            return bool(await daemon.metric("bluegreen_poller_revision", poller="127.0.0.1") == revision)

        await eventually(has_the_last)
    assert await daemon.condition("hold-left") is None


async def test_a_traefik_whose_polls_are_held_ends_in_good_order_when_it_is_stopped(
    start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend
) -> None:
    """With holds that outlast its interval, 6 of 10 of these panicked after 10 s."""
    daemon = await start_daemon(fixed(await start_backend("one"), None))
    traefiks = [await start_traefik(daemon.endpoint, poll_interval_s=0.2) for _ in range(4)]
    for traefik in traefiks:
        await until_routed(daemon, traefik.url("web"), "one")
    polls = await daemon.metric("bluegreen_polls_total", code="200") or 0.0

    async def all_were_held() -> bool:
        return (await daemon.metric("bluegreen_polls_total", code="200") or 0.0) > polls + 5 * len(traefiks)

    await eventually(all_were_held)
    for traefik in traefiks:
        traefik.process.terminate()
    assert [await traefik.process.wait() for traefik in traefiks] == [0] * len(traefiks)


async def test_a_traefik_that_does_not_wait_so_long_is_named_and_goes_on_to_follow(
    start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend
) -> None:
    blue, green = await start_backend("one"), await start_backend("two")
    daemon = await start_daemon(fixed(blue, green, active="blue"))
    traefik = await start_traefik(daemon.endpoint, poll_interval_s=3.0, poll_timeout_s=1.0)
    told = await daemon.until_condition("hold-left")
    assert told["message"].startswith("127.0.0.1 went away while a poll was held")
    await until_routed(daemon, traefik.url("web"), "one")
    daemon.write(fixed(blue, green, active="green"))
    await until_routed(daemon, traefik.url("web"), "two")
    assert len(daemon.logged("a poller went away during a hold")) == 1


async def last_polls(daemon: Daemon) -> dict[str, str]:
    return {one["poller"]: one["last_poll"] for one in (await daemon.status())["pollers"]}


async def test_at_sigterm_held_polls_are_answered_and_the_daemon_ends_with_0(
    start_daemon: StartDaemon, start_backend: StartBackend
) -> None:
    """Section 6.4."""
    daemon = await start_daemon(fixed(await start_backend("one"), await start_backend("two"), active="blue"))
    await eventually(daemon.document)

    async def poll(session: aiohttp.ClientSession) -> tuple[int, bytes]:
        async with session.get(daemon.endpoint) as answer:
            return answer.status, await answer.read()

    sessions = [aiohttp.ClientSession(headers={"X-Bluegreen-Poller": f"edge-{number}"}) for number in range(20)]
    before = await asyncio.gather(*map(poll, sessions))
    begun = await last_polls(daemon)
    held = [asyncio.create_task(poll(session)) for session in sessions]

    async def all_came_in() -> bool:
        now = await last_polls(daemon)
        return all(now[poller] > begun[poller] for poller in begun)

    await eventually(all_came_in)
    assert await daemon.stop() == 0
    assert await asyncio.gather(*held) == before
    for session in sessions:
        await session.close()
