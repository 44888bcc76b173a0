"""The provider listener: the document for Traefik, metrics for Prometheus, and whether we are alive and ready.

With a provider token the document and the metrics, which name every service, are for who shows it; whether we are alive
and ready is told to everybody, as what asks for that seldom can show a token.
"""

import asyncio
from collections.abc import Callable

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from provider.access import Denied, bearer
from provider.controller import Controller
from provider.intake import clock
from provider.metrics import Metrics
from provider.report import readings
from provider.tokens import Token

MEDIA_TYPE = "application/json"
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
METRICS_LIMIT_S = 30.0
DOCUMENT = "/traefik"
OPEN = frozenset({"/healthz", "/readyz"})


def provider_app(
    controller: Controller, metrics: Metrics, tokens: Callable[[], tuple[Token, ...]] | None = None
) -> web.Application:
    """Build the application behind `--listen`; `tokens` returns those of which one is wanted, at each request anew."""
    app = web.Application(middlewares=[_guard(metrics, tokens)] if tokens is not None else ())
    app.router.add_get(DOCUMENT, _document(controller, metrics))
    app.router.add_get("/metrics", _metrics(controller, metrics))
    app.router.add_get("/healthz", _healthz)
    app.router.add_get("/readyz", _readyz(controller))
    return app


def problem(status: int, code: str, detail: str) -> web.Response:
    """Answer with an error as `application/problem+json` (RFC 9457); `code` is stable, `detail` is for people."""
    body = orjson.dumps({"type": "about:blank", "status": status, "code": code, "detail": detail})
    return web.Response(status=status, body=body, content_type="application/problem+json")


def denied(denial: Denied) -> web.Response:
    """Answer somebody who is not let in."""
    answer = problem(denial.status, denial.code, str(denial))
    if denial.status == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    return answer


def not_ready(controller: Controller) -> str:
    """Say why there is no document yet."""
    return controller.held_back(clock()) or "the first document is being made"


def _guard(metrics: Metrics, tokens: Callable[[], tuple[Token, ...]]) -> Middleware:
    @web.middleware
    async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if request.path not in OPEN:
                bearer(request, tokens())
        except Denied as denial:
            if request.path == DOCUMENT:
                metrics.polls.labels("401").inc()
            return denied(denial)
        return await handler(request)

    return admit


def _document(controller: Controller, metrics: Metrics) -> Handler:
    async def document(request: web.Request) -> web.StreamResponse:
        """Answer with the last document. Nothing is awaited and nothing is rendered here."""
        published = controller.published
        if published is None:
            metrics.polls.labels("503").inc()
            return problem(503, "no-document", not_ready(controller))
        metrics.polls.labels("200").inc()
        if request.method == "GET" and request.transport is not None and request.query.get("hold") != "0":
            name = request.headers.get("X-Bluegreen-Poller")
            controller.intake.polled(request.transport, request.remote or "", name, published.revision)
        headers = {"ETag": published.document.etag, "X-Bluegreen-Revision": str(published.revision)}
        return web.Response(body=published.document.body, content_type=MEDIA_TYPE, headers=headers)

    return document


def _metrics(controller: Controller, metrics: Metrics) -> Handler:
    async def scrape(_: web.Request) -> web.StreamResponse:
        """Write all metrics in a thread: ten thousand services take a second, and polls do not wait for it."""
        metrics.poller_revision.clear()
        metrics.poller_last_poll.clear()
        for poller in controller.world.pollers:
            metrics.poller_revision.labels(poller.label).set(poller.revision)
            metrics.poller_last_poll.labels(poller.label).set(poller.last_poll_s)
        read = await readings(controller.world)
        async with asyncio.timeout(METRICS_LIMIT_S):
            text = await asyncio.to_thread(metrics.exposition, read)
        return web.Response(body=text, headers={"Content-Type": METRICS_TYPE})

    return scrape


async def _healthz(_: web.Request) -> web.StreamResponse:
    return web.Response(text="alive\n")


def _readyz(controller: Controller) -> Handler:
    async def readyz(_: web.Request) -> web.StreamResponse:
        if controller.published is None:
            return problem(503, "no-document", not_ready(controller))
        return web.Response(text="ready\n")

    return readyz
