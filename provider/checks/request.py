"""One check of one server: a request for mode http, else a connection; and the cause of a failure, in words."""

import asyncio
import errno
import os
import socket
import ssl
from typing import NamedTuple

from yarl import URL

from provider.checks.exchange import Answer, Target, connect, send_request
from provider.checks.http1 import BadAnswer, CutShort, NoAnswer
from provider.model import HealthCheck, Probe, ProbeMode
from provider.model.durations import written
from provider.model.observed import Result
from provider.model.text import one_line, struck
from provider.runtime.http import answer_fault, root

ANSWER_BYTES = 64 * 1024
"""The maximum that is read of a body."""
CLOSED_AT_ONCE_S = 0.1
"""A connection that the other side closes within this time is no pass (rule 5)."""
MAX_REDIRECTS = 10
CAUSE_CHARACTERS = 300
TOLERABLE_DELAY = 0.25
"""The part of its timeout by which a check may notice its deadline late before a timeout is our own fault."""


class CheckResult(NamedTuple):
    """The result of one check; `cause` says why it is not a pass."""

    result: Result
    cause: str | None = None


class CheckFailed(Exception):  # noqa: N818  the state of the server, not an error of ours
    """The server did not pass; the text is the cause."""


async def run_check(target: Target, check: HealthCheck) -> None:
    """Return when the server has passed; raise what stopped it, CheckFailed for a wrong answer."""
    if check.mode is not ProbeMode.HTTP:
        await _check_connection(target.url.host or "", target.url.port, min(CLOSED_AT_ONCE_S, check.timeout_s / 2))
        return
    url, method = target.url, check.method
    for _ in range(MAX_REDIRECTS + 1):
        async with send_request(target, method, url, verify=not check.insecure_skip_verify) as answer:
            location = answer.field("location") if answer.status in {301, 302, 303, 307, 308} else None
            if not (check.follow_redirects and location):
                await _check_answer(answer, check)
                return
        url = _redirected(target, url, location)
        if answer.status <= 303 and method != "HEAD":
            method = "GET"
    raise CheckFailed(f"more than {MAX_REDIRECTS} redirects, the last to {url.raw_path_qs}")


async def _check_connection(host: str, port: int | None, wait_s: float) -> None:
    """Return when a connection stays, or brings anything.

    A connection that is closed at once proves nothing (rule 5): Docker's proxy of a published port accepts for a
    container in which nothing listens, and so do many load balancers.
    """
    reader, writer = await connect(host, port)
    try:
        async with asyncio.timeout(wait_s):
            data = await reader.read(1)
    except TimeoutError:
        return
    except ConnectionError:
        data = b""
    finally:
        writer.transport.abort()
    if not data:
        raise CheckFailed("connection accepted and closed at once: nothing seems to listen behind that port")


async def _check_answer(answer: Answer, check: HealthCheck) -> None:
    """Compare the status with the expected one, then read the body."""
    if not (answer.status == check.status if check.status else 200 <= answer.status < 400):
        raise CheckFailed(f"{answer.status}, expected {check.status or '200-399'}")
    left = ANSWER_BYTES
    while left > 0 and (data := await answer.read()):
        left -= len(data)


def _redirected(target: Target, here: URL, location: str) -> URL:
    """Return the next URL, on the same server: the answer of another one proves nothing about this one (P1)."""
    try:
        place = here.join(URL(location))
    except ValueError:
        raise CheckFailed(f"redirected to {location[:80]!r}, which is no URL") from None
    if place.host not in {target.name, here.host}:
        raise CheckFailed(f"redirected to {place.host or place}, another server")
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


def check_fault(error: Exception, probe: Probe, *, late_s: float) -> CheckResult | None:
    """Return what stopped a check, as `request_fault` does; without the values of the check's headers."""
    found = request_fault(error, server=probe.key.url, timeout_s=probe.check.timeout_s, late_s=late_s)
    return found and CheckResult(found.result, struck(found.cause or "", probe.check.headers) or None)


def _answer_fault(error: Exception) -> str | None:
    match error:
        case BadAnswer():
            return f"not HTTP: {error}"
        case NoAnswer():
            return "connection closed without an answer"
        case CutShort():
            return "answer cut short"
        case _:
            return answer_fault(error)


def request_fault(error: Exception, *, server: str, timeout_s: float, late_s: float) -> CheckResult | None:
    """Return what stopped a request: the server (a fail) or this machine (an error); None for a bug.

    `server` is its URL. `late_s` is how long after its deadline the request noticed it.
    """
    error = root(error)
    cause: str | None
    match error:
        case TimeoutError(errno=None):
            after = written(timeout_s)
            if late_s > timeout_s * TOLERABLE_DELAY:
                return CheckResult(
                    Result.ERROR, f"not checked: this daemon was too busy to see an answer within {after}"
                )
            cause = f"timed out after {after}"
        case socket.gaierror() | UnicodeError():
            cause = f"name not resolved: {URL(server).host}"
        case ssl.SSLCertVerificationError():
            cause = f"{_answer_fault(error)}; {TRUST}"
        case ssl.SSLError():  # which is an OSError as well
            cause = _answer_fault(error)
        case OSError(errno=int(number)) if number in _OURS:
            return CheckResult(Result.ERROR, f"not checked: {_OURS[number]}")
        case OSError(errno=int(number)):
            cause = _THEIRS.get(number) or os.strerror(number).lower()
        case CheckFailed():
            cause = str(error)
        case _:
            lost = next((words for kind, words in _KINDS.items() if isinstance(error, kind)), None)
            cause = _answer_fault(error) or lost
    return CheckResult(Result.FAIL, one_line(cause, CAUSE_CHARACTERS)) if cause else None
