"""Mode udp: one datagram, and the answer to it. Without bytes to send there is nothing that a server would answer."""

import asyncio
import socket
from dataclasses import dataclass

from provider.checks.exchange import Target
from provider.checks.kinds.answered import mismatch
from provider.checks.result import Check, CheckFailed, Seen
from provider.model import Probe
from provider.model.payload import payload
from provider.runtime.resolver import address_infos

DATAGRAM_BYTES = 65535
"""The maximum length of a datagram."""


def prepare(probe: Probe) -> Check:
    """Return the check of one server. Raises ValueError for an invalid URL, or text that is none of `payload`."""
    check, url = probe.check, Target.of(probe).url
    if check.send is None:
        raise ValueError("a check over UDP sends nothing")
    return _Datagram(url.host or "", url.port, payload(check.send), payload(check.expect or ""))


@dataclass(frozen=True, slots=True)
class _Datagram:
    """`expect` is empty where any answer passes."""

    host: str
    port: int | None
    send: bytes
    expect: bytes

    async def __call__(self, seen: Seen) -> None:
        loop = asyncio.get_running_loop()
        with await _connected(self.host, self.port) as sent_from:
            try:
                await loop.sock_sendall(sent_from, self.send)
                answer = await loop.sock_recv(sent_from, DATAGRAM_BYTES)
            except ConnectionRefusedError:
                raise CheckFailed("port unreachable: nothing listens on that UDP port") from None
            except asyncio.CancelledError:
                seen.words = mismatch(self.expect, b"")
                raise
        if self.expect not in answer:
            raise CheckFailed(mismatch(self.expect, answer))


async def _connected(host: str, port: int | None) -> socket.socket:
    """Return a socket that takes datagrams from the first address of a host alone, the one that Traefik sends to.

    Only an address that there is no route to is passed over, as in Go's net.Dial. Raises OSError, UnicodeError.
    """
    unreachable: OSError | None = None
    for family, *_, address in await address_infos(host, port):
        made = socket.socket(family, socket.SOCK_DGRAM)
        try:
            made.settimeout(0.0)
            made.connect(address)
        except OSError as error:
            made.close()
            unreachable = unreachable or error
        else:
            return made
    raise unreachable or socket.gaierror(socket.EAI_NONAME, "no address")
