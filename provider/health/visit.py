"""One check of one server: a request for mode http, else a connection, and what came of it in words.

Every check opens a connection of its own. A kept-alive one costs half as much, but goes on answering after the server
has stopped accepting, holds a worker of a server that has few, and keeps a file open for every server. A server that
speaks h2c is only connected to, since aiohttp speaks HTTP/1.1.
"""

import asyncio
import errno
import os
import socket
import ssl
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Self
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from provider.durations import written
from provider.model import HealthCheck, Probe, ProbeMode
from provider.names import Resolver, look_up
from provider.text import one_line, struck

ANSWER_BYTES = 64 * 1024
"""So much of a body is read, and so long may a field of the head be."""
MAX_REDIRECTS = 10
CAUSE_CHARACTERS = 300
TOLERABLE_DELAY = 0.25
"""The part of its timeout by which a check may notice its deadline late before a timeout is our own fault."""


class Result(StrEnum):
    """What one check found. An error is ours (no file descriptor, a bug) and says nothing about the server (P2)."""

    PASS = "pass"  # noqa: S105  no password
    FAIL = "fail"
    ERROR = "error"


class Finding(NamedTuple):
    """The result of one check; `cause` says in words for people why it is not a pass."""

    result: Result
    cause: str | None = None


class _Failed(Exception):  # noqa: N818  the state of the server, not an error of ours
    """The server did not pass; the text is the cause."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests to a server go, and what they carry beside the usual; worked out once.

    `http` is False for h2c. `name` is the host of the Host header, which TLS asks for as well.
    """

    url: URL
    http: bool
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
            http=scheme != "h2c",
            name=urlsplit(f"//{carried['Host']}").hostname or url.host,
            headers=carried,
        )


def open_session() -> aiohttp.ClientSession:
    """Return what requests are made with; it depends on nothing but the checks, and keeps nothing between them."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, force_close=True, use_dns_cache=False, resolver=Resolver()),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(),
        headers={"User-Agent": "bluegreen", "Accept-Encoding": "identity", "Connection": "close"},
        auto_decompress=False,
        max_line_size=ANSWER_BYTES,
        max_field_size=ANSWER_BYTES,
        middlewares=[_once],
    )


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Hide the kind of a loss from aiohttp, which would ask again and so hide the loss from us."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectionError as error:
        raise aiohttp.ClientConnectionError from error


def ask(
    session: aiohttp.ClientSession, target: Target, method: str, url: URL, *, verify: bool = True
) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
    """Return one request, made when entered. `verify` wants a certificate that this machine trusts."""
    return session.request(
        method, url, headers=target.headers, server_hostname=target.name, ssl=verify, allow_redirects=False
    )


async def visit(session: aiohttp.ClientSession, target: Target, check: HealthCheck) -> None:
    """Return when the server passed; raise what stood in the way."""
    if check.mode is not ProbeMode.HTTP or not target.http:
        await _connect(target.url.host or "", target.url.port)
        return
    url, method = target.url, check.method
    for _ in range(MAX_REDIRECTS + 1):
        async with ask(session, target, method, url, verify=not check.insecure_skip_verify) as answer:
            location = answer.headers.get("Location") if answer.status in {301, 302, 303, 307, 308} else None
            if not (check.follow_redirects and location):
                await _judge(answer, check)
                return
        url = _redirected(target, url, location)
        if answer.status <= 303 and method != "HEAD":
            method = "GET"
    raise _Failed(f"more than {MAX_REDIRECTS} redirects, the last to {url.raw_path_qs}")


async def _connect(host: str, port: int | None) -> None:
    """Connect to the first address of the host that accepts."""
    *others, last = (host,) if ":" in host else await look_up(host, port)  # an IPv6 address would lose its zone
    for address in others:
        with suppress(OSError):  # the refusal of the last one tells
            return await _open(address, port)
    return await _open(last, port)


async def _open(address: str, port: int | None) -> None:
    _, writer = await asyncio.open_connection(address, port)
    writer.transport.abort()


async def _judge(answer: aiohttp.ClientResponse, check: HealthCheck) -> None:
    """Hold the status against what is wanted, then read the body."""
    if not (answer.status == check.status if check.status else 200 <= answer.status < 400):
        raise _Failed(f"{answer.status}, wanted {check.status or '200-399'}")
    left = ANSWER_BYTES
    while left > 0 and (data := await answer.content.readany()):
        left -= len(data)


def _redirected(target: Target, here: URL, location: str) -> URL:
    """Return the URL to ask for next, of the same server: what another one answers proves nothing of this one (P1)."""
    try:
        place = here.join(URL(location))
    except ValueError:
        raise _Failed(f"redirected to {location[:80]!r}, which is no URL") from None
    if place.host not in {target.name, here.host}:
        raise _Failed(f"redirected to {place.host or place}, another server")
    return here.origin().join(place.relative())


# --- causes -----------------------------------------------------------------------------------------------------------

_OURS = {
    errno.EMFILE: "this daemon may not open more files (raise its limit, ulimit -n)",
    errno.ENFILE: "this machine may not open more files (raise fs.file-max)",
    errno.ENOBUFS: "this machine is out of memory for connections",
    errno.ENOMEM: "this machine is out of memory for connections",
    errno.EADDRNOTAVAIL: "this machine has no local address or port for the connection",
    errno.EPERM: "a firewall of this machine forbids the connection",
    errno.EACCES: "a firewall of this machine forbids the connection",
}
_THEIRS = {
    errno.ECONNRESET: "connection reset",
    errno.ECONNABORTED: "connection reset",
    errno.EPIPE: "connection reset",
    errno.ENETUNREACH: "no route to network",
}
_KINDS = {
    ConnectionError: "connection reset",
    OSError: "no address of the host accepts a connection",
}


def explain(error: Exception, probe: Probe, *, late_s: float) -> Finding | None:
    """Tell what stopped a check, as `explain_request` does of any request; without the check's headers in it."""
    found = explain_request(error, server=probe.key.url, timeout_s=probe.check.timeout_s, late_s=late_s)
    return found and Finding(found.result, struck(found.cause or "", probe.check.headers) or None)


