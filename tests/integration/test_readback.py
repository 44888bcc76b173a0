"""Reading back what a real Traefik applied (rules 7 and 15)."""

import signal
from typing import cast

import pytest

from provider.model import Protocol
from provider.traefik.process import Traefik, free_ports
from provider.traefik.readback import schedule
from tests.support.documents import RULE, Json, marked, published, shop, weighted
from tests.support.reading_back import Names, in_http, reading_back
from tests.support.traefik import Backend, DocumentServer, StartTraefik
from tests.support.waiting import eventually

HTTP, TCP, UDP = Protocol
CLOSED = "the API is closed to this daemon (401 for /api/http/middlewares)"


async def test_a_document_is_read_back_with_its_marker_and_weights_and_so_is_a_switch(
    start_traefik: StartTraefik, documents: DocumentServer, blue: Backend, green: Backend
) -> None:
    marker = published(documents, shop(blue))
    traefik = await start_traefik(documents.url)
    async with reading_back(traefik.api, marker=marker) as (back, record):
        last = await record.shows(traefik.api, marker)
        assert (last.errors, last.weights) == ({}, in_http({"shop": (("shop-blue", 1),)}))
        for backends in ((green,), (blue, green), (blue,)):
            marker = published(documents, shop(*backends))
            back.set_document(marker)
            last = await record.shows(traefik.api, marker)
            assert last.weights == in_http({"shop": tuple((f"shop-{backend.name}", 1) for backend in backends)})


async def test_traefiks_words_about_a_router_arrive_and_go_with_the_next_document(
    start_traefik: StartTraefik, documents: DocumentServer, blue: Backend
) -> None:
    marker = published(documents, shop(blue, middlewares=["nope"]))
    traefik = await start_traefik(documents.url)
    async with reading_back(traefik.api, marker=marker) as (back, record):
        last = await record.shows(traefik.api, marker)
        assert last.errors == in_http({"shop": ('router shop: middleware "nope@http" does not exist',)})
        good = published(documents, shop(blue))
        back.set_document(good)
        last = await record.shows(traefik.api, good)
        assert last.errors == {}


async def test_errors_of_services_and_of_tcp_and_udp_arrive_under_their_names(
    start_traefik: StartTraefik, documents: DocumentServer, blue: Backend
) -> None:
    content = shop(blue) | {
        "tcp": {"routers": {"db": {"rule": "HostSNI(`*`)", "service": "none", "entryPoints": ["web"]}}},
        "udp": {"routers": {"dns": {"service": "none", "entryPoints": ["dns"]}}},
    }
    http = cast("dict[str, dict[str, object]]", content["http"])
    http["services"]["cart"] = weighted({"gone": 2})
    http["routers"]["cart"] = {"rule": "Host(`cart.test`)", "service": "cart"}
    marker = published(documents, content)
    (dns,) = free_ports(1)
    traefik = await start_traefik(documents.url, udp_entry_points={"dns": dns})
    async with reading_back(traefik.api, marker=marker) as (_, record):
        last = await record.shows(traefik.api, marker)
        missing = 'building HTTP service "gone": the service "gone@http" does not exist'
        assert last.errors == {
            (HTTP, "cart"): (f"router cart: {missing}", f"service cart: {missing}"),
            (TCP, "db"): ('tcp router db: the service "none@http" does not exist',),
            (UDP, "dns"): ('udp router dns: the UDP service "none@http" does not exist',),
        }
        assert last.weights == in_http({"shop": (("shop-blue", 1),), "cart": (("gone", 2),)})


