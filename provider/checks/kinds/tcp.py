"""Mode tcp: a connection; and where the file has `send` or `expect`, bytes over it.

Behind a router that passes TLS through the server is asked in TLS. Its certificate is for its clients to judge.
"""

import asyncio
import ssl
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlsplit

from provider.checks.exchange import Target, connect
from provider.checks.kinds.answered import mismatch
from provider.checks.result import ANSWER_BYTES, Check, CheckFailed, Seen
from provider.model import Probe
from provider.model.payload import payload

CLOSED_AT_ONCE_S = 0.1
"""A connection that the other side closes within this time is no pass (rule 5)."""
PIECE_BYTES = 16 * 1024
_WANTS_CERTIFICATE = frozenset({"TLSV13_ALERT_CERTIFICATE_REQUIRED", "SSLV3_ALERT_BAD_CERTIFICATE"})
"""How a server says that it wants a certificate of its client, which a check has not."""


def prepare(probe: Probe) -> Check:
    """Return the check of one server. Raises ValueError for an invalid URL, or text that is none of `payload`."""
    check, url = probe.check, Target.of(probe).url
    return _Connection(
        host=url.host or "",
        port=url.port,
        name=_server_name(probe.host) if probe.speaks_tls else None,
        send=payload(check.send or ""),
        expect=None if check.send is None and check.expect is None else payload(check.expect or ""),
        stays_s=min(CLOSED_AT_ONCE_S, check.timeout_s / 2),
    )


def _server_name(host: str | None) -> str:
    """Return the name to ask for in TLS; "" asks for none."""
    return "" if host is None or "*" in host else urlsplit(f"//{host}").hostname or ""


@dataclass(frozen=True, slots=True)
class _Connection:
    """`name` is None without TLS. `expect` is None where a connection is enough, and empty where any answer is."""

    host: str
    port: int | None
    name: str | None
    send: bytes
    expect: bytes | None
    stays_s: float

    async def __call__(self, seen: Seen) -> None:
        try:
            await self._check(seen)
        except ssl.SSLError as error:
            if self.expect is not None or error.reason not in _WANTS_CERTIFICATE:
                raise

    async def _check(self, seen: Seen) -> None:
        tls = None if self.name is None else _context()
        reader, writer = await connect(self.host, self.port, tls=tls, name=self.name)
        try:
            if self.expect is None:
                await self._stays(reader)
            else:
                writer.write(self.send)
                await _answers(reader, self.expect, seen)
        finally:
            writer.transport.abort()

    async def _stays(self, reader: asyncio.StreamReader) -> None:
        """Return when the connection stays, or brings anything.

        A connection that is closed at once proves nothing (rule 5): Docker's proxy of a published port accepts for a
        container in which nothing listens, and so do many load balancers.
        """
        try:
            async with asyncio.timeout(self.stays_s):
                data = await reader.read(1)
        except TimeoutError:
            return
        except ConnectionError:
            data = b""
        if not data:
            raise CheckFailed("connection accepted and closed at once: nothing seems to listen behind that port")


async def _answers(reader: asyncio.StreamReader, expect: bytes, seen: Seen) -> None:
    """Return when what is expected has come; anything is, where that is empty."""
    came = bytearray()
    try:
        while len(came) < ANSWER_BYTES:
            data = await reader.read(PIECE_BYTES)
            if not data:
                raise CheckFailed(f"connection closed: {mismatch(expect, came)}")
            is_new_from = max(0, len(came) - len(expect))
            came += data
            if came.find(expect, is_new_from) >= 0:
                return
    except ConnectionError:
        raise CheckFailed(f"connection reset: {mismatch(expect, came)}") from None
    except asyncio.CancelledError:
        seen.words = mismatch(expect, came)
        raise
    raise CheckFailed(f"{mismatch(expect, came)}, and no more than {ANSWER_BYTES // 1024} KiB is read")


@cache
def _context() -> ssl.SSLContext:
    """Return a context that names no protocol: what the server speaks inside TLS is unknown."""
    made = ssl.create_default_context()
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    return made
