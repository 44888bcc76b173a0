"""The result of one check, and the cause of a failure, in words."""

import errno
import os
import re
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from yarl import URL

from provider.checks.http1 import BadAnswer, CutShort, NoAnswer
from provider.model import Probe
from provider.model.durations import written
from provider.model.observed import Result
from provider.model.text import one_line, struck
from provider.runtime.http import answer_fault, root

ANSWER_BYTES = 64 * 1024
"""The maximum that is read of an answer."""
CAUSE_CHARACTERS = 300
_ESCAPE = re.compile(r"\\x..|\\.", re.DOTALL)
TOLERABLE_DELAY = 0.25
"""The part of its timeout by which a check may notice its deadline late before a timeout is our own fault."""


class CheckResult(NamedTuple):
    """The result of one check; `cause` says why it is not a pass."""

    result: Result
    cause: str | None = None


class CheckFailed(Exception):  # noqa: N818  the state of the server, not an error of ours
    """The server did not pass; the text is the cause."""


@dataclass(slots=True)
class Seen:
    """What a check has seen when its time is over; None where that is nothing to speak of."""

    words: str | None = None


Check: TypeAlias = Callable[[Seen], Awaitable[None]]
"""Checks a server once: returns when it has passed, raises what stopped it, CheckFailed for a wrong answer."""


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


def check_fault(error: Exception, probe: Probe, *, late_s: float, seen: str | None = None) -> CheckResult | None:
    """Return what stopped a check, as `request_fault` does; without the values of its headers and without what it sent.

    `seen` is what had come by then, for the cause of a timeout.
    """
    found = request_fault(error, server=probe.key.url, timeout_s=probe.check.timeout_s, late_s=late_s)
    if found is None:
        return None
    cause = found.cause or ""
    if seen and isinstance(error, TimeoutError) and found.result is Result.FAIL:
        cause = one_line(f"{cause}: {seen}", CAUSE_CHARACTERS)
    sent = [("send", part) for part in _ESCAPE.split(probe.check.send or "")]
    return CheckResult(found.result, struck(cause, (*probe.check.headers, *sent)) or None)


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
