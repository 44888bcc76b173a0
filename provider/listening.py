"""Addresses to listen on: HOST:PORT with or without TLS, and unix:PATH."""

import errno
import os
import socket
import ssl
from pathlib import Path

from aiohttp import web

from provider import exposure
from provider.addresses import split_address
from provider.errors import ListenError

UNIX = "unix:"


def is_local(address: str) -> bool:
    """Tell whether an address is reached from this machine alone. Raises AddressError."""
    return address.startswith(UNIX) or exposure.is_loopback(split_address(address)[0])


async def listen(runner: web.AppRunner, address: str, tls: ssl.SSLContext | None = None) -> None:
    """Listen on HOST:PORT, there with TLS where that is given, or on unix:PATH. Raises ListenError and AddressError."""
    try:
        if address.startswith(UNIX):
            await web.SockSite(runner, _bound(Path(address.removeprefix(UNIX)))).start()
            return
        host, port = split_address(address)
        await web.TCPSite(runner, host or None, port, ssl_context=tls).start()
    except (OSError, UnicodeError) as failure:  # the latter for what cannot be a host's name
        is_taken = isinstance(failure, OSError) and failure.errno == errno.EADDRINUSE
        way_out = "stop what listens there or name another address" if is_taken else "name another address"
        raise ListenError(
            f"cannot listen on {address}: {_cause(failure)}; {way_out} (--listen, --admin-listen)"
        ) from failure


def _cause(failure: OSError | UnicodeError) -> str:
    """Say why, without the event loop's own words, which name the address a second time."""
    number = failure.errno if isinstance(failure, OSError) else None
    return os.strerror(number) if number and number > 0 else str(failure)


def _bound(path: Path) -> socket.socket:
    """Bind PATH for its owner and group. The socket of a daemon that was killed is replaced, a live one is not."""
    listener = socket.socket(socket.AF_UNIX)
    try:
        if path.is_socket() and _left_behind(path):
            path.unlink()
        listener.bind(str(path))
        path.chmod(0o660)  # before it listens, so nobody else has come in
    except BaseException:
        listener.close()
        raise
    return listener


def _left_behind(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as visitor:
        visitor.settimeout(0)
        return visitor.connect_ex(str(path)) == errno.ECONNREFUSED
