"""The file of --write-file in a real Traefik: it routes by it alone, and never by it while it has a document."""

import re
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import orjson
import pytest

from provider.model import JsonObject
from provider.traefik.document.fallback import extra_in_file, file_content
from provider.traefik.document.render import SPLIT_ABOVE, assemble, render_pass_through
from provider.traefik.process import LOOPBACK, Traefik, free_ports
from tests.support.daemon import StartDaemon
from tests.support.release import HOST, fixed, until_routed
from tests.support.traefik import Backend, DocumentServer, Load, StartBackend, StartTraefik
from tests.support.waiting import eventually

NOBODY = f"http://{LOOPBACK}:1/traefik"
RULE = f"Host(`{HOST}`)"

# --- with the daemon ------------------------------------------------------------------------------------------------


async def test_traefik_alone_routes_to_the_active_colour_and_by_the_document_again_once_it_has_one(
    start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend, tmp_path: Path
) -> None:
    """Everything a file can have is in it. Both stop, Traefik alone starts; then the daemon comes and switches."""
    blue, green = await start_backend("one"), await start_backend("two")
    files = tmp_path / "files"
    files.mkdir()
    entry_points = dict(zip(("web", "tcp"), free_ports(2), strict=True))
    passed = further_configuration(blue)
    daemon = await start_daemon(fixed(blue, green, active="blue", more=passed), "--write-file", f"{files}/shop.yaml")
    traefik = await start_traefik(daemon.endpoint, files=files, entry_points=entry_points)
    await until_routed(daemon, traefik.url("web"), "one")
    daemon.write(fixed(blue, green, active="green", more=passed))
    await until_routed(daemon, traefik.url("web"), "two")
    assert await daemon.stop() == 0
    await traefik.end()

    alone = await start_traefik(daemon.endpoint, files=files, entry_points=entry_points)
    await eventually(lambda: routed(alone, "file"))
    async with Load(alone.url("web"), HOST) as load:
        await load.until_all("two")
    assert (load.failures, set(load.answers)) == ([], {"two"})
    assert await ask(alone.url("web"), "static.example.com") == ("one", "{{.Odd}} {{{")
    assert await ask(alone.url("tcp")) == ("one", None)
    assert await troubles(alone) == {}

    await daemon.start()
    await eventually(lambda: routed(alone, "http"))
    before = await requests(alone)
    async with Load(alone.url("web"), HOST) as load:
        await load.until_all("two")
        daemon.write(fixed(blue, green, active="blue", more=passed))
        await load.until_all("one")
    after = await requests(alone)
    assert after["shop@http"] == load.requests
    assert after["shop@file"] == before["shop@file"]
    assert load.failures == []
    assert await troubles(alone) == {}
    assert [line for line in alone.errors() if "connection refused" not in line] == []


def further_configuration(backend: Backend) -> str:
    """Pass-through that takes care: a template's braces, references to the HTTP provider, lowest priorities, TCP."""
    return f"""\
http:
  middlewares:
    odd: {{headers: {{customResponseHeaders: {{X-Odd: "{{{{.Odd}}}} {{{{{{"}}}}}}
    chained: {{chain: {{middlewares: ["odd@http"]}}}}
  routers:
    static: {{rule: "Host(`static.example.com`)", entryPoints: [web], priority: 1, middlewares: ["chained@http"], service: "static@http"}}
  services:
    static: {{loadBalancer: {{servers: [{{url: "{backend.url}"}}]}}}}
tcp:
  routers: {{raw: {{rule: "HostSNI(`*`)", entryPoints: [tcp], service: raw}}}}
  services: {{raw: {{loadBalancer: {{servers: [{{address: "{LOOPBACK}:{backend.port}"}}]}}}}}}
"""  # noqa: E501


# --- what Traefik makes of a document and a file --------------------------------------------------------------------


def file_of(passed: JsonObject) -> bytes:
    return file_content([], extra_in_file(render_pass_through(passed)))


