"""Host names -> addresses, beside the event loop.

Where no name server answers, a look-up takes ten seconds and more. uvloop's own are made in four threads of libuv's: as
many of those names would keep every other name waiting, and the end of the process waits for them.
"""

import socket

from aiohttp.abc import AbstractResolver, ResolveResult

from provider.threads import in_thread


async def look_up(host: str, port: int | None) -> tuple[str, ...]:
    """Return every address of a host, each once. Raises OSError or UnicodeError where there is none."""
    found = await in_thread(lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM), name="names")
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


class Resolver(AbstractResolver):
    """Looks names up for aiohttp; cancelled, it leaves a look-up to itself."""

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
