"""The connections of one listener, and the bounds of each: descriptors, memory, time and log lines.

aiohttp bounds the lines of a head and their number; the other bounds are here. A listener has a maximum number of
connections. At that number the one that has been silent longest is closed for a new one, so silent connections keep
nobody out; a request that is being answered is never cut off for another.
"""

import asyncio
import resource
import traceback
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, InvalidHeader, LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader

from provider.api.problems import PROBLEM_TYPE, problem, problem_body
from provider.model.problems import ProblemCode
from provider.runtime.log_limit import LogLimit

log = structlog.get_logger("bluegreen")

FILES_MOST = 65_536
"""The soft limit of open files is raised to this, if the hard one allows it."""
PROVIDER_MOST, PROVIDER_SHARE = 1024, 4
ADMIN_MOST, ADMIN_SHARE = 256, 8
"""Maximum number of connections of a listener: the first, or the open files divided by the second, if that is less."""

HEAD_S = 10.0
"""Limit for the head of a request, for a handshake, and for the silence of a new connection."""
SLOW_S = 0.5
HEAD_BYTES = 32 * 1024
LINE_BYTES = 8190
HEADERS_MOST = 100
AHEAD_BYTES = 128 * 1024
"""Maximum size of what is sent ahead of the answer, beside the body: further requests."""
IDLE_S = 600.0
"""How long a connection is kept between two requests. Traefik closes its own after 90 s."""
SEND_S = 30.0
"""How long an answer waits for a client that reads none of it."""
STALLED_S, STALLED_MOST = 2.0, 64
"""Maximum number of answers that wait longer than this for their readers; the longest are given up."""
READ_BYTES = 16 * 1024
LINGER_S = 2.0
LOOK_EVERY_S = 1.0

_LIMITS: Mapping[str, Any] = MappingProxyType(
    {
        "access_log": None,
        "keepalive_timeout": IDLE_S,
        "max_line_size": LINE_BYTES,
        "max_field_size": LINE_BYTES,
        "max_headers": HEADERS_MOST,
        "read_bufsize": READ_BYTES,
        "lingering_time": LINGER_S,
        "auto_decompress": False,
    }
)


