"""A client of etcd's JSON gateway over aiohttp: see `gateway` for what it promises.

It talks to one member at a time, the first that was named, and moves on to the next when that one fails. A request goes
to another member only where it was surely not sent, or the member said that it has no leader and did nothing. Whatever
fails once a connection was there is uncertain, and nothing here sends it again.
"""

import asyncio
import io
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TypeVar

import aiohttp
import orjson
import structlog

from provider.model.text import one_line
from provider.runtime.connector import Connector
from provider.runtime.files import FileRefused, Followed
from provider.store.etcd import stream, wire
from provider.store.etcd.address import Credentials, EtcdAddress, read_context, read_credentials
from provider.store.etcd.gateway import (
    Answer,
    Changes,
    Compare,
    EtcdRefused,
    EtcdUncertain,
    Get,
    KeyRange,
    Operation,
)
from provider.store.etcd.stream import TokenUnknown, cause_of, changes_of, messages

T = TypeVar("T")

log = structlog.get_logger("bluegreen")

CONNECT_S = 0.5
TRANSACTION_S = 2.0
LEASE_S = 1.0
LOGIN_S = 2.0
STATUS_S = 2.0
WATCH_S = 2.0
"""How long etcd may take to confirm a watch."""
CLOSED = "this replica has closed its connections, as it ends"
STREAM_BYTES = 1 << 62
"""A watch has no end: its messages are limited one by one."""
HAS_LEADER = {"Grpc-Metadata-hasleader": "true"}
"""With it a member that has lost its leader refuses at once, instead of keeping what it cannot do until it is late."""


def connect(address: EtcdAddress, credentials: Path | None) -> "JsonGateway":
    """Return a gateway to the members of an address, for the user in a file.

    Certificates and password are read again when their files change; while those are broken, what they said before goes
    on. Raises FileRefused where they cannot be used now.
    """
    context = Followed(address.certificates, partial(read_context, address), _report)
    context.current()
    if credentials is None:
        return JsonGateway(address.endpoints, context=context.current)
    user = Followed((credentials,), partial(read_credentials, credentials), _report)
    user.current()
    return JsonGateway(address.endpoints, context=context.current, credentials=user.current)


def _report(refusal: FileRefused | None) -> None:
    if refusal is None:
        log.info("what etcd is asked with was read again")
    else:
        log.error("a changed file was refused, what it said before goes on", problem=str(refusal))


class _NotDone(Exception):  # noqa: N818
    """A request that was surely not done; `elsewhere` tells whether another member may do it."""

    def __init__(self, why: str, *, elsewhere: bool) -> None:
        super().__init__(why)
        self.elsewhere = elsewhere


class _UnknownToken(Exception):  # noqa: N818
    """A member that does not know the token, and so did nothing."""


@dataclass(slots=True)
class _Sending:
    """How far a request has come: once there is a connection, any part of it may have gone out.

    One that `may_be_old` is answered also by a member without a leader; one that is `is_reading` has no outcome.
    """

    endpoint: str = ""
    may_be_sent: bool = False
    is_reading: bool = False
    may_be_old: bool = False

    @property
    def outcome(self) -> str:
        """What is to be said of it once it may have been sent, behind the cause."""
        return "" if self.is_reading else ": the outcome is unknown"


