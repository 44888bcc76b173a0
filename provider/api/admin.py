"""The application behind the admin listener: the admin API and the console."""

import asyncio
from collections.abc import Callable
from functools import partial
from ssl import SSLContext

from aiohttp import web
from aiohttp.typedefs import Handler

from provider.api import access, answers, console, desired, replicas, routes
from provider.api.about import About
from provider.api.bodies import BadRequest
from provider.api.commands import ANSWER_S, begin, handlers, json_answer, no_leader, send, unknown_service
from provider.api.events import Events
from provider.api.forwarding import Forwarding
from provider.api.problems import denied, problem
from provider.api.tokens import LEASE, Token
from provider.controller.replica import Replica
from provider.model.problems import ProblemCode
from provider.runtime.clock import clock

SERVICES_S = 120.0
"""Give up on a client that reads the status of all services for longer than this."""


def admin_app(
    replica: Replica,
    tokens: Callable[[], tuple[Token, ...]] | None = None,
    events: Events | None = None,
    about: About | None = None,
    tls: Callable[[], SSLContext | None] = lambda: None,
) -> web.Application:
    """Build the application behind `--admin-listen`.

    `tokens` is called at each request and returns the tokens that are known; without it, only loopback or a unix socket
    is safe. `tls` is asked for what other replicas are asked with. A handler asks `access.caller` who its caller is,
    and `access.require` for more than its route requires.
    """

    async def services(request: web.Request) -> web.StreamResponse:
        if (state := await replica.state()) is None:
            return no_leader(replica)
        answer = web.StreamResponse(headers={"Content-Type": "application/json"})
        async with asyncio.timeout(SERVICES_S):
            if not await begin(answer, request):
                return answer
            async for piece in answers.services(state, replica.conditions, clock(), replica.known):
                await send(answer, piece)
        return answer

    async def service(request: web.Request) -> web.StreamResponse:
        if (state := await replica.state()) is None:
            return no_leader(replica)
        name = request.match_info["name"]
        shown = access.may(request, LEASE)
        answer = answers.explained(state, replica.conditions, name, clock(), shows_lease_id=shown)
        return unknown_service(state, name) if answer is None else json_answer(answer)

    async def daemon(_: web.Request) -> web.StreamResponse:
        if (state := await replica.state()) is None:
            return no_leader(replica)
        async with asyncio.timeout(ANSWER_S):
            return json_answer(await (about or About()).answer(state, clock()))

    forwarding = Forwarding(replica, tls)
    app = web.Application(middlewares=[_problems, access.guard(tokens), forwarding.middleware])
    app.cleanup_ctx.append(forwarding.connections)
    answering: dict[routes.Route, Handler] = {
        **handlers(replica, events or Events()),
        **desired.handlers(replica),
        **replicas.handlers(replica),
        routes.DAEMON: daemon,
        routes.SERVICES: services,
        routes.ONE_SERVICE: service,
    }
    for route in routes.ROUTES:
        add = app.router.add_get if route.method == "GET" else partial(app.router.add_route, route.method)
        add(route.path, answering[route])
    console.add_routes(app)
    return app


@web.middleware
async def _problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer requests that are denied, and unknown paths and methods, with problems like every other error."""
    try:
        return await handler(request)
    except access.Denied as denial:
        return denied(denial)
    except BadRequest as mistake:
        return problem(ProblemCode.BAD_REQUEST, str(mistake))
    except web.HTTPNotFound:
        return problem(ProblemCode.UNKNOWN_PATH, f"there is nothing at {request.path}")
    except web.HTTPMethodNotAllowed as refusal:
        allowed = ", ".join(sorted(refusal.allowed_methods))
        return problem(ProblemCode.METHOD_NOT_ALLOWED, f"{request.path} answers {allowed}, not {request.method}")
