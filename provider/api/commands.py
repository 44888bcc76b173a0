"""The commands of the admin API, the lease of a deployment, the history and the stream of events."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Annotated, TypeVar, assert_never
from uuid import uuid4

from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import AwareDatetime, Field, TypeAdapter, ValidationError

from provider.api import access, answers, routes
from provider.api.bodies import BODIES, BadRequest, Body, LeaseBody, read_body
from provider.api.events import Changed, Events
from provider.api.openapi import describe
from provider.api.problems import problem
from provider.api.tokens import ANY_LEASE, LEASE
from provider.controller.controller import Controller
from provider.controller.replica import Replica
from provider.controller.state import Act, State
from provider.model import Decision, GroupState, Verb, Weights, listed
from provider.model import api_types as api
from provider.model.desired import group_key
from provider.model.errors import LeadershipLost, StoreError, StoreUncertain, StoreUnknown
from provider.model.problems import ProblemCode
from provider.model.text import clean
from provider.rollout import commands, leases
from provider.rollout.commands.types import Command, Done, Refusal, Refused
from provider.rollout.status import decision_status
from provider.rollout.weights import weights
from provider.runtime.clock import clock

T = TypeVar("T")

ANSWER_S = 30.0
NO_LEADER_HEADER = "X-Bluegreen-No-Leader"
"""Says to another replica that nothing was done, before the body is read."""
KEEP_ALIVE_S = 5.0
QUOTED_MOST = 100
SEND_S = 30.0
EVENTS_MOST = 100
"""Maximum number of streams of events."""
REVOKED_WITHIN_S = 1.0
"""A stream of events ends within this time of its token."""

_SINCE: TypeAdapter[datetime] = TypeAdapter(AwareDatetime)
_LIMIT: TypeAdapter[int] = TypeAdapter(Annotated[int, Field(ge=1, le=routes.HISTORY_MOST)])


def handlers(replica: Replica, events: Events) -> Mapping[routes.Route, Handler]:
    """Return the handlers of these routes of the admin API."""
    leading = partial(led, replica)
    return {
        **{route: leading(partial(_command, verb)) for verb, route in routes.COMMANDS.items()},
        routes.TAKE_LEASE: leading(_take_lease),
        routes.GIVE_LEASE_BACK: leading(_give_lease_back),
        routes.HISTORY: _with_problems(replica, partial(_history, replica)),
        routes.EVENTS: partial(_events, events),
        routes.CALLER: _caller,
        routes.OPENAPI: _openapi,
    }


def led(replica: Replica, handler: Callable[[Controller, web.Request], Awaitable[web.StreamResponse]]) -> Handler:
    """Have a handler answer while this replica leads."""
    return _with_problems(replica, lambda request: handler(replica.leading, request))


def _with_problems(replica: Replica, handler: Handler) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        """Answer a failure with a problem: a bad request with 400, a store that fails with 503."""
        try:
            async with asyncio.timeout(ANSWER_S):
                return await handler(request)
        except BadRequest as mistake:
            return problem(ProblemCode.BAD_REQUEST, str(mistake))
        except LeadershipLost:
            return no_leader(replica)
        except StoreUnknown as failure:
            return problem(ProblemCode.STORE_UNKNOWN, str(failure))
        except StoreUncertain as failure:
            is_reading = request.method in access.READING
            return problem(ProblemCode.STORE_FAILING if is_reading else ProblemCode.OUTCOME_UNKNOWN, str(failure))
        except StoreError as failure:
            return problem(ProblemCode.STORE_FAILING, str(failure))
        except TimeoutError:
            detail = f"no answer within {ANSWER_S:g} s; what was asked may still be done: bluegreen status"
            return problem(ProblemCode.NO_ANSWER, detail)

    return answer


async def _command(verb: Verb, controller: Controller, request: web.Request) -> web.StreamResponse:
    body = (await read_body(request, BODIES[verb])).model_dump()
    if body.get("force"):
        access.require(request, "force")
    name = request.match_info["name"]
    may_go_back = access.may(request, Verb.ROLLBACK)
    given = Command(verb=verb, service=name, actor=access.caller(request).actor, may_go_back=may_go_back, **body)
    return await _done(controller, request, lambda snapshot, now: commands.command(snapshot, given, now), verb)


async def _take_lease(controller: Controller, request: web.Request) -> web.StreamResponse:
    body = await read_body(request, LeaseBody)
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
    body = await read_body(request, Body)
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
    if service not in controller.state.services:
        return unknown_service(controller.state, service)
    before = _traffic(controller, service)
    try:
        done = await controller.command(service, act)
    except KeyError:
        return unknown_service(controller.state, service)
    match done:
        case Refused(code=Refusal.SCOPE):
            detail = f"token {access.caller(request).actor} may not do this: {done.detail}"
            return problem(ProblemCode.SCOPE, detail)
        case Refused():
            return problem(ProblemCode(done.code), done.detail)
        case Done():
            moved = [name for name, share in _traffic(controller, service).items() if before.get(name) != share]
            if done.already and verb in {
                Verb.PROMOTE,
                Verb.ROLLBACK,
                Verb.SWITCH,
            }:  # somebody was faster: is it in force by now?
                moved = [service]
            of = service if service in moved else next(iter(moved), None)
            shown = access.may(request, LEASE)
            state, conditions = controller.state, controller.conditions
            answer: api.Done = {
                "already": done.already,
                "detail": done.detail,
                "applied": answers.applied(state, of, clock()) if of is not None else None,
                "status": answers.service(state, conditions, service, clock(), shows_lease_id=shown),
            }
            return json_answer(answer, status=202 if done.pending else 200)


def _traffic(controller: Controller, service: str) -> dict[str, Weights]:
    """Return the weights of every service in the group of this one."""
    state = controller.state
    tracked = state.services.get(service)
    key = group_key(tracked.service) if tracked is not None else ""
    under_way = state.groups.get(key, GroupState()).rollout
    names = [name for name in state.members.get(key, ()) if name in state.services]
    return {name: weights(state.services[name].member(), under_way) for name in names}


async def _history(replica: Replica, request: web.Request) -> web.StreamResponse:
    unknown = request.query.keys() - {one.name for one in routes.HISTORY.query}
    if unknown:
        raise BadRequest(f"history takes service, since and limit, not {', '.join(sorted(unknown))}")
    since = _query(request, "since", _SINCE, "a date such as 2026-01-01T00:00:00Z")
    limit = _query(request, "limit", _LIMIT, f"a number from 1 to {routes.HISTORY_MOST}")
    service = request.query.get("service")
    found = await replica.history(None if service is None else clean(service), since, limit or 100)
    answer: api.History = {"history": [decision_status(decision) for decision in found]}
    return json_answer(answer)


async def _events(events: Events, request: web.Request) -> web.StreamResponse:
    """Send decisions and changes as server-sent events; a comment now and then keeps proxies awake.

    The stream ends when its token is removed.
    """
    if events.listeners >= EVENTS_MOST:
        detail = f"there are {EVENTS_MOST} streams of events already: close a console, or wait"
        return problem(ProblemCode.TOO_MANY_STREAMS, detail)
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    with events.listening() as listener:
        if not await begin(answer, request):
            return answer
        await send(answer, b": listening\n\n")  # who asks for the status from now on misses nothing
        sent_s = time.monotonic()
        while (event := await listener.next_within(REVOKED_WITHIN_S)) is not None or not listener.is_over:
            if not access.is_still_authenticated(request):
                break
            if event is not None or time.monotonic() >= sent_s + KEEP_ALIVE_S:
                await send(answer, _event(event))
                sent_s = time.monotonic()
    return answer


async def begin(answer: web.StreamResponse, request: web.Request) -> bool:
    """Send the head of a long answer; return whether its pieces follow: to HEAD they do not."""
    await answer.prepare(request)
    return request.method != "HEAD"


async def send(answer: web.StreamResponse, piece: bytes) -> None:
    """Send a piece of a long answer. Raises TimeoutError for a client that does not read on."""
    async with asyncio.timeout(SEND_S):
        await answer.write(piece)


def _event(event: Decision | Changed | None) -> bytes:
    match event:
        case None:
            return b": still here\n\n"
        case Decision():
            return b"event: decision\ndata: %b\n\n" % answers.json(decision_status(event))
        case Changed():
            changed: api.Changed = {"services": event.services}
            return b"event: changed\ndata: %b\n\n" % answers.json(changed)
        case _:
            assert_never(event)


async def _caller(request: web.Request) -> web.StreamResponse:
    who = access.caller(request)
    answer: api.Caller = {"actor": who.actor, "scopes": sorted(who.scopes), "may": access.actions(who)}
    return json_answer(answer)


async def _openapi(_: web.Request) -> web.StreamResponse:
    return json_answer(await asyncio.to_thread(describe))  # the first time takes a third of a second


def json_answer(answer: object, status: int = 200) -> web.Response:
    """Answer with JSON."""
    return web.Response(status=status, body=answers.json(answer), content_type="application/json")


def no_leader(replica: Replica) -> web.Response:
    """Answer that nobody decides for now, and why that is, if this replica knows."""
    why = replica.store_trouble or "One does within a few seconds of the store's answer: ask again"
    detail = f"no replica leads, so nothing was done. {why[:1].upper()}{why[1:]}"
    answer = problem(ProblemCode.NO_LEADER, detail)
    answer.headers[NO_LEADER_HEADER] = "true"
    return answer


def unknown_service(state: State, name: str) -> web.Response:
    """Answer that the file has no such service, and which ones it has."""
    known = listed(state.services) or "none"
    return problem(ProblemCode.UNKNOWN_SERVICE, f"the desired state has no service {name!r}; it has: {known}")


def _query(request: web.Request, name: str, adapter: TypeAdapter[T], rule: str) -> T | None:
    text = request.query.get(name)
    if text is None:
        return None
    try:
        return adapter.validate_python(text)
    except ValidationError:
        raise BadRequest(f"{name}={text[:QUOTED_MOST]!r} is not {rule}") from None
