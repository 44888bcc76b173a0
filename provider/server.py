"""The provider listener: the document for Traefik, metrics for Prometheus, and whether we are alive and ready."""

import asyncio
import time

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from provider.controller import Controller, clock
from provider.metrics import Metrics
from provider.pollers import Pollers
from provider.report import readings

MEDIA_TYPE = "application/json"
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
METRICS_LIMIT_S = 30.0


def provider_app(controller: Controller, metrics: Metrics) -> web.Application:
    """Build the application behind `--listen`."""
    pollers = Pollers()
    app = web.Application()
    app.router.add_get("/traefik", _document(controller, metrics, pollers))
    app.router.add_get("/metrics", _metrics(controller, metrics, pollers))
    app.router.add_get("/healthz", _healthz)
    app.router.add_get("/readyz", _readyz(controller))
    return app


def problem(status: int, code: str, detail: str) -> web.Response:
    """Answer with an error as `application/problem+json` (RFC 9457); `code` is stable, `detail` is for people."""
    body = orjson.dumps({"type": "about:blank", "status": status, "code": code, "detail": detail})
    return web.Response(status=status, body=body, content_type="application/problem+json")


def not_ready(controller: Controller) -> str:
    """Say why there is no document yet."""
    return controller.held_back(clock()) or "the first document is being made"


def _document(controller: Controller, metrics: Metrics, pollers: Pollers) -> Handler:
    async def document(request: web.Request) -> web.StreamResponse:
        """Answer with the last document. Nothing is awaited and nothing is rendered here."""
        published = controller.published
        if published is None:
            metrics.polls.labels("503").inc()
            return problem(503, "no-document", not_ready(controller))
        metrics.polls.labels("200").inc()
        if request.method == "GET" and request.transport is not None and request.query.get("hold") != "0":
            name = request.headers.get("X-Bluegreen-Poller")
            pollers.polled(request.transport, request.remote or "", name, published.revision, time.time())
        headers = {"ETag": published.document.etag, "X-Bluegreen-Revision": str(published.revision)}
        return web.Response(body=published.document.body, content_type=MEDIA_TYPE, headers=headers)

    return document


def _metrics(controller: Controller, metrics: Metrics, pollers: Pollers) -> Handler:
    async def scrape(_: web.Request) -> web.StreamResponse:
        """Write all metrics in a thread: ten thousand services take a second, and polls do not wait for it."""
        metrics.poller_revision.clear()
        metrics.poller_last_poll.clear()
        for poller in pollers:
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