@pytest.mark.parametrize("http", [None, {"tls": {}}], ids=["plain", "TLS on each entry point"])
async def test_routers_that_traefik_renames_are_reported_by_the_names_they_were_given(
    start_traefik: StartTraefik, documents: DocumentServer, blue: Backend, http: Json | None
) -> None:
    """TLS options that conflict rename a router, and so do several entry points where these say more of HTTP."""
    other = {"rule": f"{RULE} && Path(`/other`)", "service": "shop", "tls": {}}
    lost = {"rule": "Host(`lost.test`)", "service": "shop", "middlewares": ["nope"]}
    content = shop(blue, tls={"options": "strict"})
    cast("dict[str, Json]", content["http"])["routers"] |= {"other": other, "lost": lost}
    tcp = {"routers": {"lost": {"rule": "HostSNI(`*`)", "service": "none", "entryPoints": ["web", "admin"]}}}
    content |= {"tcp": tcp, "tls": {"options": {"strict": {"sniStrict": True}}}}
    marker = published(documents, content)
    web, admin = free_ports(2)
    traefik = await start_traefik(documents.url, entry_points={"web": web, "admin": admin}, entry_point_http=http)
    async with reading_back(traefik.api, marker=marker) as (_, record):
        last = await record.shows(traefik.api, marker)
        assert last.errors.keys() == {(HTTP, "shop"), (HTTP, "lost"), (TCP, "lost")}
        (conflict,) = last.errors[HTTP, "shop"]
        assert conflict.startswith("router shop: router's TLSOptions configuration is conflicting")
        assert last.errors[HTTP, "lost"] == ('router lost: middleware "nope@http" does not exist',)


