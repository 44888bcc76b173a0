"""Reads the stream of a watch: lines, then messages with all their fragments, then what changed."""

from collections.abc import AsyncGenerator, AsyncIterator
from os import strerror

import aiohttp

from provider.model.text import one_line
from provider.runtime.http import answer_fault, root
from provider.store.etcd import wire
from provider.store.etcd.gateway import Changes, EtcdRefused, EtcdUncertain

ANSWER_BYTES = 64 * 1024 * 1024
"""Maximum size of an answer, and of one message of a watch with all its fragments."""


class TokenUnknown(EtcdUncertain):
    """A watch that etcd refused or ended because it does not know the token (any more)."""


async def messages(endpoint: str, answer: aiohttp.ClientResponse) -> AsyncGenerator[wire.Watched, None]:
    """Read the messages of a watch, each whole. Raises EtcdRefused where it is compacted, else EtcdUncertain."""
    whole: dict[int, wire.Watched] = {}
    sizes: dict[int, int] = {}
    async for line in _lines(endpoint, answer):
        message = _message(endpoint, line)
        first = whole.setdefault(message.watch_id, message)
        sizes[message.watch_id] = sizes.get(message.watch_id, 0) + len(line)
        if first is not message:
            first.events.extend(message.events)
        if sum(sizes.values()) > ANSWER_BYTES:
            raise EtcdUncertain(f"etcd at {endpoint}: a change longer than {ANSWER_BYTES >> 20} MiB")
        if not message.fragment:
            del whole[message.watch_id], sizes[message.watch_id]
            yield first


async def changes_of(early: list[wire.Watched], watched: AsyncIterator[wire.Watched]) -> AsyncGenerator[Changes, None]:
    """Return what messages say, first the early ones."""
    for message in early:
        for changes in wire.changes(message):
            yield changes
    async for message in watched:
        for changes in wire.changes(message):
            yield changes


def cause_of(failure: Exception) -> str:
    """Say why a request failed, in the words of the operating system where it has some."""
    cause = root(failure)
    if isinstance(cause, aiohttp.ConnectionTimeoutError):
        return "no connection in time"
    if isinstance(cause, TimeoutError):
        return "no answer in time"
    known = answer_fault(cause)
    if known is not None:
        return known
    if isinstance(cause, OSError) and cause.errno is not None and cause.errno > 0:
        return strerror(cause.errno).lower()
    return one_line(str(cause) or type(cause).__name__, 300)


def _message(endpoint: str, line: bytes) -> wire.Watched:
    """Read a line. Raises what ends the watch."""
    try:
        message = wire.streamed(wire.Watched, line)
    except wire.WireError as failure:
        raise EtcdUncertain(f"etcd at {endpoint}: a watch that is not etcd's: {failure}") from failure
    if isinstance(message, wire.Fault):
        raise _ended(endpoint, message.message, is_login=message.is_login)
    if message.canceled:
        if message.compact_revision:
            raise EtcdRefused(f"etcd at {endpoint}: compacted up to {message.compact_revision}")
        raise _ended(endpoint, message.cancel_reason, is_login="auth token" in message.cancel_reason)
    return message


def _ended(endpoint: str, why: str, *, is_login: bool) -> EtcdUncertain:
    text = f"etcd at {endpoint}: ended a watch: {one_line(why, 300) or 'no reason given'}"
    return TokenUnknown(text) if is_login else EtcdUncertain(text)


async def _lines(endpoint: str, answer: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
    """Read the lines of a stream. Raises EtcdUncertain when it ends, which a watch never does by itself."""
    if answer.status != 200:
        fault = wire.fault(await answer.content.read(65536))
        why = fault.message if fault is not None else f"HTTP {answer.status}"
        raise _ended(endpoint, why, is_login=fault is not None and fault.is_login)
    rest = bytearray()
    try:
        async for piece in answer.content.iter_any():
            begin = len(rest)
            rest += piece
            while (end := rest.find(b"\n", begin)) >= 0:
                line = bytes(rest[:end])
                del rest[: end + 1]
                begin = 0
                if line.strip():
                    yield line
            if len(rest) > ANSWER_BYTES:
                raise EtcdUncertain(f"etcd at {endpoint}: a message longer than {ANSWER_BYTES >> 20} MiB")
    except (aiohttp.ClientError, OSError) as failure:
        raise EtcdUncertain(f"etcd at {endpoint}: {cause_of(failure)}") from failure
    raise EtcdUncertain(f"etcd at {endpoint}: ended a watch")
