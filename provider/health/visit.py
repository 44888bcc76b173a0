"""One check of one server: a request for mode http, else a connection, and what came of it in words."""

import asyncio
import errno
import os
import socket
import ssl
from enum import StrEnum
from typing import NamedTuple

import aiohttp
from yarl import URL

from provider.durations import written
from provider.health.exchange import Answer, Target, ask, connect
from provider.health.http1 import BadAnswer, CutShort, NoAnswer
from provider.model import HealthCheck, Probe, ProbeMode
from provider.text import one_line, struck

ANSWER_BYTES = 64 * 1024
"""So much of a body is read."""
CLOSED_AT_ONCE_S = 0.1
"""A connection that the other side closes within this time is no pass (rule 5)."""
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


class Failed(Exception):  # noqa: N818  the state of the server, not an error of ours
    """The server did not pass; the text is the cause."""


async def visit(target: Target, check: HealthCheck) -> None:
    """Return when the server passed; raise what stood in the way."""
    if check.mode is not ProbeMode.HTTP:
        await _knock(target.url.host or "", target.url.port, min(CLOSED_AT_ONCE_S, check.timeout_s / 2))
        return
    url, method = target.url, check.method
    for _ in range(MAX_REDIRECTS + 1):
        async with ask(target, method, url, verify=not check.insecure_skip_verify) as answer:
            location = answer.field("location") if answer.status in {301, 302, 303, 307, 308} else None
            if not (check.follow_redirects and location):
                await _judge(answer, check)
                return
        url = _redirected(target, url, location)
        if answer.status <= 303 and method != "HEAD":
            method = "GET"
    raise Failed(f"more than {MAX_REDIRECTS} redirects, the last to {url.raw_path_qs}")


async def _knock(host: str, port: int | None, patience_s: float) -> None:
    """Return when a connection stays, or brings anything.

    One that is closed at once proves nothing (rule 5): Docker's proxy of a published port accepts for a container in
    which nobody listens, and so does many a load balancer.
    """
    reader, writer = await connect(host, port)
    try:
        async with asyncio.timeout(patience_s):
            data = await reader.read(1)
    except TimeoutError:
        return
    except ConnectionError:
        data = b""
    finally:
        writer.transport.abort()
    if not data:
        raise Failed("connection accepted and closed at once: nothing seems to listen behind that port")


async def _judge(answer: Answer, check: HealthCheck) -> None:
    """Hold the status against what is wanted, then read the body."""
    if not (answer.status == check.status if check.status else 200 <= answer.status < 400):
        raise Failed(f"{answer.status}, wanted {check.status or '200-399'}")
    left = ANSWER_BYTES
    while left > 0 and (data := await answer.read()):
        left -= len(data)


def _redirected(target: Target, here: URL, location: str) -> URL:
    """Return the URL to ask for next, of the same server: what another one answers proves nothing of this one (P1)."""
    try:
        place = here.join(URL(location))
    except ValueError:
        raise Failed(f"redirected to {location[:80]!r}, which is no URL") from None
    if place.host not in {target.name, here.host}:
        raise Failed(f"redirected to {place.host or place}, another server")
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
TRUST = (
    "write insecureSkipVerify: true where that is meant; else it must be valid for the Host, from an authority that "
    "this machine knows (or SSL_CERT_FILE names it)"
)
"""What to do about a certificate that is not trusted."""
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
        case BadAnswer():
            return f"not HTTP: {error}"
        case NoAnswer() | aiohttp.ServerDisconnectedError():
            return "connection closed without an answer"
        case CutShort() | aiohttp.ClientPayloadError():
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
        case socket.gaierror() | UnicodeError():
            cause = f"name not resolved: {URL(server).host}"
        case ssl.SSLCertVerificationError():
            cause = f"{answer_fault(error)}; {TRUST}"
        case ssl.SSLError():  # which is an OSError as well
            cause = answer_fault(error)
        case OSError(errno=int(number)) if number in _OURS:
            return Finding(Result.ERROR, f"not checked: {_OURS[number]}")
        case OSError(errno=int(number)):
            cause = _THEIRS.get(number) or os.strerror(number).lower()
        case Failed():
            cause = str(error)
        case _:
            lost = next((words for kind, words in _KINDS.items() if isinstance(error, kind)), None)
            cause = answer_fault(error) or lost
    return Finding(Result.FAIL, one_line(cause, CAUSE_CHARACTERS)) if cause else None
