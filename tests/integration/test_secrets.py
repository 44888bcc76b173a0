"""Secrets stand nowhere: a marked one by each way in, and everything that is said is searched for it.

The document itself carries what it must: who reads that is docs/security.md's matter.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import aiohttp
import pytest

from provider.api.tokens import read_provider_tokens, read_tokens
from provider.model.errors import BluegreenError
from provider.observability.sender import read_urls
from tests.support.daemon import Daemon, StartDaemon
from tests.support.hostile import answering, container, engine, ok
from tests.support.waiting import eventually

MARK = "s3cr3t-Xq7"
PEM = f"-----BEGIN PRIVATE KEY-----\\nMIIE{MARK}pem\\n-----END PRIVATE KEY-----"

GOOD = """
environment: production
services:
  shop:
    router: {{rule: "Host(`shop.example.com`)", middlewares: [in]}}
    servers: {{blue: {{urls: ["{server}"]}}, green: {{urls: ["{other}"]}}}}
    active: {active}
    healthCheck:
      {{path: "/ok", interval: 100ms, headers: {{Authorization: "Bearer {mark}-health", X-Key: "{mark}-header"}}}}
    smokeTests: [{{name: home, path: "/smoke?token={mark}-path", headers: {{Authorization: "Basic {mark}-smoke"}}}}]
  cart:
    router: {{rule: "Host(`cart.example.com`)"}}
    servers: {{blue: {{urls: ["{server}"]}}}}
    healthCheck:
      {{path: "{path}", interval: 1s, unhealthyAfter: 1, followRedirects: true, headers: {{Cookie: "{mark}-cookie"}}}}
http:
  middlewares:
    in: {{basicAuth: {{users: ["me:$apr1$x$/{mark}-users"]}}}}
    out: {{headers: {{customRequestHeaders: {{Authorization: "Bearer {mark}-custom"}}}}}}
    more: {{plugin: {{vault: {{token: "{mark}-plugin"}}}}}}
