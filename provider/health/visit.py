"""One check of one server: a connection, for mode http a request on it, and what came of it in words.

Every check opens a connection of its own. A kept-alive one goes on answering after the server has stopped accepting,
may be closed by the server at the moment it is used, and keeps a file open for every server. The requests are written
on asyncio's streams, which make 10,000 such checks a second where aiohttp's client makes 4,000 (uvloop, one core): a
check needs little of HTTP. A server that speaks h2c is only connected to, since we speak HTTP/1.1.
"""

import asyncio
import errno
import functools
import ipaddress
import os
import re
import socket
import ssl
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple, Self
from urllib.parse import quote, urldefrag, urljoin, urlsplit

from provider.model import HealthCheck, Probe, ProbeMode

ANSWER_BYTES = 64 * 1024
"""So much of a head and of a body is read."""
MAX_REDIRECTS = 10
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
    """Where the connections of a probe go, and what its requests carry; worked out once.

    `literal` is whether the host is an address, `name` the host of the Host header, which TLS asks for as well.
    """

    host: str
    port: int
    literal: bool
    http: bool
    tls: ssl.SSLContext | None
    name: str
    path: str
    fields: str

    @classmethod
    def of(cls, probe: Probe) -> Self:
        """Join the server's URL with what the check says otherwise; the check's own headers win."""
        check, url = probe.check, urlsplit(probe.key.url)
        if not url.hostname:
            raise ValueError(f"{probe.key.url} names no host")
        scheme = check.scheme or url.scheme
        http = check.mode is ProbeMode.HTTP and scheme != "h2c"
        usual_port = 443 if scheme == "https" else 80
        port = check.port or url.port or usual_port
        host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
        fields = {
            "host": ("Host", probe.host or (host if port == usual_port else f"{host}:{port}")),
            "user-agent": ("User-Agent", "bluegreen"),
            "accept": ("Accept", "*/*"),
            "connection": ("Connection", "close"),
        }
        fields |= {name.lower(): (name, value) for name, value in check.headers}
        return cls(
            host=url.hostname,
            port=port,
            literal=_is_address(url.hostname),
            http=http,
            tls=_tls(verify=not check.insecure_skip_verify) if http and scheme == "https" else None,
            name=urlsplit(f"//{fields['host'][1]}").hostname or url.hostname,
            path=_origin_form(check.path),
            fields="".join(f"{name}: {value}\r\n" for name, value in fields.values()),
        )


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


