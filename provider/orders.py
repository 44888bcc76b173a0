"""What the admin listener does for those who command: the verbs, the lease of a deployment, the history, the events."""

import asyncio
import time
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Annotated, TypeVar, assert_never
from uuid import uuid4

from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

from provider import access, commands, leases, report
from provider.clock import clock
from provider.commands import Command, Done, Refusal, Refused
from provider.controller import Act, Controller
from provider.edit import group_key
from provider.errors import StoreError, StoreUncertain
from provider.feed import Changed, Feed
from provider.model import Colour, Decision, Verb, listed
from provider.openapi import describe
from provider.server import problem
from provider.status import decision_status
from provider.text import clean
from provider.tokens import ANY_LEASE, LEASE

T = TypeVar("T")
B = TypeVar("B", bound="Body")

ANSWER_S = 30.0
KEEP_ALIVE_S = 5.0
HISTORY_MOST = 10_000
BODY_BYTES = 64 * 1024
BODY_S = 20.0
QUOTED_MOST = 100
SEND_S = 30.0
EVENTS_MOST = 100
"""So many listen to the events at once; everybody else is told to ask again."""
STANDING_S = 1.0
"""So long an events stream outlives its token at most."""

Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]
Force = Annotated[StrictBool, Field(description="Waive what may be waived; wants a reason")]


class Body(BaseModel):
    """What every verb takes; abort, retry, pause and resume take nothing else."""

    model_config = ConfigDict(extra="forbid", populate_by_name=False)

    reason: Annotated[Words | None, Field(description="Why; it stands in the history")] = None


class SwitchBody(Body):
    """What switch takes; `release` is the one that is meant, `force` waives the gates and wants a reason."""

    colour: Annotated[Colour, Field(description="The one to bring to active")]
    release: Annotated[Words | None, Field(description="Only if the colour runs this release")] = None
    force: Force = False


class ApproveBody(Body):
    """What approve takes: the release that was looked at."""

    release: Annotated[Words, Field(description="The release that was looked at")]


class RollbackBody(Body):
    """What rollback takes: the release to leave; `force` waives the health of the one to go back to."""

    leaving: Annotated[
        Words | None,
        Field(alias="from", description="The release to leave: nothing is done if it is not active any more"),
    ] = None
    force: Force = False


class LeaseBody(Body):
    """What a deployment asks a lease with; with the `id` of one that it has, it goes on for as long again."""

    id: Annotated[Words | None, Field(description="The lease to go on with")] = None
    force: Force = False


_BODIES: Mapping[Verb, type[Body]] = {
    **dict.fromkeys(Verb, Body),
    Verb.SWITCH: SwitchBody,
    Verb.APPROVE: ApproveBody,
    Verb.ROLLBACK: RollbackBody,
}
_SINCE: TypeAdapter[datetime] = TypeAdapter(AwareDatetime)
_LIMIT: TypeAdapter[int] = TypeAdapter(Annotated[int, Field(ge=1, le=HISTORY_MOST)])


class _Bad(Exception):  # noqa: N818  the client's mistake
    """A request that cannot be understood; the text says why."""


def add_routes(app: web.Application, controller: Controller, feed: Feed) -> None:
    """Add the routes to the application of the admin listener."""
    for verb in Verb:
        app.router.add_post(f"/api/v1/services/{{name}}/{verb}", _answered(partial(_command, controller, verb)))
    app.router.add_post("/api/v1/services/{name}/lease", _answered(partial(_take_lease, controller)))
    app.router.add_delete("/api/v1/services/{name}/lease", _answered(partial(_give_lease_back, controller)))
    app.router.add_get("/api/v1/history", _answered(partial(_history, controller)))
    app.router.add_get("/api/v1/events", partial(_events, feed))
    app.router.add_get("/api/v1/caller", _caller)
    app.router.add_get("/api/v1/openapi.json", _openapi)