""".format  # fmt: skip

WRONG = {
    "a user that is no list": "http: {middlewares: {a: {basicAuth: {users: 'me:MARK'}}}}",
    "a user that is a mapping": "http: {middlewares: {a: {basicAuth: {users: [{me: MARK}]}}}}",
    "authentication that is a text": "http: {middlewares: {a: {basicAuth: 'me:MARK'}}}",
    "a digest": "http: {middlewares: {a: {digestAuth: {users: 'me:realm:MARK'}}}}",
    "headers that are a text": "http: {middlewares: {a: {headers: {customRequestHeaders: 'Authorization: MARK'}}}}",
    "a header that is a list": "http: {middlewares: {a: {headers: {customRequestHeaders: {A: [MARK]}}}}}",
    "an alias": "http: {middlewares: {a: {basicAuth: {users: [*MARK]}}}}",
    "a tag": "http: {middlewares: {a: {headers: {customRequestHeaders: {A: !MARK x}}}}}",
    "a key of a plugin": "http: {middlewares: {a: {plugin: MARK}}}",
    "a private key": f'tls: {{certificates: [{{certFile: a, keyFile: ["{PEM}"]}}]}}',
    "a private key elsewhere": f'tls: {{stores: {{default: {{defaultCertificate: "{PEM}"}}}}}}',
    "a hash elsewhere": "http: {middlewares: {a: {stripPrefix: 'me:$2y$05$MARK'}}}",
    "headers of a check": "services: {a: {router: {rule: x}, healthCheck: {headers: 'MARK'}}}",
    "a header of a check":
        "services: {a: {router: {rule: x}, healthCheck: {headers: {Authorization: ['Bearer MARK']}}}}",
    "a header with a line end": 'services: {a: {router: {rule: x}, healthCheck: {headers: {A: "x\\n MARK"}}}}',
    "a header of a smoke test": "services: {a: {router: {rule: x}, smokeTests: [{name: b, headers: {A: ['MARK']}}]}}",
    "a path with a token": "services: {a: {router: {rule: x}, smokeTests: [{name: b, path: 'x?token=MARK'}]}}",
    "a server with a password": "services: {a: {router: {rule: x}, servers: {blue: {urls: ['http://me:MARK@b']}}}}",
    "a server with a long password":
        f"services: {{a: {{router: {{rule: x}}, servers: {{blue: {{urls: ['http://me:MARK{'x' * 200}@b']}}}}}}}}",
    "a server without a scheme": "services: {a: {router: {rule: x}, servers: {blue: {urls: ['me:MARK@b:80']}}}}",
    "an API with a password": "traefik: {api: ['http://me:MARK@traefik:8080']}",
    "an API with a token": "traefik: {api: ['http://traefik:8080/?token=MARK']}",
}  # fmt: skip


def marked(value: str, number: int) -> str:
    return value.replace("MARK", f"{MARK}-{number}")


def lines_with(text: str) -> list[str]:
    return [line[:400] for line in text.splitlines() if MARK in line]


@pytest.mark.parametrize("form", ["text", "json"] if "BLUEGREEN_EXAMPLES" in os.environ else ["json"])
@pytest.mark.takes(40)
async def test_a_secret_that_came_in_by_any_way_stands_in_nothing_that_is_said(  # noqa: PLR0915
    tmp_path: Path, start_daemon: StartDaemon, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", f"{MARK}-environment")
    monkeypatch.setenv("BLUEGREEN_NOTIFY_URL", f"json://me:{MARK}-env-url@127.0.0.1:1/{MARK}-env-path")
    notify, tokens = tmp_path / "notify", tmp_path / "tokens"
    notify.write_text(f"json://127.0.0.1:1/{MARK}-notify-file/?-token={MARK}-query\n")
    tokens.write_text(f"ci operate sha256:{'0' * 64}\n")
    listed = [
        container("other", labels={"com.example.password": f"{MARK}-label", "bluegreen.colour": "red"}),
    ]
    said: dict[str, str] = {}
    refused = 0

    def application(request: str) -> Iterable[bytes]:
        """Quote the headers of each request in the answer to it."""
        echoed = f"{MARK}-cookie" if request.startswith("/bad") else f"Basic {MARK}-smoke"
        if request.startswith("/bad"):
            yield f"HTTP/1.1 302 {echoed}\r\nLocation: http://elsewhere/?{echoed.replace(' ', '+')}\r\n\r\n".encode()
        elif request.startswith("/smoke"):
            yield ok(echoed.encode(), "text/html").replace(b"200 OK", b"500 " + echoed.encode())
        else:
            yield ok(b"ok", "text/html")

    with (
        answering(application) as server,
        answering(application) as other,
        answering(engine(listed), tmp_path / "docker.sock") as docker,
    ):
        first = GOOD(server=server, other=other, mark=MARK, active="blue", path="/ok")
        good = GOOD(server=server, other=other, mark=MARK, active="green", path="/bad")
        daemon = await start_daemon(first, "--log-format", form, "--notify-file", str(notify), docker=docker)
        await daemon.until("shop", active="blue")
        await daemon.until_condition("containers")
        daemon.write(good)
        await eventually_failed(daemon)
        events = asyncio.create_task(listen(daemon))
        await ask_with_secrets(daemon)
        for number, (name, wrong) in enumerate(WRONG.items()):
            base = "" if "services:" in wrong else "services: {}\n"
            text = f"environment: production\n{base}{marked(wrong, number)}\n"
            file = tmp_path / "wrong.yaml"
            file.write_text(text)
            done = run("validate", str(file), *(("--json",) if number % 2 else ()))
            refused += done.returncode == 2
            said[f"validate: {name}"] = done.stdout + done.stderr
            if number % 5 == 0 and done.returncode == 2:
                daemon.write(text)
                await daemon.until_condition("desired-state-refused")
                said[f"status: {name}"] = json.dumps(await daemon.status())
        daemon.write(good)
        await daemon.until_condition("desired-state-refused", holds=False)
        said["events"] = await events
        said |= await everything_said(daemon)
        said |= commands(daemon, tmp_path)
        second = await start_daemon(good, state=daemon.state, start=False)
        second.arguments += ["--notify-url", f"json://127.0.0.1:1/{MARK}-second"]
        code, words = await second.refuses_to_start()
        assert code == 1, words
        said["second daemon"] = words
        said["engine"] = await refused_engine(start_daemon)
        assert await daemon.stop() == 0
        said["log"] = daemon.log.read_text()
        said["lock"] = (daemon.state / "lock").read_text()
    for name, content in {
        "a token as scope": f"ci bg_{MARK}{'x' * 40} sha256:{'0' * 64}",
        "a token as hash": f"ci read {MARK}{'x' * 40}",
        "a token as name": f"bg_{MARK}{'x' * 40} read sha256:{'0' * 64}",
        "a token alone": f"{MARK}{'x' * 40}",
        "a token with a space": f"{MARK} x y z",
    }.items():
        tokens.write_text(content + "\n")
        for read in (read_tokens, read_provider_tokens, read_urls):
            try:
                read(tokens)
            except BluegreenError as refusal:
                said[f"{read.__name__}: {name}"] = str(refusal)
    assert refused > len(WRONG) * 2 / 3
    assert said["log"]
    assert {name: found for name, text in said.items() if (found := lines_with(text))} == {}


async def eventually_failed(daemon: Daemon) -> None:
    """Wait until the application has answered wrongly, to a health check and to a smoke test."""
    await daemon.until("cart", active="blue")

    async def look() -> bool:
        text = json.dumps(await daemon.status())
        assert "elsewhere" in text or "unhealthy" in text
        return any(row["outcome"] for row in await daemon.history("shop"))

    await eventually(look)


async def ask_with_secrets(daemon: Daemon) -> None:
    """Send secrets in every part of requests, well-formed and not, to both listeners."""
    headers = {"Authorization": f"Bearer {MARK}-token", "Cookie": f"a={MARK}-cookies", "X-Api-Key": f"{MARK}-key"}
    async with aiohttp.ClientSession(headers=headers) as session:
        for base in (daemon.url, daemon.admin_url):
            for path in ("/traefik", "/api/v1/services", "/api/v1/history", "/nothing"):
                async with session.get(f"{base}{path}?token={MARK}-query-token") as answer:
                    await answer.read()
        command = f"{daemon.admin_url}/api/v1/services/shop/abort"
        for body in (f'{{"reason": 7, "password": "{MARK}-body"}}', f'"{MARK}-body"', f'{{"colour": "{MARK}-body"'):
            async with session.post(command, data=body, headers={"Content-Type": "application/json"}) as answer:
                assert answer.status in {400, 409}
                assert MARK not in await answer.text()
    for base in (daemon.url, daemon.admin_url):
        host, port = base.removeprefix("http://").split(":")
        for raw in (
            f"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {MARK}-bad\0\r\n\r\n",
            f"GET /{MARK}-bad\r\nAuthorization {MARK}-bad\r\n\r\n",
            f"{MARK}-bad\r\n\r\n",
            f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x{MARK}-bad\r\n\r\n",
            f"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{MARK}-bad\r\n",
        ):
            with socket.create_connection((host, int(port)), timeout=10) as peer:
                peer.sendall(raw.encode())
                peer.shutdown(socket.SHUT_WR)
                await asyncio.to_thread(peer.recv, 65536)


async def listen(daemon: Daemon) -> str:
    """Return what the stream of events says while the test goes on."""
    heard = ""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{daemon.admin_url}/api/v1/events") as answer,
    ):
        try:
            async with asyncio.timeout(5):
                async for line in answer.content:
                    heard += line.decode()
        except TimeoutError:
            return heard
    return heard


async def everything_said(daemon: Daemon) -> dict[str, str]:
    """Return what both listeners answer to all that can be asked, but for the document."""
    asked = ["services", "services/shop", "services/cart", "history?limit=1000", "daemon", "caller", "openapi.json"]
    places = [f"{daemon.admin_url}/api/v1/{path}" for path in asked]
    places += [f"{daemon.url}/metrics", f"{daemon.url}/readyz", f"{daemon.admin_url}/"]
    said = {}
    async with aiohttp.ClientSession() as session:
        for place in places:
            async with session.get(place) as answer:
                assert answer.status in {200, 503}, place
                said[place] = await answer.text()
    return said


def commands(daemon: Daemon, folder: Path) -> dict[str, str]:
    """Return what the command line says of the daemon, of what is no daemon, and of what it was given."""
    port = daemon.admin_url.rpartition(":")[2]
    admin = f"http://me:{MARK}-admin@127.0.0.1:{port}"
    away = f"http://me:{MARK}-admin@127.0.0.1:1"
    said = {}
    for words in (
        ("status", "--admin", admin),
        ("status", "--json", "--admin", admin),
        ("status", "--admin", away, "--token", f"{MARK}-flag"),
        ("status", "--admin", f"nonsense://me:{MARK}-admin@x", "--token", f"{MARK}-flag"),
        ("status", "--admin", admin, "--token", f"{MARK} flag"),
        ("explain", "shop", "--admin", admin),
        ("history", "-v", "--admin", admin),
        ("doctor", "--admin", admin, "--traefik", f"http://me:{MARK}-api@127.0.0.1:1"),
        ("doctor", "--json", "--admin", away, "--traefik", f"http://me:{MARK}-api@127.0.0.1:1", "--docker",
         f"tcp://me:{MARK}-engine@127.0.0.1:1"),
    ):  # fmt: skip
        done = run(*words)
        said[" ".join(words)] = done.stdout + done.stderr
    return said


async def refused_engine(start_daemon: StartDaemon) -> str:
    """Return what a daemon says whose engine's URL has a password, which Docker's SDK does not take."""
    url = f"tcp://me:{MARK}-engine@127.0.0.1:1"
    daemon = await start_daemon("environment: production\nservices: {}\n", docker=url, start=False)
    code, words = await daemon.refuses_to_start()
    assert code == 2
    return words


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "provider", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "NO_COLOR": "1"},
    )