async def test_a_document_that_is_refused_leaves_the_old_marker_and_the_old_weights(
    start_traefik: StartTraefik,
    documents: DocumentServer,
    blue: Backend,
    green: Backend,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rule 7: an old document shown is evidence."""
    monkeypatch.setattr(schedule, "OLD_S", 0.1)
    old = published(documents, shop(blue))
    traefik = await start_traefik(documents.url)
    async with reading_back(traefik.api, marker=old) as (back, record):
        await record.shows(traefik.api, old)
        back.set_document(published(documents, shop(green, prioritee=1)))
        await eventually(lambda: any("field not found, node: prioritee" in line for line in traefik.errors()))
        before = len(record.readings)
        await eventually(lambda: len(record.readings) > before + 1)
        last = record.readings[-1]
        assert (last.marker, last.weights) == (old, in_http({"shop": (("shop-blue", 1),)}))
        good = published(documents, shop(green))
        back.set_document(good)
        await record.shows(traefik.api, good)


async def test_a_traefik_that_stops_is_reported_and_is_read_again_when_it_is_back(
    start_traefik: StartTraefik, documents: DocumentServer, blue: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "CALM_S", 0.1)
    marker = published(documents, shop(blue))
    api_port, web_port = free_ports(2)
    traefik = await start_traefik(documents.url, api_port=api_port, entry_points={"web": web_port})
    async with reading_back(traefik.api, marker=marker) as (_, record):
        await record.shows(traefik.api, marker)
        await traefik.__aexit__(None, None, None)
        await eventually(lambda: record.cause(traefik.api) == "connection refused")
        assert record.marker(traefik.api) is None
        await start_traefik(documents.url, api_port=api_port, entry_points={"web": web_port})
        await record.shows(traefik.api, marker)
        assert record.gone == []


async def test_a_traefik_that_hangs_is_reported_and_delays_no_other(
    start_traefik: StartTraefik, documents: DocumentServer, blue: Backend, green: Backend
) -> None:
    marker = published(documents, shop(blue))
    hung, well = [await start_traefik(documents.url) for _ in range(2)]
    async with reading_back(hung.api, well.api, marker=marker) as (back, record):
        await record.shows(hung.api, marker)
        hung.process.send_signal(signal.SIGSTOP)
        try:
            marker = published(documents, shop(green))
            back.set_document(marker)
            await record.shows(well.api, marker)
            await eventually(lambda: record.cause(hung.api) == "no answer to /api/http/middlewares within 2 s")
        finally:
            hung.process.send_signal(signal.SIGCONT)
        await record.shows(hung.api, marker)


async def test_two_traefiks_behind_one_name_are_two(
    start_traefik: StartTraefik,
    documents: DocumentServer,
    blue: Backend,
    green: Backend,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(schedule, "CALM_S", 0.1)
    old = published(documents, shop(blue))
    (api_port,) = free_ports(1)
    here = await start_traefik(documents.url, api_port=api_port)
    async with DocumentServer() as elsewhere:
        elsewhere.publish(marked(shop(blue))[0])
        there = await start_traefik(elsewhere.url, api_port=api_port, address="127.0.0.2")
        names = Names("127.0.0.1", "127.0.0.2")
        async with reading_back(f"http://traefik.test:{api_port}", marker=old, resolve=names) as (back, record):
            await eventually(lambda: record.marker(here.api) == record.marker(there.api) == old)
            new = published(documents, shop(green))
            back.set_document(new)
            await record.shows(here.api, new)
            assert record.marker(there.api) == old
            elsewhere.publish(marked(shop(green))[0])
            await record.shows(there.api, new)
            await there.__aexit__(None, None, None)
            await eventually(lambda: record.cause(there.api) == "connection refused")
            assert record.marker(here.api) == new


def with_api(content: Json, *, path: str = "", guarded: bool = False) -> Json:
    """Add a router by which the API is reached as traefik.test, under a path, with a password where it is guarded."""
    http = cast("dict[str, dict[str, object]]", content["http"])
    http["routers"]["api"] = {
        "rule": f"Host(`traefik.test`) && PathPrefix(`{path}/api`)",
        "service": "api@internal",
        "middlewares": ["strip", "guard"] if guarded else ["strip"],
    }
    http["middlewares"] = {
        "strip": {"stripPrefix": {"prefixes": [path or "/none"]}},
        "guard": {"basicAuth": {"users": ["operator:$apr1$8VOKBr.7$qHpD8L8MpGYh4RiSqjXpt1"]}},
    }
    return content


def by_name(traefik: Traefik, path: str = "") -> tuple[str, str]:
    """Return the URL of the API through the entry point web, by name, and how a reading calls it."""
    name = traefik.url("web") + path
    return name.replace("127.0.0.1", "traefik.test"), name


async def test_an_api_under_a_path_and_a_host_of_its_own_is_reached(
    start_traefik: StartTraefik, documents: DocumentServer, blue: Backend
) -> None:
    marker = published(documents, with_api(shop(blue), path="/edge"))
    traefik = await start_traefik(documents.url)
    url, name = by_name(traefik, "/edge")
    async with reading_back(url, marker=marker, resolve=Names("127.0.0.1")) as (_, record):
        last = await record.shows(name, marker)
        assert last.weights == in_http({"shop": (("shop-blue", 1),)})


async def test_an_entry_point_without_the_api_is_reported_as_such(
    start_traefik: StartTraefik, documents: DocumentServer, blue: Backend
) -> None:
    marker = published(documents, shop(blue))
    traefik = await start_traefik(documents.url)
    async with reading_back(traefik.url("web") + "/edge", marker=marker) as (_, record):
        cause = await eventually(lambda: record.cause(traefik.url("web") + "/edge"))
        assert cause == "the API is not enabled there (404 for /edge/api/rawdata)"


async def test_an_api_behind_a_password_is_reported_with_the_way_out(
    start_traefik: StartTraefik, documents: DocumentServer, blue: Backend
) -> None:
    marker = published(documents, with_api(shop(blue), guarded=True))
    traefik = await start_traefik(documents.url)
    url, name = by_name(traefik)
    async with reading_back(url, marker=marker, resolve=Names("127.0.0.1")) as (_, record):
        await eventually(lambda: (record.cause(name) or "").startswith(CLOSED))


async def test_a_certificate_that_traefik_made_itself_is_not_trusted(
    start_traefik: StartTraefik, documents: DocumentServer, blue: Backend
) -> None:
    marker = published(documents, shop(blue))
    traefik = await start_traefik(documents.url, entry_point_http={"tls": {}})
    url = traefik.url("web").replace("http:", "https:")
    async with reading_back(url, marker=marker) as (_, record):
        await eventually(lambda: (record.cause(url) or "").startswith("certificate not trusted: "))