def _answered(handler: Handler) -> Handler:
    async def answered(request: web.Request) -> web.StreamResponse:
        """Answer what stands in the way as a problem: a bad request with 400, a store that fails with 503."""
        try:
            async with asyncio.timeout(ANSWER_S):
                return await handler(request)
        except _Bad as mistake:
            return problem(400, "bad-request", str(mistake))
        except StoreUncertain as failure:
            return problem(503, "outcome-unknown", str(failure))
        except StoreError as failure:
            return problem(503, "store-failing", str(failure))
        except TimeoutError:
            told = f"no answer within {ANSWER_S:g} s; what was asked may still be done: bluegreen status"
            return problem(503, "no-answer", told)

    return answered


async def _command(controller: Controller, verb: Verb, request: web.Request) -> web.StreamResponse:
    body = (await _body(request, _BODIES[verb])).model_dump()
    if body.get("force"):
        access.require(request, "force")
    name = request.match_info["name"]
    may_go_back = access.may(request, Verb.ROLLBACK)
    given = Command(verb=verb, service=name, actor=access.caller(request).actor, may_go_back=may_go_back, **body)
    return await _done(controller, request, lambda snapshot, now: commands.command(snapshot, given, now), verb)


async def _take_lease(controller: Controller, request: web.Request) -> web.StreamResponse:
    body = await _body(request, LeaseBody)
    if body.force:
        access.require(request, "force")
    name, holder = request.match_info["name"], access.caller(request).actor
    take = partial(
        leases.take,
        service=name,
        holder=holder,
        lease_id=body.id or uuid4().hex,
        force=body.force,
        reason=body.reason,
    )
    return await _done(controller, request, lambda snapshot, now: take(snapshot, now=now))


async def _give_lease_back(controller: Controller, request: web.Request) -> web.StreamResponse:
    body = await _body(request, Body)
    give = partial(
        leases.give_back,
        service=request.match_info["name"],
        lease_id=request.query.get("id"),
        actor=access.caller(request).actor,
        may_end_any=access.may(request, ANY_LEASE),
        reason=body.reason,
    )
    return await _done(controller, request, lambda snapshot, now: give(snapshot, now=now))


async def _done(controller: Controller, request: web.Request, act: Act, verb: Verb | None = None) -> web.StreamResponse:
    service = request.match_info["name"]
    if service not in controller.world.entries:
        return unknown_service(controller, service)
    before = _traffic(controller, service)
    try:
        done = await controller.command(service, act)
    except KeyError:
        return unknown_service(controller, service)
    match done:
        case Refused(code=Refusal.REASON_WANTED):
            return problem(400, done.code, done.detail)
        case Refused(code=Refusal.SCOPE):
            return problem(403, done.code, f"token {access.caller(request).actor} may not do this: {done.detail}")
        case Refused():
            return problem(409, done.code, done.detail)
        case Done():
            answer: dict[str, object] = {"already": done.already, "detail": done.detail}
            moved = [name for name, colour in _traffic(controller, service).items() if before.get(name) is not colour]
            if done.already and verb in {Verb.ROLLBACK, Verb.SWITCH}:  # somebody was faster: is it in force by now?
                moved = [service]
            of = service if service in moved else next(iter(moved), None)
            answer["applied"] = report.applied(controller.world, of) if of is not None else None
            shown = access.may(request, LEASE)
            world, conditions = controller.world, controller.conditions
            answer["status"] = report.service(world, conditions, service, clock(), shows_lease_id=shown)
            return json_answer(answer, status=202 if done.pending else 200)


def _traffic(controller: Controller, service: str) -> dict[str, Colour | None]:
    """Return the active colour of every service in the group of this one."""
    world = controller.world
    entry = world.entries.get(service)
    members = world.members.get(group_key(entry.service), ()) if entry is not None else ()
    return {name: world.entries[name].state.active for name in members if name in world.entries}