def root(error: Exception) -> Exception:
    """Return what lies beneath the connection errors that aiohttp wraps around it."""
    while isinstance(error, aiohttp.ClientConnectionError) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    return error


def answer_fault(error: Exception) -> str | None:
    """Say what is wrong with an answer as TLS or as HTTP, or with its end; None where nothing of that is."""
    match error:
        case ssl.SSLCertVerificationError(verify_message=reason):
            return f"certificate not trusted: {reason[:1].lower()}{reason[1:].rstrip('.')}"
        case ssl.SSLError(reason=reason):
            return f"TLS failed: {(reason or str(error)).replace('_', ' ').lower()}"
        case aiohttp.ClientResponseError(message=message):
            return f"not HTTP: {' '.join(message.split())[:100].rstrip(' ^')}"
        case aiohttp.ServerDisconnectedError():
            return "connection closed without an answer"
        case aiohttp.ClientPayloadError():
            return "answer cut short"
        case _:
            return None


def explain_request(error: Exception, *, server: str, timeout_s: float, late_s: float) -> Finding | None:
    """Tell what stopped a request: the server (a fail), or this machine (an error). None: nothing known, so a bug.

    `server` is its URL. `late_s` is how long after its deadline the request came to see what happened.
    """
    error = root(error)
    cause: str | None
    match error:
        case TimeoutError(errno=None):
            after = written(timeout_s)
            if late_s > timeout_s * TOLERABLE_DELAY:
                return Finding(Result.ERROR, f"not checked: this daemon was too busy to see an answer within {after}")
            cause = f"timed out after {after}"
        case socket.gaierror() | UnicodeError() | aiohttp.InvalidURL():
            cause = f"name not resolved: {URL(server).host}"
        case ssl.SSLError():  # which is an OSError as well
            cause = answer_fault(error)
        case OSError(errno=int(number)) if number in _OURS:
            return Finding(Result.ERROR, f"not checked: {_OURS[number]}")
        case OSError(errno=int(number)):
            cause = _THEIRS.get(number) or os.strerror(number).lower()
        case _Failed():
            cause = str(error)
        case _:
            lost = next((words for kind, words in _KINDS.items() if isinstance(error, kind)), None)
            cause = answer_fault(error) or lost
    return Finding(Result.FAIL, one_line(cause, CAUSE_CHARACTERS)) if cause else None
