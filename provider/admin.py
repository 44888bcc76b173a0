"""The admin listener: how things stand, for operators, pipelines and the command line."""

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from provider import report
from provider.controller import Controller, clock
from provider.server import problem


def admin_app(controller: Controller) -> web.Application:
    """Build the application behind `--admin-listen`."""

    async def services(_: web.Request) -> web.StreamResponse:
        revision = controller.published.revision if controller.published else None
        answer = report.overview(controller.world, controller.conditions, revision)
        answer["services"] = await report.services(controller.world, controller.conditions, revision, clock())
        return _json(answer)

    async def service(request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        revision = controller.published.revision if controller.published else None
        answer = report.service(controller.world, controller.conditions, revision, name, clock())
        if answer is None:
            known = ", ".join(controller.world.entries) or "none"
            return problem(404, "unknown-service", f"the desired state has no service {name!r}; it has: {known}")
        return _json(answer)

    app = web.Application(middlewares=[_problems])
    app.router.add_get("/api/v1/services", services)
    app.router.add_get("/api/v1/services/{name}", service)
    return app


@web.middleware
async def _problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer unknown paths and methods as problems, like every other error."""
    try:
        return await handler(request)
    except web.HTTPNotFound:
        return problem(404, "unknown-path", f"there is nothing at {request.path}")
    except web.HTTPMethodNotAllowed as refusal:
        allowed = ", ".join(sorted(refusal.allowed_methods))
        return problem(405, "method-not-allowed", f"{request.path} answers {allowed}, not {request.method}")


def _json(answer: object) -> web.Response:
    return web.Response(body=orjson.dumps(answer, option=orjson.OPT_NON_STR_KEYS), content_type="application/json")
