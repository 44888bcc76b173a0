"""The provider listener: the document for Traefik, metrics for Prometheus, and whether we are alive and ready.

With a provider token the document and the metrics, which name every service, require it; whether we are alive and ready
is open to everybody, as probes can seldom send a token.
"""

import asyncio
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from provider.api.access import Denied, bearer, is_elsewhere
from provider.api.problems import denied, problem
from provider.api.scrape import metrics_handler
from provider.api.tokens import Token
from provider.controller.publication import Published
from provider.controller.replica import Replica
from provider.model.problems import ProblemCode
from provider.observability.metrics import Metrics
from provider.traefik.pollers import Connection

JSON, YAML = "application/json", "application/yaml"
HELD_MOST = 512
"""Maximum number of polls that are held; more are answered at once, so that there is room for others."""
DOCUMENT = "/traefik"
GO = "Go-http-client"
"""How Traefik names itself when it polls."""
OPEN = frozenset({"/healthz", "/readyz"})
_KEEP_ALIVE = (
    (socket.TCP_KEEPIDLE, 10),
    (socket.TCP_KEEPINTVL, 5),
    (socket.TCP_KEEPCNT, 3),
    (socket.TCP_USER_TIMEOUT, 25_000),
)
"""Seconds, a count, and milliseconds; aiohttp has SO_KEEPALIVE on."""


def provider_app(
    replica: Replica,
    metrics: Metrics,
    tokens: Callable[[], tuple[Token, ...]] | None = None,
    *,
    poll_hold_s: float = 0.0,
    held_most: int = HELD_MOST,
    hosts: frozenset[str] | None = None,
) -> web.Application:
    """Build the application behind `--listen`; `tokens` returns those that are valid, at each request.

    A poll is held for `poll_hold_s` at most, and `held_most` at once; its runner must cancel the handler of a client
    that goes away. On loopback `hosts` are the names of DNS that this listener has; None where Host is not looked at.
    """
    app = web.Application(middlewares=[_guard(metrics, tokens, hosts)])
    app.router.add_get(DOCUMENT, _document(replica, metrics, _Holds(poll_hold_s, held_most)))
    app.router.add_get("/metrics", metrics_handler(replica, metrics))
    app.router.add_get("/healthz", _healthz)
    app.router.add_get("/readyz", _readyz(replica))
    return app


def _guard(
    metrics: Metrics, tokens: Callable[[], tuple[Token, ...]] | None, hosts: frozenset[str] | None
) -> Middleware:
    def check(request: web.Request) -> None:
        """Raise Denied for a page of another site, and where a token is required and none was sent."""
        host = request.headers.get("Host", "")
        if hosts is not None and is_elsewhere(host, hosts):
            way_out = "ask for 127.0.0.1, or start the daemon with --provider-host"
            raise Denied(ProblemCode.OTHER_HOST, f"Host {host[:100]!r} may be a name of somebody else's: {way_out}")
        if tokens is not None and request.path not in OPEN:
            bearer(request, tokens())

    @web.middleware
    async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            check(request)
            answer = await handler(request)
            if request.path == DOCUMENT:  # it may have been held, and the token taken away meanwhile
                check(request)
        except Denied as denial:
            if request.path == DOCUMENT:
                metrics.polls.labels(str(denial.status)).inc()
            return denied(denial)
        return answer

    return admit


@dataclass(slots=True)
class _Holds:
    """For how long a poll is held, how many may be held, and how many are."""

    limit_s: float
    most: int
    now: int = 0


def _document(replica: Replica, metrics: Metrics, holds: _Holds) -> Handler:
    async def document(request: web.Request) -> web.StreamResponse:
        """Answer with the last document; hold a poll of who has it until there is another. Nothing is rendered.

        One from the store is asked for first where it may be old; where the store does not answer, it will do (P4).
        """
        await replica.fresh()
        published = replica.published
        if published is None:
            metrics.polls.labels("503").inc()
            return problem(ProblemCode.NO_DOCUMENT, replica.not_ready())
        if request.method == "GET" and request.transport is not None and request.query.get("hold") != "0":
            published = await _polled(replica, request, request.transport, published, holds)
        if request.method == "GET":
            replica.gave(published.revision)
        metrics.polls.labels("200").inc()
        headers = {"ETag": published.document.etag, "X-Bluegreen-Revision": str(published.revision)}
        media_type = JSON if published.document.is_json else YAML
        return web.Response(body=published.document.body, content_type=media_type, headers=headers)

    return document


async def _polled(
    replica: Replica, request: web.Request, transport: asyncio.Transport, published: Published, holds: _Holds
) -> Published:
    """Take note of a poll; return what it is to be answered with, at once or after a hold."""
    name = request.headers.get("X-Bluegreen-Poller")
    has_ticker = request.headers.get("User-Agent", "").startswith(GO)
    connection = replica.polled(transport, request.remote or "", name, has_ticker=has_ticker)
    if connection.polls == 1:
        _notice_when_gone(transport)
    held_s = replica.hold_s(connection, published.revision, holds.limit_s) if holds.now < holds.most else 0.0
    if held_s:
        holds.now += 1
        try:
            published = await _held(replica, connection, published, held_s)
        finally:
            holds.now -= 1
    replica.answered(connection, published.revision, was_held=bool(held_s))
    return published


async def _held(replica: Replica, connection: Connection, published: Published, hold_s: float) -> Published:
    """Wait for another document; raise CancelledError when the client goes away meanwhile."""
    begin_s = time.monotonic()
    try:
        async with asyncio.timeout(hold_s):
            return await replica.publication.after(published) or published
    except TimeoutError:
        return published
    except asyncio.CancelledError:
        if connection.transport.is_closing():
            replica.left(connection, time.monotonic() - begin_s)
        raise


def _notice_when_gone(transport: asyncio.Transport) -> None:
    """Have the kernel find out within half a minute that a poller's machine is gone, or it would count for hours."""
    peer = transport.get_extra_info("socket")
    if peer is not None and peer.family in {socket.AF_INET, socket.AF_INET6}:
        for option, value in _KEEP_ALIVE:
            peer.setsockopt(socket.IPPROTO_TCP, option, value)


async def _healthz(_: web.Request) -> web.StreamResponse:
    return web.Response(text="alive\n")


def _readyz(replica: Replica) -> Handler:
    async def readyz(_: web.Request) -> web.StreamResponse:
        is_fresh = await replica.fresh()
        if replica.published is None:
            return problem(ProblemCode.NO_DOCUMENT, replica.not_ready())
        if not is_fresh:
            detail = "the store does not answer, so the last document is served and nothing is decided"
            return problem(ProblemCode.STORE_FAILING, detail)
        return web.Response(text="ready\n")

    return readyz
