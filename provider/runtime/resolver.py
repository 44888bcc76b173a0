"""Host names -> addresses, beside the event loop.

Where no name server answers, a look-up takes ten seconds and more. uvloop's own look-ups run in four threads of libuv:
four such names would keep every other name waiting, and delay the end of the process.
"""

import socket

from aiohappyeyeballs import AddrInfoType
from aiohttp.abc import AbstractResolver, ResolveResult

from provider.runtime.threads import in_thread


async def address_infos(host: str, port: int | None) -> list[AddrInfoType]:
    """Return the addresses of a host to connect to. Raises OSError or UnicodeError where there is none."""
    if ":" in host or host.replace(".", "").isdecimal():  # an address needs no look-up, which costs a thread
        return _infos(host, port, socket.AI_NUMERICHOST)
    return await in_thread(lambda: _infos(host, port), name="names")


def _infos(host: str, port: int | None, flags: int = 0) -> list[AddrInfoType]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return [(family, kind, protocol, "", address) for family, kind, protocol, _, address in found]


async def look_up(host: str, port: int | None) -> tuple[str, ...]:
    """Return every address of a host, each once. Raises OSError or UnicodeError where there is none."""
    return tuple(dict.fromkeys(str(address[0]) for *_, address in await address_infos(host, port)))


class Resolver(AbstractResolver):
    """Looks names up for aiohttp; after a cancellation a look-up runs on in its thread."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a host, of one family or of any. Raises OSError where there is none."""
        flags = socket.AI_ADDRCONFIG
        found = await in_thread(
            lambda: socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=flags), name="names"
        )
        numeric = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        return [
            ResolveResult(hostname=host, host=str(address[0]), port=port, family=kind, proto=protocol, flags=numeric)
            for kind, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        """Do nothing: nothing is kept."""
