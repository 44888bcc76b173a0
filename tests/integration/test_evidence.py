"""Whose word counts for a switch and against it: only that of a Traefik of ours that fetched this document (rule 7)."""

import signal
from functools import partial

import pytest

from provider.traefik.process import LOOPBACK, free_ports
from tests.support.daemon import Daemon, StartDaemon
from tests.support.documents import published, shop
from tests.support.reading_back import Names, reading_back
from tests.support.release import fixed, is_healthy, until_routed
from tests.support.traefik import Backend, DocumentServer, Relay, StartTraefik
from tests.support.waiting import eventually

DEADLINE = "confirming: 8s"
"""Long enough for a document to count as fetched and not applied."""


def api() -> tuple[int, str]:
    (port,) = free_ports(1)
    return port, f"http://{LOOPBACK}:{port}"


async def switched(daemon: Daemon, text: str) -> None:
    """Release green, and wait until its deadline is over: it must stay, unconfirmed."""
    await eventually(partial(is_healthy, daemon, "green"))
    daemon.write(text)
    await daemon.until_event("shop", "unconfirmed")
    await daemon.until("shop", active="green", phase="watching", confirmed=False, quarantined=[])
    assert await daemon.history("shop", "rolled-back") == []


@pytest.mark.takes(15)
async def test_the_traefik_of_another_daemon_has_no_release_taken_back_and_is_named(
    start_daemon: StartDaemon, start_traefik: StartTraefik, blue: Backend, green: Backend
) -> None:
    """The file of production names staging's Traefik, which shows the very same service with the old weights."""
    port, address = api()
    file = partial(fixed, blue, green, watch="1h", deadlines=DEADLINE, api=address)
    staging = await start_daemon(fixed(blue, green, active="blue").replace("production", "staging"))
    await start_traefik(staging.endpoint, api_port=port)
    production = await start_daemon(file(active="blue"))
    traefik = await start_traefik(production.endpoint)
    await until_routed(production, traefik.url("web"), "blue")
    await switched(production, file(active="green"))
    condition = await production.until_condition("traefik-unproven")
    assert f"{address} shows documents of another daemon, of environment staging" in condition["message"]
    applied = (await production.status("shop"))["applied"]
    assert (applied["by"], applied["verified"], applied["refused"]) == (0, False, False)
    await until_routed(production, traefik.url("web"), "green")


@pytest.mark.takes(20)
async def test_a_monitor_that_polls_does_not_stand_for_a_traefik_that_cannot(
    start_daemon: StartDaemon, start_traefik: StartTraefik, blue: Backend, green: Backend
) -> None:
    """The network between is cut: it shows the old weights, and another one at the same address has the document."""
    port, address = api()
    file = partial(fixed, blue, green, watch="1h", deadlines=DEADLINE, api=address)
    daemon = await start_daemon(file(active="blue"))
    async with Relay(int(daemon.url.rpartition(":")[2])) as relay:
        traefik = await start_traefik(f"{relay.url}/traefik", api_port=port)
        await until_routed(daemon, traefik.url("web"), "blue")
        await daemon.until("shop", phase="steady", confirmed=True)
        await relay.stop()
        monitor = await start_traefik(daemon.endpoint)
        await until_routed(daemon, monitor.url("web"), "blue")
        await switched(daemon, file(active="green"))
        await until_routed(daemon, monitor.url("web"), "green")
        await until_routed(daemon, traefik.url("web"), "blue")
        await relay.start()
        await daemon.until("shop", active="green", confirmed=True)


async def until_polled(daemon: Daemon, times: int) -> None:
    async def look() -> bool:
        return (await daemon.metric("bluegreen_polls_total", code="200") or 0) >= times

    await eventually(look)


@pytest.mark.takes(15)
async def test_of_two_pollers_behind_one_address_one_confirms_nothing_for_the_other(
    start_daemon: StartDaemon, start_traefik: StartTraefik, blue: Backend, green: Backend
) -> None:
    """Rule 16, P2: one of them hangs; without an API nobody but the pollers tells."""
    file = partial(fixed, blue, green, watch="1h", deadlines=DEADLINE)
    daemon = await start_daemon(file(active="blue"))
    well, hung = [await start_traefik(daemon.endpoint) for _ in range(2)]
    for one in (well, hung):
        await until_routed(daemon, one.url("web"), "blue")
    await daemon.until("shop", phase="steady", confirmed=True)
    await until_polled(daemon, 8)  # each counts from its second poll on
    hung.process.send_signal(signal.SIGSTOP)
    try:
        await switched(daemon, file(active="green"))
        assert "a poller has not fetched the document yet" in (await daemon.history("shop", "unconfirmed"))[0]["detail"]
    finally:
        hung.process.send_signal(signal.SIGCONT)
    await daemon.until("shop", active="green", confirmed=True)


@pytest.mark.takes(25)
async def test_traefiks_behind_a_load_balanced_address_confirm_nothing_and_take_nothing_back(
    start_daemon: StartDaemon, start_traefik: StartTraefik, blue: Backend, green: Backend
) -> None:
    """One has applied the switch, and the other cannot poll; whoever answers speaks for itself alone."""
    (one_port, one), (two_port, _) = api(), api()
    async with Relay(one_port, two_port) as balancer:
        file = partial(fixed, blue, green, watch="1h", deadlines=DEADLINE, api=balancer.url)
        daemon = await start_daemon(file(active="blue"))
        async with Relay(int(daemon.url.rpartition(":")[2])) as relay:
            well = await start_traefik(daemon.endpoint, api_port=one_port)
            cut = await start_traefik(f"{relay.url}/traefik", api_port=two_port)
            for traefik in (well, cut):
                await until_routed(daemon, traefik.url("web"), "blue")
            condition = await daemon.until_condition("traefik-unproven")
            assert f"{balancer.url} answers for several Traefiks by turns" in condition["message"]
            await relay.stop()
            await switched(daemon, file(active="green"))
            await until_routed(daemon, well.url("web"), "green")
            daemon.write(file(active="green").replace(balancer.url, one))
            await daemon.until("shop", active="green", confirmed=True)


async def test_a_traefik_that_is_reached_at_several_addresses_of_a_name_is_one(
    start_traefik: StartTraefik, documents: DocumentServer, blue: Backend
) -> None:
    marker = published(documents, shop(blue))
    (port,) = free_ports(1)
    await start_traefik(documents.url, api_port=port, address="0.0.0.0")
    names = Names(LOOPBACK, "127.0.0.2")
    async with reading_back(f"http://traefik.test:{port}", marker=marker, resolve=names) as (_, record):
        one = await record.shows(f"http://{LOOPBACK}:{port}", marker)
        other = await record.shows(f"http://127.0.0.2:{port}", marker)
    assert one.instance is not None
    assert one.instance == other.instance
    assert not one.is_shared
