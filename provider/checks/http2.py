"""HTTP/2: one request over a connection of its own.

For servers that speak it from the first byte (h2c), and those that choose it in the TLS handshake.
"""

import asyncio
import re
from collections import deque
from collections.abc import Iterable, Iterator

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import ProtocolError

from provider.checks.http1 import BadAnswer, CutShort, NoAnswer

PIECE_BYTES = 64 * 1024
OVERHEAD_BYTES = 256 * 1024
"""The maximum that may arrive besides the body: frames without data, fields, padding."""
_OF_CONNECTION = frozenset(
    {"connection", "host", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"}
)
FRAME_BYTES = 16 * 1024
"""The maximum of a frame, behind its head: a request asks for no longer ones (RFC 9113, 4.2)."""
_HEAD_BYTES, _KIND_AT = 9, 3
_SETTINGS, _GOAWAY = 4, 7
_TAKES_TRAILERS = ("te", "trailers")


class Http2Answer:
    """The answer to one request: `status`, its fields, and its body piece by piece."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.status = 0
        self._reader, self._writer = reader, writer
        self._connection = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self._fields: dict[str, str] = {}
        self._trailers: dict[str, str] = {}
        self._body: deque[bytes] = deque()
        self._rest = bytearray()
        self._has_begun = self._has_ended = False
        self._left = OVERHEAD_BYTES

    def field(self, name: str) -> str | None:
        """Return the first value of a field, by its name in lower case."""
        return self._fields.get(name)

    def trailer(self, name: str) -> str | None:
        """Return the first value of a field behind the body, by its name in lower case."""
        return self._trailers.get(name)

    async def send_request(
        self, scheme: str, method: str, target: str, fields: Iterable[tuple[str, str]], body: bytes = b""
    ) -> None:
        """Send a request, and read up to the body of its answer. Raises BadAnswer, NoAnswer.

        `body` fits into the first frame, of 16 KiB.
        """
        fields = tuple(fields)
        host = next(value for name, value in fields if name.lower() == "host")
        head = [(":method", method), (":scheme", scheme), (":authority", host), (":path", target)]
        head += [
            (name.lower(), value)
            for name, value in fields
            if name.lower() not in _OF_CONNECTION or (name.lower(), value) == _TAKES_TRAILERS
        ]
        self._connection.initiate_connection()
        self._stream = self._connection.get_next_available_stream_id()
        self._connection.send_headers(self._stream, head, end_stream=not body)
        if body:
            self._connection.send_data(self._stream, body, end_stream=True)
        self._writer.write(self._connection.data_to_send())
        while not self.status:
            if self._has_ended or not await self._receive():
                raise NoAnswer

    async def read(self) -> bytes:
        """Return the next piece of the body, empty at its end; raises CutShort and BadAnswer."""
        while not self._body:
            if self._has_ended:
                return b""
            if not await self._receive():
                raise CutShort
        data = self._body.popleft()
        self._left += len(data)
        return data

    async def _receive(self) -> bool:
        """Process what has arrived; return whether anything has."""
        data = await self._reader.read(PIECE_BYTES)
        self._left -= len(data)
        if self._left < 0:
            raise BadAnswer("frame upon frame comes, and hardly a body")
        try:
            for frame in self._frames(data):
                for event in self._connection.receive_data(frame):
                    self._take(event)
        except ProtocolError as error:
            raise BadAnswer(f"it is no HTTP/2, {type(error).__name__}") from error
        self._writer.write(self._connection.data_to_send())
        return bool(data)

    def _frames(self, data: bytes) -> Iterator[bytes]:
        """Yield each whole frame that has come, but for one that says that no further request is taken.

        The answer to this one still follows, and h2 would take no more: so end Go's servers a connection that their
        handlers want closed.
        """
        self._rest += data
        while len(self._rest) >= _HEAD_BYTES:
            if not self._has_begun:
                self._begin()
            length = _HEAD_BYTES + int.from_bytes(self._rest[:_KIND_AT])
            if length > _HEAD_BYTES + FRAME_BYTES:
                raise BadAnswer("it is no HTTP/2, a frame is longer than 16 KiB")
            if len(self._rest) < length:
                return
            frame = bytes(self._rest[:length])
            del self._rest[:length]
            if not self._is_farewell(frame):
                yield frame

    def _begin(self) -> None:
        """Look at how the answer begins: h2 would wait for the end of what is no frame."""
        if self._rest.startswith(b"HTTP/"):
            raise BadAnswer("it is no HTTP/2, but HTTP/1")
        if self._rest[_KIND_AT] != _SETTINGS:
            raise BadAnswer("it is no HTTP/2, which begins with SETTINGS")
        self._has_begun = True

    def _is_farewell(self, frame: bytes) -> bool:
        last, code = (int.from_bytes(frame[_HEAD_BYTES + at : _HEAD_BYTES + at + 4]) for at in (0, 4))
        return frame[_KIND_AT] == _GOAWAY and last & 0x7FFFFFFF >= self._stream and code == ErrorCodes.NO_ERROR

    def _take(self, event: Event) -> None:
        match event:
            case ResponseReceived(headers=headers):
                self._fields = _read(headers)
                status = self._fields.pop(":status", "")
                if not re.fullmatch(r"[1-9][0-9]{2}", status):
                    raise BadAnswer("its status is no number of three digits")
                self.status = int(status)
            case TrailersReceived(headers=headers):
                self._trailers = _read(headers)
            case DataReceived(data=bytes(data), flow_controlled_length=int(length)):
                self._body.append(data)
                if length:
                    self._connection.acknowledge_received_data(length, self._stream)
            case StreamEnded():
                self._has_ended = True
            case StreamReset(error_code=code) if code == ErrorCodes.NO_ERROR and self.status:
                self._has_ended = True  # the answer is complete, and the server needs no more of the request
            case StreamReset(error_code=code) | ConnectionTerminated(error_code=code) if not self._has_ended:
                raise BadAnswer(f"it ended the request with {_named(code)}")
            case _:
                pass


def _read(headers: Iterable[tuple[bytes, bytes]] | None) -> dict[str, str]:
    """Return the first value of each field."""
    return {
        bytes(name).decode("latin-1"): bytes(value).decode("latin-1") for name, value in reversed([*(headers or ())])
    }


def _named(code: object) -> str:
    return f"{code.name}" if isinstance(code, ErrorCodes) else f"error {code}"
