"""The provider listener: the document for Traefik, metrics for Prometheus, and whether we are alive and ready.

With a provider token the document and the metrics, which name every service, are for who shows it; whether we are alive
and ready is told to everybody, as what asks for that seldom can show a token.
"""

import asyncio
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from provider.access import Denied, bearer, is_elsewhere
from provider.clock import clock
from provider.controller import Controller
from provider.metrics import Metrics
from provider.model import ConditionCode
from provider.pollers import Connection
from provider.publication import Published
from provider.report import Readings, json
from provider.tokens import Token

JSON, YAML = "application/json", "application/yaml"
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
METRICS_LIMIT_S = 30.0
HELD_MOST = 512
"""So many polls are held at once; more are answered at once, so that there is room for others."""
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
    controller: Controller,
    metrics: Metrics,
    tokens: Callable[[], tuple[Token, ...]] | None = None,
    *,
    poll_hold_s: float = 0.0,
    held_most: int = HELD_MOST,
    hosts: frozenset[str] | None = None,
) -> web.Application:
    """Build the application behind `--listen`; `tokens` returns those of which one is wanted, at each request anew.

    A poll is held for `poll_hold_s` at most, and `held_most` at once; its runner must cancel the handler of a client
    that goes away. On loopback `hosts` are the names of DNS that this listener has; None where Host is not looked at.
    """
    app = web.Application(middlewares=[_guard(metrics, tokens, hosts)])
    app.router.add_get(DOCUMENT, _document(controller, metrics, _Holds(poll_hold_s, held_most)))
    app.router.add_get("/metrics", _metrics(controller, metrics))
    app.router.add_get("/healthz", _healthz)
    app.router.add_get("/readyz", _readyz(controller))
    return app


def problem(status: int, code: str, detail: str) -> web.Response:
    """Answer with an error as `application/problem+json` (RFC 9457); `code` is stable, `detail` is for people."""
    body = json({"type": "about:blank", "status": status, "code": code, "detail": detail})
    return web.Response(status=status, body=body, content_type="application/problem+json")


def denied(denial: Denied) -> web.Response:
    """Answer somebody who is not let in."""
    answer = problem(denial.status, denial.code, str(denial))
    if denial.status == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    return answer


def not_ready(controller: Controller) -> str:
    """Say why there is no document yet."""
    return controller.publisher.held_back(clock()) or "the first document is being made"


def _guard(
    metrics: Metrics, tokens: Callable[[], tuple[Token, ...]] | None, hosts: frozenset[str] | None
) -> Middleware:
    def check(request: web.Request) -> None:
        """Raise Denied for a page that a browser was tricked by, and for who shows no token where one is wanted."""
        host = request.headers.get("Host", "")
        if hosts is not None and is_elsewhere(host, hosts):
            way_out = "ask for 127.0.0.1, or start the daemon with --provider-host"
            raise Denied(421, "other-host", f"Host {host[:100]!r} may be a name of somebody else's: {way_out}")
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


def _document(controller: Controller, metrics: Metrics, holds: _Holds) -> Handler:
    async def document(request: web.Request) -> web.StreamResponse:
        """Answer with the last document; hold a poll of who has it until there is another. Nothing is rendered."""
        published = controller.published
        if published is None:
            metrics.polls.labels("503").inc()
            return problem(503, "no-document", not_ready(controller))
        if request.method == "GET" and request.transport is not None and request.query.get("hold") != "0":
            published = await _polled(controller, request, request.transport, published, holds)
        if request.method == "GET":
            controller.intake.gave(published.revision)
        metrics.polls.labels("200").inc()
        headers = {"ETag": published.document.etag, "X-Bluegreen-Revision": str(published.revision)}
        media_type = JSON if published.document.is_json else YAML
        return web.Response(body=published.document.body, content_type=media_type, headers=headers)

    return document


async def _polled(
    controller: Controller, request: web.Request, transport: asyncio.Transport, published: Published, holds: _Holds
) -> Published:
    """Take note of a poll; return what it is to be answered with, at once or after a hold."""
    name = request.headers.get("X-Bluegreen-Poller")
    has_ticker = request.headers.get("User-Agent", "").startswith(GO)
    connection = controller.intake.polled(transport, request.remote or "", name, has_ticker=has_ticker)
    if connection.polls == 1:
        _notice_when_gone(transport)
    held_s = controller.intake.hold_s(connection, published.revision, holds.limit_s) if holds.now < holds.most else 0.0
    if held_s:
        holds.now += 1
        try:
            published = await _held(controller, connection, published, held_s)
        finally:
            holds.now -= 1
    controller.intake.answered(connection, published.revision, was_held=bool(held_s))
    return published


async def _held(controller: Controller, connection: Connection, published: Published, hold_s: float) -> Published:
    """Wait for another document; raise CancelledError when the client goes away meanwhile."""
    begin_s = time.monotonic()
    try:
        async with asyncio.timeout(hold_s):
            return await controller.publication.after(published) or published
    except TimeoutError:
        return published
    except asyncio.CancelledError:
        if connection.transport.is_closing():
            controller.intake.left(connection, time.monotonic() - begin_s)
        raise


def _notice_when_gone(transport: asyncio.Transport) -> None:
    """Have the kernel find out within half a minute that a poller's machine is gone, or it would count for hours."""
    peer = transport.get_extra_info("socket")
    if peer is not None and peer.family in {socket.AF_INET, socket.AF_INET6}:
        for option, value in _KEEP_ALIVE:
            peer.setsockopt(socket.IPPROTO_TCP, option, value)


def _metrics(controller: Controller, metrics: Metrics) -> Handler:
    readings, one_at_a_time = Readings(controller.world), asyncio.Lock()

    async def text() -> bytes:
        """Write all metrics in a thread: ten thousand services take their time, and polls do not wait for it."""
        metrics.poller_revision.clear()
        metrics.poller_last_poll.clear()
        for poller in controller.world.pollers:
            metrics.poller_revision.labels(poller.label).set(poller.revision)
            metrics.poller_last_poll.labels(poller.label).set(poller.last_poll_s)
        for code in get_args(ConditionCode):
            metrics.condition.labels(code).set(code in controller.conditions)
        read = await readings.read(clock())
        return await asyncio.to_thread(metrics.exposition, read)

    async def scrape(_: web.Request) -> web.StreamResponse:
        """Answer one scrape at a time: a text of ten thousand services is not made for many at once."""
        try:
            async with asyncio.timeout(METRICS_LIMIT_S), one_at_a_time:
                return web.Response(body=await text(), headers={"Content-Type": METRICS_TYPE})
        except TimeoutError:
            return problem(503, "no-answer", f"the metrics were not written within {METRICS_LIMIT_S:g} s")

    return scrape


async def _healthz(_: web.Request) -> web.StreamResponse:
    return web.Response(text="alive\n")


def _readyz(controller: Controller) -> Handler:
    async def readyz(_: web.Request) -> web.StreamResponse:
        if controller.published is None:
            return problem(503, "no-document", not_ready(controller))
        return web.Response(text="ready\n")

    return readyz