def http(backend: Backend, **router: object) -> JsonObject:
    return {
        "routers": {"shop": {"rule": RULE, "entryPoints": ["web"], "service": "shop", **router}},
        "services": {"shop": {"loadBalancer": {"servers": [{"url": backend.url}]}}},
    }


def tcp(backend: Backend, **router: object) -> JsonObject:
    return {
        "routers": {"raw": {"rule": "HostSNI(`*`)", "entryPoints": ["web"], "service": "raw", **router}},
        "services": {"raw": {"loadBalancer": {"servers": [{"address": f"{LOOPBACK}:{backend.port}"}]}}},
    }


@pytest.mark.parametrize("priority", [None, 0, 1, 2, -1, "5", 5.0, 1000])
@pytest.mark.parametrize("section", ["http", "tcp"])
async def test_nothing_in_the_file_wins_over_the_document(
    start_traefik: StartTraefik,
    documents: DocumentServer,
    blue: Backend,
    green: Backend,
    tmp_path: Path,
    section: str,
    priority: object,
) -> None:
    """The document leads to blue, the file to green: with both, and before that with the file alone."""
    make = {"http": http, "tcp": tcp}[section]
    router = {} if priority is None else {"priority": priority}
    documents.publish(assemble([], render_pass_through({section: make(blue, **router)})).body)
    (tmp_path / "shop.yaml").write_bytes(file_of({section: make(green, **router)}))
    await documents.stop()
    traefik = await start_traefik(documents.url, files=tmp_path)
    await eventually(lambda: answers(traefik, "green"))
    await documents.start()
    await eventually(lambda: answers(traefik, "blue"))
    assert {await ask(traefik.url("web")) for _ in range(20)} == {("blue", None)}
    assert await troubles(traefik) == {}


async def test_tls_options_of_both_providers_are_a_conflict_and_those_of_none_are_missing(
    start_traefik: StartTraefik, documents: DocumentServer, blue: Backend, tmp_path: Path
) -> None:
    """Why TLS options are refused beside --write-file."""
    strong = {"strong": {"minVersion": "VersionTLS13"}}
    content = {"http": http(blue, tls={"options": "strong"}), "tls": {"options": strong}}
    documents.publish(content)
    (tmp_path / "shop.yaml").write_bytes(orjson.dumps(content))
    traefik = await start_traefik(documents.url, files=tmp_path)

    async def conflict() -> bool:
        found = await troubles(traefik)
        return "conflicting with other routers" in str(found.get("web-conflicted-shop@http"))

    await eventually(conflict)
    default = {"http": http(blue, tls={}), "tls": {"options": {"default": strong["strong"]}}}
    documents.publish(default)
    (tmp_path / "shop.yaml").write_bytes(orjson.dumps(default))

    async def none_works() -> bool:
        found = await troubles(traefik)
        return all("unknown TLS options: default" in str(found.get(f"shop@{one}")) for one in ("http", "file"))

    await eventually(none_works)


async def test_the_default_store_of_two_providers_is_an_error(
    start_traefik: StartTraefik, documents: DocumentServer, blue: Backend, tmp_path: Path
) -> None:
    """Why the file has no stores."""
    content = {"http": http(blue), "tls": {"stores": {"default": {"defaultCertificate": {"certFile": "x"}}}}}
    documents.publish(content)
    (tmp_path / "shop.yaml").write_bytes(orjson.dumps(content))
    traefik = await start_traefik(documents.url, files=tmp_path)
    await eventually(lambda: any("Default TLS Store defined in multiple providers" in one for one in traefik.errors()))


async def test_two_udp_routers_on_an_entry_point_are_one_too_many(
    start_traefik: StartTraefik, documents: DocumentServer, tmp_path: Path
) -> None:
    """Why the file has no UDP."""
    content = {
        "udp": {
            "routers": {"dns": {"entryPoints": ["udp"], "service": "dns"}},
            "services": {"dns": {"loadBalancer": {"servers": [{"address": f"{LOOPBACK}:1"}]}}},
        }
    }
    documents.publish(content)
    (tmp_path / "shop.yaml").write_bytes(orjson.dumps(content))
    traefik = await start_traefik(
        documents.url, files=tmp_path, udp_entry_points=dict(zip(["udp"], free_ports(1), strict=True))
    )
    await eventually(lambda: "more than one udp router" in str(traefik.log()))


