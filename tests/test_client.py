"""What the command line makes of whoever answers at the admin address, or does not."""

import asyncio
import re
import socket
from pathlib import Path

import pytest
from aiohttp import web

from provider.admin import admin_app
from provider.client import Admin, NoDaemon, Refused
from provider.errors import AddressError
from tests.running import listening, running, shop


@pytest.mark.parametrize("kind", ["tcp", "unix"])
async def test_a_daemon_is_asked_over_tcp_and_over_a_unix_socket(tmp_path: Path, kind: str) -> None:
    async with running(tmp_path / "state") as daemon:
        daemon.load(shop())
        path = tmp_path / "admin.sock" if kind == "unix" else None
        async with listening(admin_app(daemon.controller), path) as address:
            admin = Admin(address)
            everything = await asyncio.to_thread(admin.services)
            assert everything["environment"] == "production"
            assert (await asyncio.to_thread(admin.service, "shop"))["service"] == "shop"
            with pytest.raises(Refused, match="has no service 'a b/c'; it has: shop") as refused:
                await asyncio.to_thread(admin.service, "a b/c")
            assert (refused.value.status, refused.value.code) == (404, "unknown-service")


def test_where_nobody_listens_it_says_so_and_what_to_look_at(tmp_path: Path) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        for address in (f"http://127.0.0.1:{port}", f"127.0.0.1:{port}", f"unix:{tmp_path / 'none'}"):
            with pytest.raises(NoDaemon, match=r"no daemon answers at .*: is `bluegreen serve` running") as found:
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
        (404, "404: Not Found", "404 b'404: Not Found'"),
        (404, '{"error": "no"}', '404 b\'{"error": "no"}\''),
        (200, '{"hello": "world"}', '200 b\'{"hello": "world"}\''),
        (200, "[1, 2]", "200 b'[1, 2]'"),
        (500, "500 Internal Server Error", "or has failed: 500"),
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
    assert "is no admin listener of a bluegreen daemon" in str(found.value)
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
    with pytest.raises(AddressError, match=r"is no address of a daemon: write http://HOST:PORT or unix:PATH"):
        Admin(address)
