"""One bounded request for what an analysis reads."""

import asyncio
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from os import strerror
from ssl import SSLContext

import aiohttp
from aiohttp import hdrs
from yarl import URL

from provider.model.text import one_line, without_userinfo
from provider.runtime.connector import Connector
from provider.runtime.http import answer_fault, root
from provider.runtime.timeslice import Timeslice

LIMIT_S = 10.0
"""Maximum time of a request in all."""
ANSWER_BYTES = 128 * 1024 * 1024
"""Some three times the metrics of a Traefik with 2,000 services under load. Nothing of it is kept in memory."""
FAULT_BYTES = 64 * 1024
FED_BYTES = 16 * 1024
"""So much is taken apart at a time: a millisecond of work. Between two of them others have their turn."""


class NoAnswer(Exception):  # noqa: N818  what the other side did, not an error of ours
    """There is no answer that can be used; the text is the cause."""


FAULTS = (aiohttp.ClientError, OSError, UnicodeError, ValueError, NoAnswer)
"""What a request that brings no evidence raises; TimeoutError is an OSError."""


def open_session() -> aiohttp.ClientSession:
    """Return the session for all requests: it keeps connections, and no cookies."""
    return aiohttp.ClientSession(
        connector=Connector(most=2 * ANSWER_BYTES),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(),
        headers={"User-Agent": "bluegreen", "Accept-Encoding": "identity"},
        auto_decompress=False,
    )


async def fetch(
    session: aiohttp.ClientSession,
    url: URL,
    feed: Callable[[bytes], object],
    *,
    headers: Mapping[str, str],
    name: str | None = None,
    form: Mapping[str, str] | None = None,
    tls: SSLContext | bool = True,
    most: int | None = None,
) -> float | None:
    """Feed the body of a URL piece by piece; return when it was answered by the date in its head, in Unix seconds.

    With a `form` it is posted. `name` is the host that TLS asks for, and `most` the size of the answer, `ANSWER_BYTES`
    without it. Raises one of FAULTS.
    """
    got = 0
    async with (
        asyncio.timeout(LIMIT_S),
        session.request(
            "GET" if form is None else "POST",
            url,
            data=form,
            headers=headers,
            server_hostname=name,
            ssl=tls,
            allow_redirects=False,
        ) as answer,
    ):
        limit = FAULT_BYTES if answer.status != 200 else ANSWER_BYTES if most is None else most
        text, slices = bytearray(), Timeslice()
        async for piece in answer.content.iter_any():
            got += len(piece)
            if got > limit:
                raise NoAnswer(f"the answer is larger than {limit >> 10} KiB")
            if answer.status != 200:
                text += piece
                continue
            for begin in range(0, len(piece), FED_BYTES):  # what has come already does not give way by itself
                feed(piece[begin : begin + FED_BYTES])
                await slices.give_way()
    if answer.status != 200:
        raise NoAnswer(f"{answer.status} for {url.path}: {one_line(text, 200)}".removesuffix(": "))
    if hdrs.CONTENT_LENGTH not in answer.headers and hdrs.TRANSFER_ENCODING not in answer.headers:
        # Half of the counters would look like a process that started over, and the next answer like their requests.
        raise NoAnswer("the answer ends with its connection (HTTP/1.0?), so it may be cut off")
    return _dated_s(answer.headers.get("Date"))


def cause_of(error: Exception) -> str:
    """Return why there was no answer, for an operator."""
    error = root(error)
    if (cause := answer_fault(error)) is not None:
        return cause
    if isinstance(error, TimeoutError) and error.errno is None:
        return f"no answer within {LIMIT_S:g} s"
    if isinstance(error, OSError) and error.errno is not None:
        return strerror(error.errno).lower()
    return without_userinfo(one_line(error, 300)) or type(error).__name__


def _dated_s(text: str | None) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except (ValueError, OverflowError):
        return None