async def test_traefik_reads_yaml_and_neither_json_nor_what_is_still_being_written(
    start_traefik: StartTraefik, blue: Backend, tmp_path: Path
) -> None:
    """Why --write-file is refused for other names. The directory need not hold the file when Traefik starts."""
    traefik = await start_traefik(NOBODY, files=tmp_path)
    content = orjson.dumps({"http": http(blue)})
    for name in ("shop.json", "shop.yaml.new", "shop.yml"):
        assert await troubles(traefik) == {}
        assert not await routed(traefik, "file")
        (tmp_path / name).write_bytes(content)
    await eventually(lambda: routed(traefik, "file"))


async def test_a_reference_to_the_document_is_dead_without_one(
    start_traefik: StartTraefik, blue: Backend, tmp_path: Path
) -> None:
    """Why the file says `x` where the document says `x@http`."""
    (tmp_path / "shop.yaml").write_bytes(orjson.dumps({"http": http(blue, middlewares=["m@http"])}))
    traefik = await start_traefik(NOBODY, files=tmp_path)
    await eventually(lambda: troubles(traefik))
    assert await troubles(traefik) == {"shop@file": ['middleware "m@http" does not exist']}


async def test_a_file_of_nothing_is_accepted(start_traefik: StartTraefik, tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_bytes(file_of({}))
    traefik = await start_traefik(NOBODY, files=tmp_path)
    assert not [line for line in traefik.log() if line.get("providerName") == "file"]


async def test_a_file_that_is_split_is_read_as_a_whole(
    start_traefik: StartTraefik, blue: Backend, tmp_path: Path
) -> None:
    """Its maps are merged where it is large, as in the document."""
    names = [f"shop{number or ''}" for number in range(SPLIT_ABOVE + 1)]
    (router, service) = (next(iter(section.values())) for section in http(blue).values())  # type: ignore[attr-defined]
    content = file_of({"http": {"routers": dict.fromkeys(names, router), "services": {"shop": service}}})
    assert b"<<: [{" in content
    (tmp_path / "shop.yaml").write_bytes(content)
    traefik = await start_traefik(NOBODY, files=tmp_path)
    await eventually(lambda: routed(traefik, "file"))
    assert {f"{name}@file" for name in names} <= (await traefik.raw_data())["routers"].keys()
    assert await answers(traefik, "blue")


async def routed(traefik: Traefik, provider: str) -> bool:
    return f"shop@{provider}" in (await traefik.raw_data()).get("routers", {})


async def troubles(traefik: Traefik) -> Mapping[str, object]:
    """Return what Traefik says of each router that is not simply enabled."""
    raw = await traefik.raw_data()
    routers = {**raw.get("routers", {}), **raw.get("tcpRouters", {})}
    return {name: body.get("error") for name, body in routers.items() if body["status"] != "enabled"}


async def requests(traefik: Traefik) -> dict[str, int]:
    """Return how many requests each router had."""
    async with aiohttp.request("GET", f"{traefik.api}/metrics") as response:
        lines = re.findall(
            r'^traefik_router_requests_total\{.*router="([^"]+)".*\} (\d+)$', await response.text(), re.M
        )
    found: dict[str, int] = {}
    for name, count in lines:
        found[name] = found.get(name, 0) + int(count)
    return found


async def answers(traefik: Traefik, body: str) -> bool:
    return (await ask(traefik.url("web")))[0] == body


async def ask(url: str, host: str = HOST) -> tuple[str, str | None]:
    """Ask on a connection of its own; return the body and the header that `odd` adds."""
    try:
        async with aiohttp.request("GET", url, headers={"Host": host}) as response:
            return await response.text(), response.headers.get("X-Odd")
    except aiohttp.ClientError:
        return "", None
