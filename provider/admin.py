"""The admin listener: how things stand, for operators, pipelines and the command line."""

import asyncio
from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler

from provider import access, console, report
from provider.about import About
from provider.clock import clock
from provider.controller import Controller
from provider.feed import Feed
from provider.orders import ANSWER_S, add_routes, json_answer, send, unknown_service
from provider.server import denied, problem
from provider.tokens import LEASE, Token

SERVICES_S = 120.0
"""So long the status of everything is sent at most, however slowly somebody reads it."""


def admin_app(
    controller: Controller,
    tokens: Callable[[], tuple[Token, ...]] | None = None,
    feed: Feed | None = None,
    about: About | None = None,
) -> web.Application:
    """Build the application behind `--admin-listen`.

    `tokens` returns those that are known, at each request anew; without it, only loopback or a unix socket is safe.
    A handler asks `access.caller` who it works for, and `access.require` before what needs more than its route does.
    """

    async def services(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "application/json"})
        async with asyncio.timeout(SERVICES_S):
            await answer.prepare(request)
            async for piece in report.services(controller.world, controller.conditions, clock()):
                await send(answer, piece)
        return answer

    async def service(request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        shown = access.may(request, LEASE)
        answer = report.explained(controller.world, controller.conditions, name, clock(), shows_lease_id=shown)
        return unknown_service(controller, name) if answer is None else json_answer(answer)

    async def daemon(_: web.Request) -> web.StreamResponse:
        async with asyncio.timeout(ANSWER_S):
            return json_answer(await (about or About()).answer(controller.world, clock()))

    app = web.Application(middlewares=[_problems, access.guard(tokens)])
    app.router.add_get("/api/v1/daemon", daemon)
    app.router.add_get("/api/v1/services", services)
    app.router.add_get("/api/v1/services/{name}", service)
    add_routes(app, controller, feed or Feed())
    console.add_routes(app)
    return app


@web.middleware
async def _problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer who is not let in, and unknown paths and methods, with problems like every other error."""
    try:
        return await handler(request)
    except access.Denied as denial:
        return denied(denial)
    except web.HTTPNotFound:
        return problem(404, "unknown-path", f"there is nothing at {request.path}")
    except web.HTTPMethodNotAllowed as refusal:
        allowed = ", ".join(sorted(refusal.allowed_methods))
        return problem(405, "method-not-allowed", f"{request.path} answers {allowed}, not {request.method}")
