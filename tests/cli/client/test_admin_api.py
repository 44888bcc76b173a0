"""What the command line makes of whoever answers at the admin address, or does not."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from provider.api.admin import admin_app
from provider.api.tls import TlsFiles, read_context
from provider.cli.client.admin_api import Admin, CommandRefused, InvalidCredentials, NoDaemon, service_path
from provider.model.errors import AddressError
from tests.support.certificates import Authority
from tests.support.running import listening, running, shop


@pytest.mark.parametrize("kind", ["tcp", "unix"])
async def test_a_daemon_is_asked_over_tcp_and_over_a_unix_socket(tmp_path: Path, kind: str) -> None:
    async with running(tmp_path / "state") as daemon:
        daemon.load(shop())
        path = tmp_path / "admin.sock" if kind == "unix" else None
        async with listening(admin_app(daemon.replica), path) as address:
            admin = Admin(address)
            everything = await asyncio.to_thread(admin.services)
            assert everything["environment"] == "production"
            assert (await asyncio.to_thread(admin.service, "shop"))["service"] == "shop"
            with pytest.raises(CommandRefused, match="has no service 'a b/c'; it has: shop") as refused:
                await asyncio.to_thread(admin.service, "a b/c")
            assert (refused.value.status, refused.value.code) == (404, "unknown-service")


def test_where_nobody_listens_it_says_so_and_what_to_check(tmp_path: Path) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        for address in (f"http://127.0.0.1:{port}", f"127.0.0.1:{port}", f"unix:{tmp_path / 'none'}"):
            with pytest.raises(NoDaemon, match=r"no daemon answers at .*: check that `bluegreen serve` runs") as found:
                Admin(address).services()
            assert address in str(found.value)


async def test_a_socket_that_a_killed_daemon_left_behind_is_no_daemon(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "admin.sock"))
    with pytest.raises(NoDaemon, match="Connection refused"):
        Admin(f"unix:{tmp_path / 'admin.sock'}").services()


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (204, "", "204 b''"),
        (404, "404: Not Found", "404 b'404: Not Found'"),
        (404, '{"error": "no"}', '404 b\'{"error": "no"}\''),
        (200, '{"hello": "world"}', '200 b\'{"hello": "world"}\''),
        (200, "[1, 2]", "200 b'[1, 2]'"),
        (500, "500 Internal Server Error", "or it has failed: 500"),
        (200, "<html>" + "x" * 10_000, "200 b'<html>xxx"),
    ],
)
async def test_something_else_that_listens_is_no_daemon(status: int, body: str, words: str) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text=body)

    app = web.Application()
    app.router.add_get("/{any:.*}", answer)
    async with listening(app) as address:
        with pytest.raises(NoDaemon, match=re.escape(words)) as found:
            await asyncio.to_thread(Admin(address).services)
    assert "not the admin listener of a bluegreen daemon" in str(found.value)
    assert len(str(found.value)) < 500


async def test_something_that_does_not_speak_http_is_no_daemon() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(NoDaemon, match="SSH"):
            await asyncio.to_thread(Admin(f"http://127.0.0.1:{port}").services)


@pytest.mark.parametrize(
    "address",
    ["unix:", "http://", "http://127.0.0.1:89o1", "http://127.0.0.1:99999", "http://[::1", "ftp://x", "http://x/y"],
)
def test_what_is_no_address_is_refused_before_anything_is_asked(address: str) -> None:
    with pytest.raises(AddressError, match=r"is not the address of a daemon: write http://HOST:PORT or unix:PATH"):
        Admin(address)


# --- commands --------------------------------------------------------------------------------------------------------


Sent = list[tuple[str, str, str | None, str | None, bytes]]


def recording(sent: Sent, answer: Callable[[], web.Response]) -> web.Application:
    async def take(request: web.Request) -> web.Response:
        headers = request.headers
        actor, authorization = headers.get("X-Bluegreen-Actor"), headers.get("Authorization")
        assert request.method == "GET" or request.content_type == "application/json"
        sent.append((request.method, request.raw_path, actor, authorization, await request.read()))
        return answer()

    app = web.Application()
    app.router.add_route("*", "/{any:.*}", take)
    return app


async def test_a_command_goes_as_json_with_the_login_name_and_its_answer_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LOGNAME", "änn\n")
    sent: Sent = []
    async with listening(recording(sent, lambda: web.json_response({"already": True}, status=202))) as address:
        admin = Admin(address)
        path = service_path("a b/c", "switch")
        assert await asyncio.to_thread(admin.post, path, {"colour": "green"}) == {"already": True}
        assert await asyncio.to_thread(admin.delete, service_path("shop", "lease")) == {"already": True}
        assert await asyncio.to_thread(admin.get, "/api/v1/history?limit=3") == {"already": True}
    assert sent == [
        ("POST", "/api/v1/services/a%20b%2Fc/switch", "änn", None, b'{"colour": "green"}'),
        ("DELETE", "/api/v1/services/shop/lease", "änn", None, b"{}"),
        ("GET", "/api/v1/history?limit=3", "änn", None, b""),
    ]


async def test_where_nobody_has_a_name_the_daemon_decides_who_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")  # as in a container

    monkeypatch.setattr("getpass.getuser", nobody)
    sent: Sent = []
    async with listening(recording(sent, lambda: web.json_response({"done": True}))) as address:
        await asyncio.to_thread(Admin(address).get, "/")
    assert sent[0][2] == ""


async def test_a_token_is_shown_with_every_question() -> None:
    sent: Sent = []
    async with listening(recording(sent, lambda: web.json_response({"done": True}))) as address:
        admin = Admin(address, token=" bg_secret\n")
        await asyncio.to_thread(admin.get, "/")
        await asyncio.to_thread(admin.post, "/", {})
    assert [one[3] for one in sent] == ["Bearer bg_secret"] * 2


@pytest.mark.parametrize("token", ["", " ", "two words", "c\u00e9", "a\nb: c"])
def test_what_can_be_no_token_is_refused_before_anything_is_asked(token: str) -> None:
    with pytest.raises(InvalidCredentials, match=r"the token \(--token, BLUEGREEN_TOKEN\) is invalid"):
        Admin("http://127.0.0.1:1", token=token)


@pytest.mark.parametrize("status", [400, 401, 403, 409, 415, 503])
async def test_a_refused_command_says_why(status: int) -> None:
    def refuse() -> web.Response:
        return web.json_response({"code": "some-code", "detail": "because"}, status=status)

    async with listening(recording([], refuse)) as address:
        with pytest.raises(CommandRefused, match="because") as refused:
            await asyncio.to_thread(Admin(address).post, "/", {})
    assert (refused.value.status, refused.value.code) == (status, "some-code")


# --- TLS -------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def over_tls(files: TlsFiles) -> AsyncIterator[str]:
    runner = web.AppRunner(recording([], lambda: web.json_response({"environment": "production"})), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=read_context(files)).start()
        yield f"https://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_a_daemon_is_asked_over_tls_and_mutual_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    daemon, (cert, key) = authority.issue("daemon"), authority.issue("ann")
    both = tmp_path / "both.pem"
    both.write_text(cert.read_text() + key.read_text())
    async with over_tls(TlsFiles(*daemon)) as address:
        found = await asyncio.to_thread(Admin(address, ca=authority.ca).services)
        assert dict(found) == {"environment": "production"}
        with pytest.raises(NoDaemon, match=r"not trusted here: set the CA that signed it with --ca \(BLUEGREEN_CA\)"):
            await asyncio.to_thread(Admin(address).services)
        with pytest.raises(NoDaemon, match=r"if it was started with --tls-cert, write https://"):
            await asyncio.to_thread(Admin(address.replace("https", "http")).services)
    async with over_tls(TlsFiles(*daemon, authority.ca)) as address:
        for admin in (
            Admin(address, ca=authority.ca, cert=cert, key=key),
            Admin(address, ca=authority.ca, cert=both),
        ):
            assert dict(await asyncio.to_thread(admin.services)) == {"environment": "production"}
        with pytest.raises(NoDaemon, match=r"if it was started with --tls-client-ca, set a certificate of that CA"):
            await asyncio.to_thread(Admin(address, ca=authority.ca).services)


async def test_https_to_a_daemon_without_tls_says_what_to_write() -> None:
    async with listening(recording([], lambda: web.json_response({"done": True}))) as address:
        with pytest.raises(NoDaemon, match=r"it does not speak TLS: write http://"):
            await asyncio.to_thread(Admin(address.replace("http", "https")).services)


def test_certificates_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    cert, key = Authority(tmp_path).issue("ann")
    empty = tmp_path / "empty.pem"
    empty.touch()
    address = "https://127.0.0.1:1"
    for options, words in (
        ({"ca": empty}, f"--ca {empty} cannot be used: "),
        ({"cert": cert}, f"--cert {cert} with --key {cert} cannot be used: "),
        ({"cert": cert, "key": empty}, f"--cert {cert} with --key {empty} cannot be used: "),
        ({"key": key}, f"--key {key} requires --cert"),
    ):
        with pytest.raises(InvalidCredentials) as refused:
            Admin(address, ca=options.get("ca"), cert=options.get("cert"), key=options.get("key"))
        assert str(refused.value).startswith(words)


async def test_events_are_named_as_they_come_and_their_end_is_reported() -> None:
    lost = asyncio.Event()

    async def stream(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        await answer.write(b": listening\n\nevent: decision\ndata: {}\n\n")
        await lost.wait()
        await answer.write(b"event: changed\ndata: {}\n\n")
        return answer

    app = web.Application()
    app.router.add_get("/api/v1/events", stream)
    async with listening(app) as address:
        events = Admin(address).events()
        assert [await asyncio.to_thread(next, events) for _ in range(3)] == ["", "", "decision"]
        lost.set()
        assert await asyncio.to_thread(next, events) == "changed"
        with pytest.raises(NoDaemon, match="has closed the stream of events"):
            await asyncio.to_thread(next, events)


async def test_events_that_are_refused_or_are_none_are_reported() -> None:
    refusal = web.json_response({"code": "token-wanted", "detail": "name one"}, status=401)
    async with listening(recording([], lambda: refusal)) as address:
        with pytest.raises(CommandRefused, match="name one"):
            await asyncio.to_thread(next, Admin(address).events())
    with pytest.raises(NoDaemon, match="no daemon answers at unix:/nowhere"):
        next(Admin("unix:/nowhere").events())