class JsonGateway:
    """See `provider.store.etcd.gateway.Gateway`.

    `context` is asked at every request, and connections are kept for as long as it stays the same; `credentials` are
    asked at every login.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        context: Callable[[], ssl.SSLContext | None] = lambda: None,
        credentials: Callable[[], Credentials | None] = lambda: None,
    ) -> None:
        self._endpoints = tuple(endpoints)
        self._context, self._credentials = context, credentials
        self._current = 0
        self._next_watch = 0
        self._session: aiohttp.ClientSession | None = None
        self._streams: aiohttp.ClientSession | None = None
        self._is_closed = False
        self._token = ""
        self._logging_in = asyncio.Lock()

    async def transact(
        self, compares: Sequence[Compare], then: Sequence[Operation], otherwise: Sequence[Operation] = ()
    ) -> Answer:
        """Do a transaction."""
        is_reading = all(isinstance(each, Get) for each in (*then, *otherwise))
        looks = not compares and not otherwise
        may_be_old = looks and all(isinstance(each, Get) and each.is_serializable for each in then)
        body = wire.transaction(compares, then, otherwise)
        text = await self._ask("/v3/kv/txn", body, TRANSACTION_S, is_reading=is_reading, may_be_old=may_be_old)
        return self._read(lambda: wire.answer(text, then, otherwise))

    async def grant(self, ttl_s: int) -> int:
        """Make a lease."""
        text = await self._ask("/v3/lease/grant", orjson.dumps({"TTL": str(ttl_s)}), LEASE_S)
        lease = self._read(lambda: wire.parse(wire.Lease, text)).ID
        if lease == 0:
            raise EtcdUncertain("etcd made a lease without an id")
        return lease

    async def keep_alive(self, lease: int) -> bool:
        """Have a lease begin again."""
        text = await self._ask("/v3/lease/keepalive", orjson.dumps({"ID": str(lease)}), LEASE_S)
        first = text.partition(b"\n")[0]
        read = self._read(lambda: wire.streamed(wire.Lease, first))
        if isinstance(read, wire.Fault):
            raise EtcdUncertain(f"etcd did not say whether a lease lasts: {read.message}")
        return read.TTL > 0

    async def revoke(self, lease: int) -> None:
        """End a lease; one that has ended is that, too."""
        try:
            await self._ask("/v3/lease/revoke", orjson.dumps({"ID": str(lease)}), LEASE_S)
        except EtcdRefused as refusal:
            if "lease not found" not in str(refusal):
                raise

    @asynccontextmanager
    async def watch(self, ranges: Sequence[KeyRange], from_revision: int) -> AsyncIterator[AsyncIterator[Changes]]:
        """Follow ranges of keys."""
        endpoint = self._endpoints[self._next_watch % len(self._endpoints)]
        self._next_watch += 1
        sending = _Sending()
        body = wire.watches(ranges, from_revision)
        try:
            async with asyncio.timeout(WATCH_S):
                token = await self._log_in(endpoint)
                answer = await self._send(endpoint, "/v3/watch", body, token, sending, self._stream_session())
        except (_NotDone, _UnknownToken) as failure:
            raise EtcdRefused(f"etcd at {endpoint}: {failure}") from failure
        except (aiohttp.ClientError, OSError) as failure:  # TimeoutError is one
            raise EtcdUncertain(f"etcd at {endpoint}: {cause_of(failure)}") from failure
        try:
            async with answer, aclosing(messages(endpoint, answer)) as watched:
                early = await self._confirmed(endpoint, watched, len(ranges))
                async with aclosing(changes_of(early, watched)) as changes:
                    yield changes
        except TokenUnknown:
            self._forget(token)
            raise

    async def status(self) -> wire.Status:
        """Return what the present member says of itself."""
        text = await self._ask("/v3/maintenance/status", b"{}", STATUS_S, is_reading=True, may_be_old=True)
        return self._read(lambda: wire.parse(wire.Status, text))

    async def quota_bytes(self) -> int:
        """Return how large the database of the present member may become; 0 where its metrics do not say."""
        endpoint = self._endpoints[self._current]
        try:
            async with (
                asyncio.timeout(STATUS_S),
                self._plain_session().get(
                    f"{endpoint}/metrics",
                    ssl=self._context() or True,
                    allow_redirects=False,
                    trace_request_ctx=_Sending(),
                ) as answer,
            ):
                return wire.quota_bytes(await answer.read()) if answer.status == 200 else 0
        except (aiohttp.ClientError, OSError):
            return 0

    async def members(self) -> int:
        """Return how many members the cluster has, as the present one knows it."""
        text = await self._ask("/v3/cluster/member/list", b"{}", STATUS_S, is_reading=True, may_be_old=True)
        return len(self._read(lambda: wire.parse(wire.Members, text)).members)

    async def close(self) -> None:
        """Close all connections; what is asked from then on, such as for a poll while the process ends, is refused."""
        self._is_closed = True
        for session in (self._session, self._streams):
            if session is not None:
                await session.close()
        self._session = self._streams = None

    async def _ask(
        self, path: str, body: bytes, limit_s: float, *, is_reading: bool = False, may_be_old: bool = False
    ) -> bytes:
        """Send a request to the first member that takes it; return its answer."""
        sending = _Sending(is_reading=is_reading, may_be_old=may_be_old)
        refusals: list[str] = []
        try:
            async with asyncio.timeout(limit_s):
                for _ in self._endpoints:
                    answer = await self._ask_one(path, body, sending, refusals)
                    if answer is not None:
                        return answer
        except TimeoutError as failure:
            why = f"no answer within {limit_s:g} s"
            if sending.may_be_sent:
                raise EtcdUncertain(f"etcd at {sending.endpoint}: {why}{sending.outcome}") from failure
            refusals.append(f"{sending.endpoint}: {why}")
        raise EtcdRefused(f"etcd: {'; '.join(refusals)}")

    async def _ask_one(self, path: str, body: bytes, sending: _Sending, refusals: list[str]) -> bytes | None:
        """Send a request to the present member; None where another one may take it."""
        endpoint = sending.endpoint = self._endpoints[self._current]
        sending.may_be_sent = is_well = False
        try:
            answer = await self._logged_in(endpoint, path, body, sending)
            is_well = True
        except _NotDone as failure:
            refusals.append(f"{endpoint}: {failure}")
            if not failure.elsewhere:
                is_well = True
                raise EtcdRefused(f"etcd: {'; '.join(refusals)}") from failure
        except (aiohttp.ClientError, OSError) as failure:  # not TimeoutError of asyncio.timeout: that cancels
            cause = cause_of(failure)
            if sending.may_be_sent:
                raise EtcdUncertain(f"etcd at {endpoint}: {cause}{sending.outcome}") from failure
            refusals.append(f"{endpoint}: {cause}")
        else:
            return answer
        finally:
            if not is_well and self._endpoints[self._current] == endpoint:  # else another request has moved on
                self._current = (self._current + 1) % len(self._endpoints)
        return None

    async def _logged_in(self, endpoint: str, path: str, body: bytes, sending: _Sending) -> bytes:
        """Send a request with a token; once more with a new one where the first is not known."""
        token = await self._log_in(endpoint)
        try:
            return await self._exchange(endpoint, path, body, token, sending)
        except _UnknownToken:
            self._forget(token)
            token = await self._log_in(endpoint)
        sending.may_be_sent = False
        try:
            return await self._exchange(endpoint, path, body, token, sending)
        except _UnknownToken as failure:
            raise _NotDone("knows no token that it gave a moment ago", elsewhere=True) from failure

    async def _exchange(self, endpoint: str, path: str, body: bytes, token: str, sending: _Sending) -> bytes:
        """Send a request once. Raises _NotDone, EtcdUncertain, and what aiohttp raises."""
        async with await self._send(endpoint, path, body, token, sending, self._plain_session()) as answer:
            text = await answer.read()
        if answer.status == 200:
            return text
        fault = wire.fault(text)
        if fault is None:
            raise EtcdUncertain(f"etcd at {endpoint}: HTTP {answer.status} and no word of etcd: {one_line(text, 100)}")
        if fault.is_login and (token or self._credentials() is not None):
            raise _UnknownToken(fault.message)
        if fault.is_surely_not_done:
            raise _NotDone(str(fault), elsewhere=fault.is_of_this_member)
        raise EtcdUncertain(f"etcd at {endpoint}: {fault} (code {fault.code})")

    async def _send(
        self, endpoint: str, path: str, body: bytes, token: str, sending: _Sending, session: aiohttp.ClientSession
    ) -> aiohttp.ClientResponse:
        return await session.post(
            f"{endpoint}{path}",
            data=io.BytesIO(body),  # aiohttp warns of long bytes
            headers=({} if sending.may_be_old else HAS_LEADER) | ({"Authorization": token} if token else {}),
            ssl=self._context() or True,
            allow_redirects=False,
            trace_request_ctx=sending,
        )

    async def _log_in(self, endpoint: str) -> str:
        """Return the token to send, "" where there are no credentials. Raises what `_exchange` raises.

        Tokens are known to all members that were up when they were given, so one is kept for all.
        """
        credentials = self._credentials()
        if credentials is None or self._token:
            return self._token
        async with self._logging_in:
            if not self._token:
                body = orjson.dumps({"name": credentials.user, "password": credentials.password})
                try:
                    async with asyncio.timeout(LOGIN_S):
                        text = await self._exchange(endpoint, "/v3/auth/authenticate", body, "", _Sending())
                except _NotDone as refusal:
                    if "authentication is not enabled" in str(refusal):
                        return ""
                    if "authentication failed" in str(refusal):
                        why = f"does not know user {credentials.user!r} with the password in {credentials.place}"
                        raise _NotDone(why, elsewhere=False) from refusal
                    raise
                except EtcdUncertain as failure:  # a login does nothing that could be done
                    raise _NotDone(f"no login: {failure}", elsewhere=True) from failure
                self._token = self._read(lambda: wire.parse(wire.Token, text)).token
            return self._token

    def _forget(self, token: str) -> None:
        if self._token == token:
            self._token = ""

    async def _confirmed(self, endpoint: str, watched: AsyncIterator[wire.Watched], count: int) -> list[wire.Watched]:
        """Wait until all watches are there; return what the first of them saw before the last one was."""
        early: list[wire.Watched] = []
        try:
            async with asyncio.timeout(WATCH_S):
                while count:
                    message = await anext(watched)
                    count -= message.created
                    early.append(message)
        except TimeoutError as failure:
            raise EtcdUncertain(f"etcd at {endpoint}: did not confirm a watch within {WATCH_S:g} s") from failure
        return early

    def _plain_session(self) -> aiohttp.ClientSession:
        if self._is_closed:
            raise aiohttp.ClientConnectionError(CLOSED)
        if self._session is None:
            self._session = _open_session(stream.ANSWER_BYTES)
        return self._session

    def _stream_session(self) -> aiohttp.ClientSession:
        if self._is_closed:
            raise aiohttp.ClientConnectionError(CLOSED)
        if self._streams is None:
            self._streams = _open_session(STREAM_BYTES)
        return self._streams

    @staticmethod
    def _read(read: Callable[[], T]) -> T:
        try:
            return read()
        except wire.WireError as failure:
            raise EtcdUncertain(f"etcd: an answer that is not etcd's: {failure}") from failure


def _open_session(most_bytes: int) -> aiohttp.ClientSession:
    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(_note_connection)
    trace.on_connection_reuseconn.append(_note_connection)
    return aiohttp.ClientSession(
        connector=Connector(most=most_bytes),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(connect=CONNECT_S),
        headers={"User-Agent": "bluegreen", "Accept-Encoding": "identity", "Content-Type": "application/json"},
        auto_decompress=False,
        trace_configs=[trace],
    )


async def _note_connection(_session: aiohttp.ClientSession, context: SimpleNamespace, _parameters: object) -> None:
    context.trace_request_ctx.may_be_sent = True
