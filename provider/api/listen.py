"""Listening sockets: HOST:PORT with or without TLS, and unix:PATH, with a bound on their connections."""

import asyncio
import errno
import os
import socket
import ssl
from functools import partial
from pathlib import Path

import structlog
from aiohttp import web

from provider.api.connections import HEAD_S, LOOK_EVERY_S, PROVIDER_MOST, BoundedConnection, Connections
from provider.model import addresses
from provider.model.addresses import split_address
from provider.model.errors import ListenError
from provider.runtime.log_limit import LogLimit

log = structlog.get_logger("bluegreen")

UNIX = "unix:"
BACKLOG = 512
AT_ONCE = 16
"""Maximum number of connections accepted before everything else has its turn."""
PAUSE_S = 0.1
LOOK = -1
NOT_HERE = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})
"""A machine without IPv6 still has names and wildcards of it."""


def is_local(address: str) -> bool:
    """Return whether an address is reachable from this machine only. Raises AddressError."""
    return address.startswith(UNIX) or addresses.is_loopback(split_address(address)[0])


class BoundedSite(web.BaseSite):
    """Accepts the connections to one address, and hands them to the server of `runner`, which also closes it.

    It accepts them itself: the event loop's server accepts as many as there are file descriptors, and does not show
    those in a TLS handshake.
    """

    def __init__(
        self, runner: web.AppRunner, address: str, tls: ssl.SSLContext | None, *, name: str, most: int
    ) -> None:
        super().__init__(runner)
        assert runner.server is not None, "the runner is not set up"
        self.connections = Connections(runner.server, name, most)
        self._address = address
        self._tls = tls if not address.startswith(UNIX) else None
        self._sockets: list[socket.socket] = []
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._no_files = LogLimit()

    @property
    def name(self) -> str:
        """The address."""
        return self._address

    @property
    def port(self) -> int:
        """The port of the first address there is."""
        return int(self._sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Listen from now on. Raises OSError, UnicodeError for what cannot be a host's name, and AddressError."""
        is_unix = self._address.startswith(UNIX)
        self._sockets = [_bound(Path(self._address.removeprefix(UNIX)))] if is_unix else await _found(self._address)
        await super().start()
        for one in self._sockets:
            one.setblocking(False)  # noqa: FBT003
            one.listen(BACKLOG)
            self._take_from(one)
        self._look()

    async def stop(self) -> None:
        """Accept no more connections; open ones stay."""
        loop = asyncio.get_running_loop()
        for timer in self._timers.values():
            timer.cancel()
        for one in self._sockets:
            loop.remove_reader(one.fileno())
            one.close()
        handshakes = tuple(self.connections.handshakes.values())
        for task in handshakes:
            task.cancel()
        await asyncio.gather(*handshakes, return_exceptions=True)
        await super().stop()

    def _take_from(self, listener: socket.socket) -> None:
        asyncio.get_running_loop().add_reader(listener.fileno(), self._take, listener)

    def _take(self, listener: socket.socket) -> None:
        """Accept the waiting connections, a few at a time."""
        for _ in range(AT_ONCE):
            try:
                peer, _ = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as failure:
                self._pause(listener, failure)
                return
            if len(self.connections) >= self.connections.most and not self.connections.make_room():
                self.connections.refused()
                peer.close()
                continue
            peer.setblocking(False)  # noqa: FBT003
            one = self.connections.make()
            task = asyncio.get_running_loop().create_task(self._shake_hands(one, peer), name="handshake")
            self.connections.handshakes[one] = task
            task.add_done_callback(partial(self._handshake_over, one, peer))

    def _handshake_over(self, one: BoundedConnection, peer: socket.socket, task: "asyncio.Task[None]") -> None:
        self.connections.handshakes.pop(one, None)
        if task.cancelled():
            peer.close()  # it may never have begun

    async def _shake_hands(self, one: BoundedConnection, peer: socket.socket) -> None:
        limits = {"ssl_handshake_timeout": HEAD_S, "ssl_shutdown_timeout": HEAD_S} if self._tls is not None else {}
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(2 * HEAD_S):
                await loop.connect_accepted_socket(lambda: one, peer, ssl=self._tls, **limits)
        except (OSError, TimeoutError):
            return  # it went away, was too slow, or has no TLS or certificate

    def _pause(self, listener: socket.socket, failure: OSError) -> None:
        """Accept nothing for a moment, and make room: most likely no file descriptors are left."""
        self.connections.make_room()
        if (left_out := self._no_files.skipped()) is not None:
            log.warning(
                "no connection can be accepted for a moment; LimitNOFILE or ulimit -n allows more open files",
                address=self._address,
                cause=failure.strerror,
                before=left_out,
            )
        loop, number = asyncio.get_running_loop(), listener.fileno()
        loop.remove_reader(number)
        self._timers[number] = loop.call_later(PAUSE_S, self._take_from, listener)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        self.connections.look(loop.time())
        self._timers[LOOK] = loop.call_later(LOOK_EVERY_S, self._look)


async def listen(
    runner: web.AppRunner,
    address: str,
    tls: ssl.SSLContext | None = None,
    *,
    name: str = "listener",
    most: int = PROVIDER_MOST,
) -> BoundedSite:
    """Listen on HOST:PORT, with TLS if given, or on unix:PATH, until the runner is cleaned up.

    `most` is the maximum number of connections, `name` is for the log. Raises ListenError and AddressError.
    """
    site = BoundedSite(runner, address, tls, name=name, most=most)
    try:
        await site.start()
    except (OSError, UnicodeError) as failure:
        is_taken = isinstance(failure, OSError) and failure.errno == errno.EADDRINUSE
        fix = "stop what listens there or name another address" if is_taken else "name another address"
        raise ListenError(
            f"cannot listen on {address}: {_cause(failure)}; {fix} (--listen, --admin-listen)"
        ) from failure
    return site


async def _found(address: str) -> list[socket.socket]:
    """Bind every address that a host has; an empty one is every address of this machine."""
    host, port = split_address(address)
    places = await asyncio.get_running_loop().getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    found: list[socket.socket] = []
    failure: OSError | None = None
    for family, _, protocol, _, place in dict.fromkeys(places):
        try:
            found.append(_bound_tcp(family, protocol, place))
        except OSError as error:
            if error.errno not in NOT_HERE:
                for one in found:
                    one.close()
                raise
            failure = error
    if not found:
        raise failure or OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    return found


def _cause(failure: OSError | UnicodeError) -> str:
    """Return the cause without the event loop's own text, which names the address a second time."""
    number = failure.errno if isinstance(failure, OSError) else None
    return os.strerror(number) if number and number > 0 else str(failure)


def _bound_tcp(family: int, protocol: int, place: tuple[object, ...]) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(place)
    except BaseException:
        listener.close()
        raise
    return listener


def _bound(path: Path) -> socket.socket:
    """Bind PATH for its owner and group. The socket of a killed daemon is replaced, a live one is not."""
    listener = socket.socket(socket.AF_UNIX)
    try:
        if path.is_socket() and _left_behind(path):
            path.unlink()
        listener.bind(str(path))
        path.chmod(0o660)  # before it listens, so nobody else has connected
    except BaseException:
        listener.close()
        raise
    return listener


def _left_behind(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as visitor:
        visitor.settimeout(0)
        return visitor.connect_ex(str(path)) == errno.ECONNREFUSED
