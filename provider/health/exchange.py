"""One request to one server, as Traefik makes it: over HTTP/1.1, or over HTTP/2 where the server is asked for that.

Every request opens a connection of its own. A kept-alive one costs half as much, but goes on answering after the server
has stopped accepting, holds a worker of a server that has few, and keeps a file open for every server.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Self, TypeAlias
from urllib.parse import urlsplit

from aiohappyeyeballs import start_connection
from yarl import URL

from provider.health.http1 import Answer1, read_answer, request
from provider.model import Probe
from provider.names import infos

if TYPE_CHECKING:
    from provider.health.http2 import Answer2

LINE_BYTES = 256 * 1024
"""So long may a line of an answer's head be."""
NEXT_ADDRESS_S = 0.25
"""After so long the next address of a name is tried as well."""
H2C = "h2c"
DEFAULTS = (("Accept", "*/*"), ("Accept-Encoding", "identity"), ("User-Agent", "bluegreen"), ("Connection", "close"))
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})

Answer: TypeAlias = "Answer1 | Answer2"


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests to a server go, and what they carry beside the usual; worked out once.

    `name` is the host of the Host header, which TLS asks for as well. `is_h2c` speaks HTTP/2 from the first byte.
    """

    url: URL
    is_h2c: bool
    name: str | None
    headers: dict[str, str]

    @classmethod
    def of(cls, probe: Probe) -> Self:
        """Join the server's URL with what the check says otherwise."""
        check = probe.check
        return cls.at(
            probe.key.url, check.path, host=probe.host, headers=check.headers, scheme=check.scheme, port=check.port
        )

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

        Raises ValueError where the URL is none.
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
        """Return the headers of a request, the usual ones where nothing else is written."""
        written = {name.lower() for name in self.headers}
        usual = [field for field in DEFAULTS if field[0].lower() not in written]
        if method in WITH_BODY and "content-length" not in written:
            usual.append(("Content-Length", "0"))
        return [*self.headers.items(), *usual]


@asynccontextmanager
async def ask(target: Target, method: str, url: URL, *, verify: bool = True) -> AsyncIterator[Answer]:
    """Make one request, and give its answer, whose body is still to be read.

    `verify` wants a certificate that this machine trusts. Raises BadAnswer, NoAnswer, CutShort, OSError, UnicodeError.
    """
    is_tls = url.scheme == "https"
    path, fields = url.raw_path_qs, target.fields(method)
    reader, writer = await connect(
        url.host or "", url.port, tls=context(verify=verify) if is_tls else None, name=target.name
    )
    try:
        session = writer.get_extra_info("ssl_object")
        if target.is_h2c or (session is not None and session.selected_alpn_protocol() == "h2"):
            # Most servers speak HTTP/1: a start does without a library that few need.
            from provider.health.http2 import Answer2  # noqa: PLC0415

            answer = Answer2(reader, writer)
            await answer.ask("https" if is_tls else "http", method, path, fields)
            yield answer
        else:
            writer.write(request(method, path, fields))
            yield await read_answer(reader, method)
    finally:
        writer.transport.abort()


async def connect(
    host: str, port: int | None, *, tls: ssl.SSLContext | None = None, name: str | None = None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to whichever address of a host accepts first, as browsers and Go do."""
    connected = await start_connection(await infos(host, port), happy_eyeballs_delay=NEXT_ADDRESS_S)
    try:
        return await asyncio.open_connection(
            sock=connected, ssl=tls, server_hostname=(name or host) if tls else None, limit=LINE_BYTES
        )
    except BaseException:
        connected.close()
        raise


@cache
def context(*, verify: bool) -> ssl.SSLContext:
    """Return what TLS is spoken with; like Traefik's client it offers HTTP/2 first."""
    made = ssl.create_default_context()
    if not verify:
        made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    made.set_alpn_protocols(["h2", "http/1.1"])
    return made