async def _history(controller: Controller, request: web.Request) -> web.StreamResponse:
    unknown = request.query.keys() - {"service", "since", "limit"}
    if unknown:
        raise _Bad(f"history takes service, since and limit, not {', '.join(sorted(unknown))}")
    since = _query(request, "since", _SINCE, "a date such as 2026-01-01T00:00:00Z")
    limit = _query(request, "limit", _LIMIT, f"a number from 1 to {HISTORY_MOST}")
    service = request.query.get("service")
    found = await controller.history(None if service is None else clean(service), since, limit or 100)
    return json_answer({"history": [decision_status(decision) for decision in found]})


async def _events(feed: Feed, request: web.Request) -> web.StreamResponse:
    """Send what is new as server-sent events; a comment now and then keeps proxies awake.

    It ends with the token that it was begun with.
    """
    if feed.listeners >= EVENTS_MOST:
        return problem(503, "too-many-streams", f"{EVENTS_MOST} listen to the events already: close a console, or wait")
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    with feed.listening() as listener:
        await answer.prepare(request)
        await send(answer, b": listening\n\n")  # whoever asks how things stand from now on misses nothing
        told_s = time.monotonic()
        while (news := await listener.next_within(STANDING_S)) is not None or not listener.is_over:
            if not access.is_still_let_in(request):
                break
            if news is not None or time.monotonic() >= told_s + KEEP_ALIVE_S:
                await send(answer, _event(news))
                told_s = time.monotonic()
    return answer


async def send(answer: web.StreamResponse, piece: bytes) -> None:
    """Send a piece of a long answer to somebody who goes on reading. Raises TimeoutError for who does not."""
    async with asyncio.timeout(SEND_S):
        await answer.write(piece)


def _event(news: Decision | Changed | None) -> bytes:
    match news:
        case None:
            return b": still here\n\n"
        case Decision():
            return b"event: decision\ndata: %b\n\n" % report.json(decision_status(news))
        case Changed():
            return b"event: changed\ndata: %b\n\n" % report.json({"services": news.services})
        case _:
            assert_never(news)


async def _caller(request: web.Request) -> web.StreamResponse:
    who = access.caller(request)
    return json_answer({"actor": who.actor, "scopes": sorted(who.scopes), "may": access.actions(who)})


async def _openapi(_: web.Request) -> web.StreamResponse:
    return json_answer(describe(_BODIES, LeaseBody))


def json_answer(answer: object, status: int = 200) -> web.Response:
    """Answer with JSON."""
    return web.Response(status=status, body=report.json(answer), content_type="application/json")


def unknown_service(controller: Controller, name: str) -> web.Response:
    """Answer that the file has no such service, and which ones it has."""
    known = listed(controller.world.entries) or "none"
    return problem(404, "unknown-service", f"the desired state has no service {name!r}; it has: {known}")


async def _body(request: web.Request, kind: type[B]) -> B:
    try:
        return kind.model_validate_json(await _all_of(request) or b"{}")
    except ValidationError as error:
        told = (f"{'.'.join(map(str, each['loc'])) or 'the body'}: {each['msg']}" for each in error.errors())
        raise _Bad("; ".join(told)) from None


async def _all_of(request: web.Request) -> bytes:
    """Return the whole body, in however many pieces it comes."""
    coding = request.headers.get("Content-Encoding", "identity").lower()
    if coding != "identity":
        raise _Bad(f"the body is compressed ({coding[:20]!r}): send it as it is")
    text = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            while piece := await request.content.readany():
                text += piece
                if len(text) > BODY_BYTES:
                    raise _Bad(f"the body is longer than {BODY_BYTES} bytes")
    except TimeoutError:
        raise _Bad(f"the body was not here within {BODY_S:g} s, so nothing was done") from None
    except web.RequestPayloadError:
        raise _Bad("the body is not what its headers say, so nothing was done") from None
    return bytes(text)


def _query(request: web.Request, name: str, adapter: TypeAdapter[T], wanted: str) -> T | None:
    text = request.query.get(name)
    if text is None:
        return None
    try:
        return adapter.validate_python(text)
    except ValidationError:
        raise _Bad(f"{name}={text[:QUOTED_MOST]!r} is not {wanted}") from None
