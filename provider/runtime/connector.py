"""Connections for aiohttp that look a name up each time, and limit the size of an answer and its head.

aiohttp limits the lines of a head and their number, but not the informational answers (1xx) before the real one: a
flood of them would be parsed endlessly and hold up everything else.
"""

import functools
from asyncio import AbstractEventLoop
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpProcessingError, RawResponseMessage
from aiohttp.streams import StreamReader

from provider.runtime.resolver import Resolver

if TYPE_CHECKING:
    from collections.abc import Callable

HEAD_BYTES = 256 * 1024
"""Maximum size of everything before a body, informational answers included."""
INFORMATIONAL_MOST = 16
"""Maximum number of answers 1xx before the real one."""
PIECE_BYTES = 4 * 1024
"""A head is parsed in pieces of this size, so that a flood of answers in it is noticed early."""
BODY_PIECE_BYTES = 32 * 1024


class Connector(aiohttp.TCPConnector):
    """Looks names up each time, in threads; `most` is the maximum size of an answer, with its head and framing."""

    def __init__(self, *, most: int) -> None:
        super().__init__(limit=0, use_dns_cache=False, resolver=Resolver())
        # aiohttp has no other place where a protocol can be given to it.
        protocol: Callable[..., ResponseHandler] = _Protocol
        self._factory = functools.partial(protocol, loop=self._loop, most=most)


class _Protocol(ResponseHandler):
    """Counts the bytes of an answer."""

    def __init__(self, loop: AbstractEventLoop, most: int) -> None:
        super().__init__(loop)
        self._most = most
        self._has_head = False
        self._bytes = self._head_bytes = self._informational = 0

    def set_response_params(self, **params: Any) -> None:
        """Begin with another answer on this connection."""
        self._has_head = False
        self._bytes = self._head_bytes = self._informational = 0
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        """Process received bytes; until the head is over, piece by piece."""
        self._bytes += len(data)
        if self._bytes > self._most:  # extensions of chunks and trailers are no body, and no end of them either
            self._refuse(f"an answer longer than {self._most >> 20} MiB")
            return
        begin = 0
        while begin < len(data) and not self._has_head:
            piece = data[begin : begin + PIECE_BYTES]
            begin += len(piece)
            self._head_bytes += len(piece)
            super().data_received(piece)
            if self._is_over:
                return
        if self._head_bytes > HEAD_BYTES:
            self._refuse(f"a head longer than {HEAD_BYTES >> 10} KiB")
            return
        if not data:
            super().data_received(data)
        for start in range(begin, len(data), BODY_PIECE_BYTES):
            super().data_received(data[start : start + BODY_PIECE_BYTES])
            if self._is_over:
                return

    @property
    def _is_over(self) -> bool:
        return self.transport is None or self.transport.is_closing()

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """Take the head of an answer. Informational ones are counted and dropped."""
        code = data[0].code
        if not 100 <= code <= 199 or code == HTTPStatus.SWITCHING_PROTOCOLS:
            if self._has_head:
                self._refuse("a second answer to one request")
                return
            self._has_head = True
            super().feed_data(data, size)
            return
        self._informational += 1
        if self._informational == INFORMATIONAL_MOST + 1:
            self._refuse(f"more than {INFORMATIONAL_MOST} answers 1xx")

    def _refuse(self, what: str) -> None:
        if self.transport is not None:
            self.transport.abort()
        self.set_exception(HttpProcessingError(code=0, message=what))
