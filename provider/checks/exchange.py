"""One request to one server, as Traefik makes it: over HTTP/1.1, or over HTTP/2 where that is configured or negotiated.

Every request opens a connection of its own. A kept-alive one costs half as much, but goes on answering after the server
has stopped accepting, holds a worker of a server that has few, and keeps a file open for every server.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Self, TypeAlias
from urllib.parse import urlsplit

from aiohappyeyeballs import start_connection
from yarl import URL

from provider.checks.http1 import Http1Answer, encode_request, read_answer
from provider.model import Probe
from provider.runtime.resolver import address_infos

if TYPE_CHECKING:
    from provider.checks.http2 import Http2Answer

LINE_BYTES = 256 * 1024
"""Maximum length of a line in the head of an answer."""
NEXT_ADDRESS_S = 0.25
"""After this time the next address of a name is tried as well."""
H2C = "h2c"
DEFAULTS = (("Accept", "*/*"), ("Accept-Encoding", "identity"), ("User-Agent", "bluegreen"), ("Connection", "close"))
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})

Answer: TypeAlias = "Http1Answer | Http2Answer"


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests to a server go, and the headers they carry; computed once.

    `name` is the host of the Host header, which TLS asks for as well. `is_h2c` speaks HTTP/2 from the first byte.
    """

    url: URL
    is_h2c: bool
    name: str | None
    headers: dict[str, str]

    @classmethod
    def of(cls, probe: Probe) -> Self:
        """Join the server's URL with the settings of its check."""
        check, url = probe.check, probe.key.url
        scheme = check.scheme
        if scheme is None and url.startswith("tcp://"):  # of another endpoint, whose URL does not say it
            scheme = "https" if probe.speaks_tls else "http"
        return cls.at(url, check.path, host=probe.host, headers=check.headers, scheme=scheme, port=check.port)

    @classmethod
    def at(
        cls,
        server: str,
        path: str,
        *,
        host: str | None,
        headers: tuple[tuple[str, str], ...],
        scheme: str | None = None,
        port: int | None = None,
    ) -> Self:
        """Join a server's URL with a path; a scheme and a port win over its own, a Host among the headers over `host`.

        Raises ValueError for an invalid URL.
        """
        url = URL(server)
        scheme = scheme or url.scheme
        port = port or url.explicit_port or (443 if scheme == "https" else 80)
        origin = URL.build(scheme=scheme, host=url.host or "", port=port)
        carried = {"Host": host or origin.host_port_subcomponent or ""}
        carried |= {"Host" if name.lower() == "host" else name: value for name, value in headers}
        return cls(
            url=URL(f"{origin}{path}", encoded=True),
            is_h2c=scheme == H2C,
            name=urlsplit(f"//{carried['Host']}").hostname or url.host,
            headers=carried,
        )

    def fields(self, method: str) -> list[tuple[str, str]]:
        """Return the headers of a request: those of the check, then the defaults that it does not name."""
        written = {name.lower() for name in self.headers}
        usual = [field for field in DEFAULTS if field[0].lower() not in written]
        if method in WITH_BODY and "content-length" not in written:
            usual.append(("Content-Length", "0"))
        return [*self.headers.items(), *usual]


@asynccontextmanager
async def send_request(target: Target, method: str, url: URL, *, verify: bool = True) -> AsyncIterator[Answer]:
    """Make one request and yield its answer, whose body is still to be read.

    `verify` requires a trusted certificate. Raises BadAnswer, NoAnswer, CutShort, OSError, UnicodeError.
    """
    is_tls = url.scheme == "https"
    path, fields = url.raw_path_qs, target.fields(method)
    reader, writer = await connect(
        url.host or "", url.port, tls=context(verify=verify) if is_tls else None, name=target.name
    )
    try:
        if target.is_h2c or has_chosen_http2(writer):
            # Most servers speak HTTP/1, so a start does without the library.
            from provider.checks.http2 import Http2Answer  # noqa: PLC0415

            answer = Http2Answer(reader, writer)
            await answer.send_request("https" if is_tls else "http", method, path, fields)
            yield answer
        else:
            writer.write(encode_request(method, path, fields))
            yield await read_answer(reader, method)
    finally:
        writer.transport.abort()


async def connect(
    host: str, port: int | None, *, tls: ssl.SSLContext | None = None, name: str | None = None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the address of a host that accepts first, as browsers and Go do.

    `name` is what TLS asks for, that of the host where it is None; "" asks for none.
    """
    connected = await start_connection(await address_infos(host, port), happy_eyeballs_delay=NEXT_ADDRESS_S)
    loop = asyncio.get_running_loop()
    with ExitStack() as undo:
        undo.callback(connected.close)
        reader = asyncio.StreamReader(limit=LINE_BYTES, loop=loop)
        protocol = _Protocol(reader, loop=loop)
        undo.callback(protocol.abort)
        transport, _ = await loop.create_connection(
            lambda: protocol,
            sock=connected,
            ssl=tls,
            server_hostname=(host if name is None else name) if tls else None,
        )
        undo.pop_all()
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


class _Protocol(asyncio.StreamReaderProtocol):
    """Can end a connection that is given up when the handshake of TLS is just over: asyncio waits for the server."""

    made: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self.made = transport
        super().connection_made(transport)

    def abort(self) -> None:
        if self.made is not None:
            self.made.abort()


def has_chosen_http2(writer: asyncio.StreamWriter) -> bool:
    """Return whether the server chose HTTP/2 in the handshake of TLS."""
    session = writer.get_extra_info("ssl_object")
    return session is not None and session.selected_alpn_protocol() == "h2"


@cache
def context(*, verify: bool) -> ssl.SSLContext:
    """Return the TLS context; like Traefik's client it offers HTTP/2 first."""
    made = ssl.create_default_context()
    if not verify:
        made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    made.set_alpn_protocols(["h2", "http/1.1"])
    return made
