"""Notices at once that the leader's process has ended (rule 50): its lease would last for another three seconds.

Followers hold a TCP connection to it. When that ends, and connecting again is refused, nothing listens there any more,
and they revoke its lease. It is a hint: should it be wrong, the leader notices that it does not lead, as every write
compares that, and stands for election again.
"""

import asyncio
from contextlib import suppress
from urllib.parse import urlsplit

import structlog

from provider.model.errors import StoreError
from provider.store.etcd.gateway import Gateway
from provider.store.etcd.mirrored import Leading

log = structlog.get_logger("bluegreen")

PORTS = {"http": 80, "https": 443}
CONNECT_S = 1.0
AGAIN_S = 1.0
"""After a connection that could not be made, or that the leader itself has closed."""


class LeaderHint:
    """See the module. `follow` is told who leads; `run` holds the connection."""

    def __init__(self, gateway: Gateway, me: str) -> None:
        self._gateway, self._me = gateway, me
        self._leading: Leading | None = None
        self._changed = asyncio.Event()

    def follow(self, leading: Leading | None) -> None:
        """Watch another leader; None, or this replica, is not watched."""
        if leading is not None and leading.leader.id == self._me:
            leading = None
        if leading != self._leading:
            self._leading = leading
            self._changed.set()

    async def run(self) -> None:
        """Hold a connection to the leader until cancelled."""
        while True:
            self._changed.clear()
            leading = self._leading
            if leading is None:
                await self._changed.wait()
                continue
            async with asyncio.TaskGroup() as group:
                holding = group.create_task(self._hold(leading), name="hold the leader")
                await self._changed.wait()
                holding.cancel()

    async def _hold(self, leading: Leading) -> None:
        was_there = False
        while True:
            try:
                async with asyncio.timeout(CONNECT_S):
                    reader, writer = await _connect(leading.leader.address)
            except ConnectionRefusedError:
                if was_there:
                    log.info("the leader has ended: its lease is revoked", leader=leading.leader.name)
                    with suppress(StoreError):
                        await self._gateway.revoke(leading.lease)
                    return
            except (OSError, ValueError):  # no address of an admin API on TCP, or no way to it
                pass
            else:
                was_there = True
                try:
                    with suppress(OSError):
                        while await reader.read(4096):
                            pass
                finally:
                    writer.close()
                continue
            await asyncio.sleep(AGAIN_S)


async def _connect(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to a URL. Raises ValueError where it has no host."""
    parts = urlsplit(address)
    port = parts.port or PORTS.get(parts.scheme)
    if not parts.hostname or port is None:
        raise ValueError(address)
    return await asyncio.open_connection(parts.hostname, port)
