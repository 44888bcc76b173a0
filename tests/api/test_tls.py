"""TLS and mutual TLS: certificates that are refused, and that are renewed while connections come in."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from provider.api.tls import RenewedContext, TlsFiles, read_context
from provider.runtime.files import FileRefused, Followed
from tests.support.certificates import Authority, locked

Run = Callable[[Coroutine[Any, Any, Any]], Any]
on_both_loops = pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


# --- reading ------------------------------------------------------------------------------------------------------


def test_a_certificate_and_its_key_may_be_one_file(authority: Authority, tmp_path: Path) -> None:
    cert, key = authority.issue("daemon")
    both = tmp_path / "both.pem"
    both.write_text(key.read_text() + cert.read_text())
    assert read_context(TlsFiles(both)).verify_mode is ssl.CERT_NONE
    assert read_context(TlsFiles(cert, key)).minimum_version >= ssl.TLSVersion.TLSv1_2
    assert TlsFiles(both).paths == (both,)


def test_with_a_client_ca_every_client_needs_a_certificate(authority: Authority) -> None:
    files = TlsFiles(*authority.issue("daemon"), authority.ca)
    assert read_context(files).verify_mode is ssl.CERT_REQUIRED
    assert files.paths[2] == authority.ca


def test_what_cannot_be_used_is_refused_by_name_and_reason(authority: Authority, tmp_path: Path) -> None:
    cert, key = authority.issue("daemon")
    _, other = authority.issue("other")
    none, empty, half = tmp_path / "none.pem", tmp_path / "empty.pem", tmp_path / "half.pem"
    empty.touch()
    half.write_text(cert.read_text()[:200])
    for files, words in (
        (TlsFiles(none), f"{none}: cannot be read: No such file or directory"),
        (TlsFiles(cert, none), f"{none}: cannot be read: No such file or directory"),
        (TlsFiles(empty, key), f"{empty}: has no certificate in PEM form"),
        (TlsFiles(cert), f"{cert}: has no private key in PEM form"),
        (TlsFiles(cert, other), f"{cert}: is not the certificate of the key in {other}"),
        (TlsFiles(half, key), f"{half}, {key}: cannot be used as certificate and key: "),
        (TlsFiles(cert, key, empty), f"{empty}: has no certificate in PEM form"),
        (TlsFiles(cert, key, half), f"{half}: cannot be used as a CA of clients: "),
        (TlsFiles(cert, locked(key)), "is encrypted with a passphrase, which the daemon cannot type"),
    ):
        with pytest.raises(FileRefused) as refused:
            read_context(files)
        assert words in str(refused.value)


# --- renewing -----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def echoing(files: TlsFiles, told: list[str | None]) -> AsyncIterator[int]:
    """Send back what comes, over TLS with these files as they are at each connection; yields the port."""
    followed = Followed(
        files.paths, lambda: read_context(files), lambda refusal: told.append(str(refusal) if refusal else None)
    )

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=RenewedContext(followed.current))
    async with server:
        yield server.sockets[0].getsockname()[1]


class NotLetIn(Exception):  # noqa: N818
    """The server ended the connection."""


class Visitor:
    """A connection of Python's own TLS, as the event loops offer no sessions."""

    def __init__(self, port: int, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> None:
        raw = socket.create_connection(("127.0.0.1", port), timeout=30)
        try:
            self._socket = context.wrap_socket(raw, server_hostname="localhost", session=session)
        except OSError as failure:
            raw.close()
            if isinstance(failure, ssl.SSLCertVerificationError):  # it is we who do not trust
                raise
            raise NotLetIn from failure

    def says(self) -> tuple[str, bool]:
        """Return the name in the server's certificate and whether a session was taken up again."""
        try:
            self._socket.sendall(b"hello\n")
            answer = self._socket.recv(100)
        except OSError as failure:  # with TLS 1.3 it comes after the handshake
            raise NotLetIn from failure
        if not answer:
            raise NotLetIn
        assert answer == b"hello\n"
        subject: Any = (self._socket.getpeercert() or {})["subject"]
        return subject[0][0][1], bool(self._socket.session_reused)

    @property
    def session(self) -> ssl.SSLSession | None:
        return self._socket.session

    def close(self) -> None:
        self._socket.close()


async def visit(
    port: int, context: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> tuple[tuple[str, bool], ssl.SSLSession | None]:
    def go() -> tuple[tuple[str, bool], ssl.SSLSession | None]:
        visitor = Visitor(port, context, session)
        try:
            return visitor.says(), visitor.session
        finally:
            visitor.close()

    return await asyncio.to_thread(go)


def client(authority: Authority, mine: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.ca))
    if mine is not None:
        context.load_cert_chain(*mine)
    return context


def put(files: tuple[Path, ...], new: tuple[Path, ...]) -> None:
    """Replace files as a renewal does."""
    for path, source in zip(files, new, strict=True):
        fresh = path.with_suffix(".fresh")
        fresh.write_bytes(source.read_bytes())
        fresh.replace(path)


@on_both_loops
def test_new_connections_get_a_renewed_certificate_and_open_ones_go_on(
    run: Run, authority: Authority, tmp_path: Path
) -> None:
    async def story() -> None:
        told: list[str | None] = []
        files = TlsFiles(tmp_path / "live.crt", tmp_path / "live.key")
        put(files.paths, authority.issue("first"))
        async with echoing(files, told) as port:
            lasting = await asyncio.to_thread(Visitor, port, client(authority))
            assert await asyncio.to_thread(lasting.says) == ("first", False)
            put(files.paths, authority.issue("second"))
            assert (await visit(port, client(authority)))[0][0] == "second"
            assert await asyncio.to_thread(lasting.says) == ("first", False)
            lasting.close()
        assert told == [None]

    run(story())


@on_both_loops
def test_a_broken_renewal_leaves_the_certificate_that_was_good(run: Run, authority: Authority, tmp_path: Path) -> None:
    """Also the moment at which the new certificate is there and its key is not yet."""

    async def story() -> None:
        told: list[str | None] = []
        files = TlsFiles(tmp_path / "live.crt", tmp_path / "live.key")
        put(files.paths, authority.issue("first"))
        cert, key = authority.issue("second")
        async with echoing(files, told) as port:
            assert (await visit(port, client(authority)))[0][0] == "first"
            put(files.paths[:1], (cert,))
            assert (await visit(port, client(authority)))[0][0] == "first"
            assert told == [f"{files.cert}: is not the certificate of the key in {files.key}"]
            put(files.paths[1:], (key,))
            assert (await visit(port, client(authority)))[0][0] == "second"
            assert told[1:] == [None]

    run(story())


@on_both_loops
def test_a_client_without_a_certificate_or_with_a_strangers_is_not_let_in(
    run: Run, authority: Authority, tmp_path: Path
) -> None:
    async def story() -> None:
        (tmp_path / "strange").mkdir()
        stranger = Authority(tmp_path / "strange", "stranger").issue("traefik")
        files = TlsFiles(*authority.issue("daemon"), authority.ca)
        async with echoing(files, []) as port:
            for mine in (None, stranger):
                with pytest.raises(NotLetIn):
                    await visit(port, client(authority, mine))
            assert (await visit(port, client(authority, authority.issue("traefik"))))[0][0] == "daemon"

    run(story())


@on_both_loops
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_ca_that_is_taken_away_vouches_for_nobody_any_more(
    run: Run, version: ssl.TLSVersion, authority: Authority, tmp_path: Path
) -> None:
    """Neither in a new handshake nor through a session that it once vouched for."""

    async def story() -> None:
        (tmp_path / "new").mkdir()
        successor = Authority(tmp_path / "new", "successor")
        live = tmp_path / "clients.crt"
        put((live,), (authority.ca,))
        files = TlsFiles(*authority.issue("daemon"), live)
        context = client(authority, authority.issue("traefik"))
        context.minimum_version = context.maximum_version = version
        async with echoing(files, []) as port:
            _, session = await visit(port, context)
            (_, was_reused), session = await visit(port, context, session)
            assert was_reused
            put((live,), (successor.ca,))
            with pytest.raises(NotLetIn):
                await visit(port, context, session)
            successors = client(authority, successor.issue("traefik"))
            assert (await visit(port, successors))[0][0] == "daemon"

    run(story())