@functools.cache
def _tls(*, verify: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _origin_form(path: str) -> str:
    """Write a path, perhaps with a query, as a request line carries it."""
    quoted = quote(urldefrag(path).url, safe="/%?&=:@!$'()*+,;~[]")
    return quoted if quoted.startswith("/") else f"/{quoted}"


async def visit(target: Target, check: HealthCheck) -> None:
    """Return when the server passed; raise what stood in the way."""
    if not target.http:
        _, writer = await _connect(target)
        writer.transport.abort()
        return
    method = check.method
    for _ in range(MAX_REDIRECTS + 1):
        status, location = await _exchange(target, check, method)
        if not (check.follow_redirects and location and status in {301, 302, 303, 307, 308}):
            if not _wanted(check, status):
                raise _Failed(f"{status}, wanted {check.status or '200-399'}")
            return
        target = replace(target, path=_redirected(target, location))
        if status <= 303 and method != "HEAD":
            method = "GET"
    raise _Failed(f"more than {MAX_REDIRECTS} redirects, the last to {location}")


def _wanted(check: HealthCheck, status: int) -> bool:
    return status == check.status if check.status else 200 <= status < 400


def _redirected(target: Target, location: str) -> str:
    """Return the path to ask for next, of the same server: what another one answers proves nothing of this one (P1)."""
    try:
        url = urlsplit(urljoin(f"http://{target.name}{target.path}", location))
    except ValueError:
        raise _Failed(f"redirected to {location[:80]!r}, which is no URL") from None
    if url.hostname not in {target.name, target.host}:
        raise _Failed(f"redirected to {url.hostname}, another server")
    return _origin_form(f"{url.path}?{url.query}" if url.query else url.path)


async def _exchange(target: Target, check: HealthCheck, method: str) -> tuple[int, str | None]:
    """Send one request on a connection of its own; return the status and where the answer redirects to."""
    reader, writer = await _connect(target)
    try:
        length = "" if method in {"GET", "HEAD"} else "Content-Length: 0\r\n"
        writer.write(f"{method} {target.path} HTTP/1.1\r\n{target.fields}{length}\r\n".encode())
        status, fields = await _read_head(reader)
        if _wanted(check, status) and method != "HEAD" and status not in {204, 304}:
            await _read_body(reader, fields)
        return status, fields.get("location")
    finally:
        writer.transport.abort()


async def _read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    """Return the status and the fields, names in lower case, of the first answer that is not an interim one."""
    left = ANSWER_BYTES
    while left > 0:
        try:
            line = await reader.readuntil(b"\n")
        except asyncio.IncompleteReadError as ended:
            line = ended.partial
        if not line:
            raise _Failed("connection closed without an answer")
        found = re.match(rb"HTTP/1\.[01] (\d{3})\b", line)
        if not found:
            raise _Failed(f"not HTTP: {line[:40].decode('ascii', 'backslashreplace').strip()!r}")
        left -= len(line)
        status, fields = int(found[1]), dict[str, str]()
        while left > 0 and (line := (await reader.readuntil(b"\n")).strip()):
            left -= len(line)
            name, _, value = line.decode("latin-1").partition(":")
            fields[name.lower()] = value.strip()
        if left > 0 and not 100 <= status < 200:
            return status, fields
    raise _Failed(f"not HTTP: a head of more than {ANSWER_BYTES // 1024} KiB")


async def _read_body(reader: asyncio.StreamReader, fields: dict[str, str]) -> None:
    """Read the body as the fields frame it, no further than ANSWER_BYTES."""
    left = ANSWER_BYTES
    if "chunked" in fields.get("transfer-encoding", "").lower():
        while size := _length((await reader.readuntil(b"\n")).partition(b";")[0], 16):
            if size >= left:
                await reader.readexactly(left)
                break
            await reader.readexactly(size + 2)
            left -= size
    elif "content-length" in fields:
        await reader.readexactly(min(_length(fields["content-length"].encode(), 10), left))
    else:
        while left > 0 and (data := await reader.read(left)):
            left -= len(data)


def _length(text: bytes, base: int) -> int:
    try:
        length = int(text, base)
    except ValueError:
        length = -1
    if length < 0:
        raise _Failed(f"not HTTP: a body of length {text[:20].decode('ascii', 'backslashreplace').strip()!r}")
    return length


async def _connect(target: Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the first address of the host that accepts; a name is resolved anew every time."""
    refusal: OSError | None = None
    for address in [target.host] if target.literal else await _resolve(target.host):
        try:
            name = target.name if target.tls else None
            return await asyncio.open_connection(
                address, target.port, ssl=target.tls, server_hostname=name, limit=ANSWER_BYTES
            )
        except ssl.SSLError:
            raise
        except OSError as error:
            refusal = error
    raise refusal or _Failed(f"name not resolved: {target.host}")


async def _resolve(host: str) -> list[str]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError):
        raise _Failed(f"name not resolved: {host}") from None
    return [str(address[0]) for *_, address in found]


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


def explain(error: Exception, check: HealthCheck, *, late_s: float) -> Finding | None:
    """Tell what stopped a check: the server (a fail), or this machine (an error). None: nothing known, so a bug.

    `late_s` is how long after its deadline the check came to see what happened.
    """
    match error:
        case _Failed():
            return Finding(Result.FAIL, str(error))
        case TimeoutError(errno=None):
            after = _duration(check.timeout_s)
            if late_s > check.timeout_s * TOLERABLE_DELAY:
                return Finding(Result.ERROR, f"not checked: this daemon was too busy to see an answer within {after}")
            return Finding(Result.FAIL, f"timed out after {after}")
        case ssl.SSLCertVerificationError(verify_message=reason):
            return Finding(Result.FAIL, f"certificate not trusted: {reason[:1].lower()}{reason[1:].rstrip('.')}")
        case ssl.SSLError(reason=reason):
            return Finding(Result.FAIL, f"TLS failed: {(reason or str(error)).replace('_', ' ').lower()}")
        case OSError(errno=int(number)) if number in _OURS:
            return Finding(Result.ERROR, f"not checked: {_OURS[number]}")
        case OSError(errno=int(number)):
            return Finding(Result.FAIL, _THEIRS.get(number) or os.strerror(number).lower())
        case ConnectionError():
            return Finding(Result.FAIL, "connection reset")
        case asyncio.LimitOverrunError():
            return Finding(Result.FAIL, f"not HTTP: a line of more than {ANSWER_BYTES // 1024} KiB")
        case asyncio.IncompleteReadError():
            return Finding(Result.FAIL, "answer cut short")
        case _:
            return None


def _duration(seconds: float) -> str:
    """Write a duration as Go does."""
    if seconds < 1:
        return f"{seconds * 1000:g}ms"
    minutes, rest = divmod(seconds, 60)
    return (f"{minutes:.0f}m" if minutes else "") + f"{rest:g}s"
