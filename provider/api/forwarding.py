"""A follower passes requests of the admin API on to the leader (rule 60).

It verifies the caller's token itself before, and sends it on. A request takes one hop: a replica that does not lead by
then answers `no-leader`, so nothing was done, and the first one sends it once more where another leads by now.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from io import BytesIO
from math import inf
from ssl import SSLContext

import aiohttp
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler
from yarl import URL

from provider.api import routes
from provider.api.access import READING
from provider.api.bodies import whole_body
from provider.api.commands import ANSWER_S, NO_LEADER_HEADER, begin, no_leader, send
from provider.api.problems import problem
from provider.controller.controller import Controller
from provider.controller.replica import Leader, Replica
from provider.model.api_types import ACTOR_HEADER
from provider.model.problems import ProblemCode
from provider.runtime.clock import loop_s
from provider.runtime.http import answer_fault, root

log = structlog.get_logger("bluegreen")

HOP_HEADER = "X-Bluegreen-Replica"
"""Names the replica that passes a request on."""
SENT_ON = ("Accept", "Authorization", "Content-Type", ACTOR_HEADER)
SENT_BACK = ("Cache-Control", "Content-Type", "WWW-Authenticate")
CONNECT_S = 2.0
ELECTION_S = 4.0
"""How long to wait for another leader: longer than the lease of one that is gone."""
LONGER_S = 5.0
"""The leader gives up first, and its answer says more."""
SUPERSEDED_S = 1.0
"""How long to wait on for one that leads no longer: one that stepped down says so, one that is frozen says nothing."""
LOCAL = ("/api/v1/caller", "/api/v1/daemon", "/api/v1/openapi.json", "/api/v1/replicas")
"""What every replica answers for itself."""


class _NotSent(Exception):  # noqa: N818
    """A request that surely did not reach a leader; the text says why."""


class Forwarding:
    """The connections from this replica to the leader; `tls` is asked for what a leader on https is asked with."""

    def __init__(self, replica: Replica, tls: Callable[[], SSLContext | None] = lambda: None) -> None:
        self._replica, self._tls = replica, tls
        self._session: aiohttp.ClientSession | None = None

    async def connections(self, _: web.Application) -> AsyncIterator[None]:
        """Keep connections for as long as the application runs."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S)
        async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session:
            self._session = session
            yield
            self._session = None

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer here while this replica leads, else by the leader."""
        is_known = request.match_info.http_exception is None
        if not is_known or not request.path.startswith("/api/v1/") or request.path.startswith(LOCAL):
            return await handler(request)
        if request.method not in READING:
            await whole_body(request, _most_bytes(request))
        mine = self._replica.controller
        if mine is not None:
            answer = await handler(request)
            if not _is_not_done(answer.headers):
                return answer
        if HOP_HEADER in request.headers:
            return no_leader(self._replica)
        return await self._forwarded(request, handler, mine)

    async def _forwarded(self, request: web.Request, handler: Handler, mine: Controller | None) -> web.StreamResponse:
        """Pass a request on; `mine` is the controller of a term of this replica that turned out to be over."""
        before: Leader | None = None
        for _ in range(2):
            leader = await self._another(before, mine)
            if leader is None:
                break
            try:
                answer = await self._sent(request, leader)
            except _NotSent as cause:
                log.warning("the leader does not answer", leader=leader.name, address=leader.admin, cause=str(cause))
            else:
                if answer is not None:
                    return answer
            before = leader
        return await handler(request)  # which answers from what is committed, or that nobody leads

    async def _another(self, before: Leader | None, mine: Controller | None) -> Leader | None:
        """Return which other replica leads; another one than `before`, for which it waits while there can be one.

        None where this one leads by then, in another term than `mine`, or nobody does.
        """
        replica = self._replica
        if (before is not None or replica.leader is None) and await replica.fresh():
            with suppress(TimeoutError):
                async with asyncio.timeout(ELECTION_S):
                    await self._superseded(before, mine)
        return replica.leader if replica.controller in {None, mine} and replica.leader != before else None

    async def _superseded(self, before: Leader | None, mine: Controller | None) -> None:
        """Wait until another replica leads than `before`, or this one in another term than `mine`."""
        changed = asyncio.Event()
        with self._replica.telling(changed.set):
            while not self._replica.is_superseded(before, mine):
                changed.clear()
                await changed.wait()

    async def _sent(self, request: web.Request, leader: Leader) -> web.StreamResponse | None:
        """Pass a request on, and its answer back as it comes; None where the other one does not lead either.

        Raises _NotSent.
        """
        assert self._session is not None, "the application does not run"
        headers = {name: request.headers[name] for name in SENT_ON if name in request.headers}
        headers[HOP_HEADER] = self._replica.name
        body = await whole_body(request) if request.method not in READING else None
        limit_s = None if request.path.endswith("/events") else ANSWER_S + LONGER_S
        asked = request.rel_url
        query = f"?{asked.raw_query_string}" if asked.raw_query_string else ""
        url = URL(f"{leader.admin.rstrip('/')}{asked.raw_path}{query}", encoded=True)
        try:
            async with self._while_leading(leader, limit_s):
                found = await self._session.request(
                    request.method,
                    url,
                    data=BytesIO(body) if body else None,
                    headers=headers,
                    ssl=self._tls() or True,
                    allow_redirects=False,
                )
        except aiohttp.ClientConnectorError as failure:
            raise _NotSent(str(root(failure))) from failure
        except (aiohttp.ClientError, TimeoutError, OSError) as failure:
            if request.method in READING:
                raise _NotSent(_cause(failure)) from failure
            detail = (
                f"replica {leader.name} led and did not answer ({_cause(failure)}), so it is unknown whether this was "
                "done. To find out: bluegreen status, bluegreen history"
            )
            return problem(ProblemCode.OUTCOME_UNKNOWN, detail)
        async with found:
            if _is_not_done(found.headers):
                return None
            return await _passed_on(request, found, self._while_leading(leader, limit_s))

    @asynccontextmanager
    async def _while_leading(self, leader: Leader, limit_s: float | None) -> AsyncIterator[None]:
        """Bound the wait for a leader, and cut it short when another one leads. Raises TimeoutError."""

        def shorten() -> None:
            if self._replica.is_superseded(leader) and not limit.expired():
                limit.reschedule(min(limit.when() or inf, loop_s() + SUPERSEDED_S))

        async with asyncio.timeout(limit_s) as limit:
            with self._replica.telling(shorten):
                shorten()
                yield


def _most_bytes(request: web.Request) -> int:
    resource = request.match_info.route.resource
    return routes.most_bytes(request.method, resource.canonical if resource is not None else "")


async def _passed_on(
    request: web.Request, found: aiohttp.ClientResponse, limit: AbstractAsyncContextManager[None]
) -> web.StreamResponse:
    headers = {name: found.headers[name] for name in SENT_BACK if name in found.headers}
    answer = web.StreamResponse(status=found.status, headers=headers)
    if not await begin(answer, request):
        return answer
    try:
        async with limit:
            async for piece in found.content.iter_any():
                await send(answer, piece)
    except (aiohttp.ClientError, TimeoutError):
        if request.transport is not None:
            request.transport.abort()  # its head is on the way: only an end without an end says that it is cut short
    return answer


def _is_not_done(headers: Mapping[str, str]) -> bool:
    return NO_LEADER_HEADER in headers


def _cause(failure: Exception) -> str:
    if isinstance(failure, TimeoutError):
        return "no answer in time"
    return answer_fault(failure) or str(root(failure)) or type(failure).__name__