def raise_file_limit() -> int:
    """Raise the soft limit of open files to the hard one, FILES_MOST at most; return what it is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_MOST if hard == resource.RLIM_INFINITY else min(hard, FILES_MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError) as failure:  # a sandbox may not let us
            log.warning("the limit of open files could not be raised", now=soft, wanted=wanted, cause=str(failure))
            return soft
        log.info("limit of open files raised", before=soft, now=wanted)
    return max(soft, wanted)


def provider_connections(files: int) -> int:
    """Return the maximum number of connections of the provider listener, for this many open files."""
    return max(1, min(PROVIDER_MOST, files // PROVIDER_SHARE))


def admin_connections(files: int) -> int:
    """Return the maximum number of connections of the admin listener, which has them for itself."""
    return max(1, min(ADMIN_MOST, files // ADMIN_SHARE))


class Connections:
    """All connections of one listener.

    They are in a TLS handshake, silent (no whole request yet), idle (between two requests), or busy (being answered),
    each in the order in which they became so.
    """

    def __init__(self, server: web.Server, name: str, most: int) -> None:
        self.server, self.name, self.most = server, name, most
        self.handshakes: dict[BoundedConnection, asyncio.Task[None]] = {}
        self.silent: dict[BoundedConnection, None] = {}
        self.idle: dict[BoundedConnection, None] = {}
        self.busy: dict[BoundedConnection, None] = {}
        self._malformed, self._refused, self._failed = LogLimit(), LogLimit(), LogLimit()

    def __len__(self) -> int:
        return len(self.handshakes) + len(self.silent) + len(self.idle) + len(self.busy)

    def make(self) -> "BoundedConnection":
        """Make the protocol of a new connection."""
        return BoundedConnection(self)

    def make_room(self) -> bool:
        """Close the connection that has been silent longest, first of those that never sent a request."""
        for one, handshake in self.handshakes.items():
            if one.is_slow:
                handshake.cancel()
                del self.handshakes[one]
                return True
            break
        for waiting in (self.silent, self.idle):
            for one in waiting:
                one.cut()
                return True
        return False

    def look(self, now_s: float) -> None:
        """Close the connections that timed out, and the stalled ones beyond STALLED_MOST."""
        for one in (*self.silent, *self.idle):
            one.look(now_s)
        stalled = sorted(
            (one for one in self.busy if one.stalled_s(now_s) >= STALLED_S), key=lambda one: -one.stalled_s(now_s)
        )
        for number, one in enumerate(stalled):
            if number < len(stalled) - STALLED_MOST or one.stalled_s(now_s) >= SEND_S:
                one.cut()

    def move(self, one: "BoundedConnection", to: "dict[BoundedConnection, None] | None") -> None:
        """Move a connection to another state; None when it is closed."""
        self.handshakes.pop(one, None)
        for here in (self.silent, self.idle, self.busy):
            here.pop(one, None)
        if to is not None:
            to[one] = None

    def refused(self) -> None:
        """Log that a connection was refused, as all others are being answered."""
        if (left_out := self._refused.skipped()) is not None:
            log.warning(
                "connections refused, as many are being answered", listener=self.name, most=self.most, before=left_out
            )

    def malformed(self, peer: str | None, rule: str) -> None:
        """Log a malformed request without a byte of it: it may hold a token."""
        if (left_out := self._malformed.skipped()) is not None:
            log.warning("malformed request refused", listener=self.name, peer=peer, rule=rule, before=left_out)

    def failed(self, error: BaseException | None) -> None:
        """Log a fault of this program: where, and not with what values."""
        if (left_out := self._failed.skipped()) is not None:
            frames = traceback.extract_tb(error.__traceback__)[-3:] if error is not None else ()
            where = " > ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames)
            fault = type(error).__name__ if error is not None else "no answer"
            log.error(
                "a request failed by a fault of this program",
                listener=self.name,
                fault=fault,
                where=where,
                before=left_out,
            )


class BoundedConnection(web.RequestHandler):
    """One connection, served by aiohttp within our bounds."""

    __slots__ = ("_ahead", "_all", "_body", "_since_s", "_stalled_since_s")

    def __init__(self, connections: Connections) -> None:
        super().__init__(connections.server, loop=asyncio.get_running_loop(), **_LIMITS)
        self._all = connections
        self._body: StreamReader = EMPTY_PAYLOAD
        self._ahead = 0
        self._since_s: float | None = self._loop.time()
        self._stalled_since_s: float | None = None

    @property
    def is_slow(self) -> bool:
        """Whether it has been silent for longer than a client needs to begin."""
        return self._since_s is not None and self._loop.time() >= self._since_s + SLOW_S

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin: the first request is awaited from now on."""
        super().connection_made(transport)
        self._since_s = self._loop.time()
        self._all.move(self, self._all.silent)

    def connection_lost(self, exc: BaseException | None) -> None:
        """End."""
        self._all.move(self, None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes; they are a body's, or those of a head, which begins or goes on."""
        known, is_body = self._request_count, not self._body.is_eof()
        super().data_received(data)
        if self._request_count > known and self._messages:
            self._body = self._messages[-1][1]
            self._since_s = None
            self._all.move(self, self._all.busy)
        elif not is_body and self._since_s is None and self not in self._all.busy:
            self._since_s = self._loop.time()
        if not is_body:
            self._ahead += len(data)
            self._check_ahead()

    def _check_ahead(self) -> None:
        if self in self._all.busy:
            if self._ahead > AHEAD_BYTES and self._body.is_eof():
                self._all.malformed(self._peer(), f"more than {AHEAD_BYTES} bytes are sent ahead of the answer")
                self.cut()
        elif self._ahead > HEAD_BYTES:
            rule = f"the head of a request has {HEAD_BYTES} bytes at most"
            self._refuse("431 Request Header Fields Too Large", problem_body(ProblemCode.HEAD_TOO_LONG, rule), rule)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Answer, and wait for the next request."""
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            if not self._messages and self in self._all.busy:
                self._ahead = 0
                self._all.move(self, self._all.idle)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  it quotes the request
    ) -> web.StreamResponse:
        """Answer a malformed request, and one whose handler failed. Raises ConnectionError if the client has gone."""
        if isinstance(exc, ConnectionError):
            raise ConnectionError("the client has gone")
        if isinstance(exc, HttpProcessingError):
            rule = _rule(exc)
            answer = problem(ProblemCode.MALFORMED, rule)
            self._all.malformed(request.remote, rule)
        elif isinstance(exc, TimeoutError) or status == 504:
            answer = problem(ProblemCode.NO_ANSWER, "there was no answer in time")
        else:
            answer = problem(ProblemCode.INTERNAL_ERROR, "a fault of this program; its log says where")
            self._all.failed(exc)
        if request.writer.output_size > 0 or self.transport is None or self.transport.is_closing():
            raise ConnectionError("the answer was begun already, or nobody waits for it")
        answer.force_close()
        return answer

    def log_exception(self, *_: Any, **kw: Any) -> None:
        """Say where aiohttp itself failed to serve a request."""
        error = kw.get("exc_info")
        self._all.failed(error if isinstance(error, BaseException) else None)

    def pause_writing(self) -> None:
        """Note since when nobody reads."""
        super().pause_writing()
        self._stalled_since_s = self._loop.time()

    def resume_writing(self) -> None:
        """Note that somebody reads."""
        super().resume_writing()
        self._stalled_since_s = None

    def stalled_s(self, now_s: float) -> float:
        """Return for how long nobody has read what is sent."""
        return now_s - self._stalled_since_s if self._stalled_since_s is not None else 0.0

    def look(self, now_s: float) -> None:
        """Close the connection where the head of a request, or the first one, is overdue."""
        if self._since_s is None or now_s < self._since_s + HEAD_S:
            return
        if self._ahead:
            rule = f"the head of a request takes {HEAD_S:g} s at most"
            self._refuse("408 Request Timeout", problem_body(ProblemCode.HEAD_TOO_SLOW, rule), rule)
        else:
            self.cut()

    def cut(self) -> None:
        """Close the connection now, whatever was not sent yet."""
        transport = self.transport
        self._all.move(self, None)
        self.force_close()
        if transport is not None:
            transport.abort()

    def _refuse(self, status: str, body: bytes, rule: str) -> None:
        """Answer a head that never came to its end, and close."""
        self._all.malformed(self._peer(), rule)
        if self.transport is not None:
            head = f"HTTP/1.1 {status}\r\nContent-Type: {PROBLEM_TYPE}\r\nContent-Length: {len(body)}\r\n"
            self.transport.write(f"{head}Connection: close\r\n\r\n".encode() + body)
        self._all.move(self, None)
        self.force_close()

    def _peer(self) -> str | None:
        name = self.peername
        return str(name[0]) if isinstance(name, tuple) else None


def _rule(error: HttpProcessingError) -> str:
    """Say what is wrong with a request in words of ours: aiohttp's quote it."""
    match error:
        case LineTooLong():
            return f"a line of the head is longer than {LINE_BYTES} bytes"
        case InvalidHeader():
            return "a header is not valid"
        case _ if "Too many headers" in error.message:
            return f"the head has more than {HEADERS_MOST} headers"
        case _:
            return "this is no request of HTTP/1.1"
