"""HTTP/1: one request, and an answer read as the client in Traefik reads it, Go's net/http.

What Go accepts as an answer must pass here, and nothing else: a stricter parser would call servers unhealthy that
Traefik sends traffic to. Source: Go 1.26, `net/http` (response.go, transfer.go, internal/chunked.go) and
`net/textproto`; `tests/integration/test_answers.py` holds both against the same answers.
"""

import asyncio
import re
from collections.abc import Iterable

HEAD_BYTES = 1024 * 1024
"""Maximum length of a head, together with those of 1xx before it; Go takes ten times that."""
CHUNK_LINE_BYTES = 4096
CHUNK_EXCESS_BYTES = 16 * 1024
PIECE_BYTES = 64 * 1024

_VERSION = re.compile(rb"HTTP/([0-9])\.([0-9])")
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z ]+")
_NO_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_BLANK = b" \t"
_FORBIDDEN_TRAILERS = frozenset({"transfer-encoding", "trailer", "content-length"})


class BadAnswer(Exception):  # noqa: N818  the state of the server, not an error of ours
    """What came is no answer that Traefik accepts; the text says why, and quotes nothing of it."""


class CutShort(Exception):  # noqa: N818
    """The connection was closed before the end of the body."""


class NoAnswer(Exception):  # noqa: N818
    """The connection was closed before the end of the head."""


class Http1Answer:
    """The final answer to one request: `status`, its fields, and its body piece by piece."""

    def __init__(self, reader: asyncio.StreamReader, status: int, fields: dict[str, list[str]]) -> None:
        self.status = status
        self._reader, self._fields = reader, fields
        self._left: int | None = None
        self._is_chunked = self._has_begun = False
        self._excess = 0

    def field(self, name: str) -> str | None:
        """Return the first value of a field, by its name in lower case."""
        return self._fields.get(name, [None])[0]

    def expect(self, version: tuple[int, int], method: str) -> None:
        """Find out how the body ends; raises BadAnswer where that is ambiguous."""
        lengths, codings = self._fields.get("content-length", []), self._fields.get("transfer-encoding", [])
        if codings and version >= (1, 1):
            if len(codings) > 1 or codings[0].lower() != "chunked":
                raise BadAnswer("its Transfer-Encoding is not chunked")
            self._is_chunked = True
        if len(set(lengths)) > 1:
            raise BadAnswer("it has several Content-Length that differ")
        if lengths and not (re.fullmatch(r"[0-9]{1,30}", lengths[0]) and int(lengths[0]) < 2**63):
            raise BadAnswer("its Content-Length is no number")
        trailers = {name.strip().lower() for value in self._fields.get("trailer", []) for name in value.split(",")}
        if self._is_chunked and trailers & _FORBIDDEN_TRAILERS:
            raise BadAnswer("its Trailer names a field that ends the body")
        if method == "HEAD" or self.status in {204, 304} or self.status < 200:
            self._is_chunked, self._left = False, 0
        elif not self._is_chunked and lengths:
            self._left = int(lengths[0])

    async def read(self) -> bytes:
        """Return the next piece of the body, empty at its end; raises CutShort and BadAnswer."""
        if self._is_chunked:
            return await self._chunked()
        if self._left == 0:
            return b""
        data = await self._reader.read(PIECE_BYTES if self._left is None else min(PIECE_BYTES, self._left))
        if self._left is not None:
            if not data:
                raise CutShort
            self._left -= len(data)
        return data

    async def _chunked(self) -> bytes:
        if self._left == 0:
            return b""
        if self._left is None:
            if self._has_begun and await self._exactly(2) != b"\r\n":
                raise BadAnswer("a chunk is longer than it says")
            self._left, self._has_begun = await self._chunk_size(), True
            if self._left == 0:
                await self._trailers()
                return b""
        data = await self._reader.read(min(PIECE_BYTES, self._left))
        if not data:
            raise CutShort
        self._left = self._left - len(data) or None
        return data

    async def _chunk_size(self) -> int:
        line = await self._line(CHUNK_LINE_BYTES)
        if not line.endswith(b"\r\n"):
            raise BadAnswer("the size of a chunk does not end with CRLF")
        digits = line.rstrip().partition(b";")[0].rstrip()
        if not re.fullmatch(rb"[0-9a-fA-F]{1,16}", digits):
            raise BadAnswer("the size of a chunk is no number")
        size = int(digits, 16)
        self._excess = max(0, self._excess + len(line) + 2 - 16 - 2 * size)
        if self._excess > CHUNK_EXCESS_BYTES:
            raise BadAnswer("its chunks hold too little")
        return size

    async def _trailers(self) -> None:
        left = PIECE_BYTES
        while (line := await self._line(left)) != b"\r\n":
            left -= len(line)

    async def _line(self, left: int) -> bytes:
        try:
            return await _line(self._reader, left)
        except asyncio.IncompleteReadError:
            raise CutShort from None

    async def _exactly(self, count: int) -> bytes:
        try:
            return await self._reader.readexactly(count)
        except asyncio.IncompleteReadError:
            raise CutShort from None


def encode_request(method: str, target: str, fields: Iterable[tuple[str, str]]) -> bytes:
    """Return a request without a body. Raises ValueError for an invalid field."""
    lines = [f"{method} {target} HTTP/1.1"]
    for name, value in fields:
        if not _TOKEN.fullmatch(name) or _NO_VALUE.search(value.encode(errors="replace")):
            raise ValueError(f"{name!r} cannot be sent as a header")
        lines.append(f"{name}: {value.strip()}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode(errors="surrogateescape")


async def read_answer(reader: asyncio.StreamReader, method: str) -> Http1Answer:
    """Read up to the body of the final answer. Raises BadAnswer, NoAnswer."""
    left = HEAD_BYTES
    while True:
        try:
            version, status, left = await _status(reader, left)
            fields, left = await _fields(reader, left)
        except asyncio.IncompleteReadError:
            raise NoAnswer from None
        answer = Http1Answer(reader, status, fields)
        answer.expect(version, method)
        if not 100 <= status < 200 or status == 101:
            return answer


async def _status(reader: asyncio.StreamReader, left: int) -> tuple[tuple[int, int], int, int]:
    try:
        line = await _line(reader, left)
    except asyncio.IncompleteReadError as ended:
        line = ended.partial
        if b"HTTP/".startswith(line[:5]):
            raise
    left -= len(line)
    protocol, has_status, rest = _bare(line).partition(b" ")
    code = rest.lstrip(b" ").partition(b" ")[0]
    version = _VERSION.fullmatch(protocol)
    if not has_status or version is None:
        raise BadAnswer("it does not begin as an answer does")
    if not re.fullmatch(rb"[0-9]{3}", code):
        raise BadAnswer("its status is no number of three digits")
    return (int(version[1]), int(version[2])), int(code), left


async def _fields(reader: asyncio.StreamReader, left: int) -> tuple[dict[str, list[str]], int]:
    """Read the fields of a head; a line that begins with a blank goes on with the one before it."""
    fields: dict[str, list[str]] = {}
    name, values = "", list[bytes]()
    is_first = True
    while True:
        line = await _line(reader, left)
        left -= len(line)
        bare = _bare(line)
        goes_on = bare[:1] in (b" ", b"\t")
        if goes_on and is_first:
            raise BadAnswer("its first field begins with a blank")
        if goes_on:
            values.append(_checked(bare.strip(_BLANK)))
            continue
        if not is_first:
            fields.setdefault(name, []).append(b" ".join(values).strip(_BLANK).decode("latin-1"))
        if not bare:
            return fields, left
        written, has_colon, value = bare.partition(b":")
        if not has_colon or not _NAME.fullmatch(written):
            raise BadAnswer("the name of a field is none")
        name, values, is_first = written.decode().lower(), [_checked(value.strip(_BLANK))], False


def _checked(value: bytes) -> bytes:
    if _NO_VALUE.search(value):
        raise BadAnswer("a field has control characters")
    return value


def _bare(line: bytes) -> bytes:
    return line[:-2] if line.endswith(b"\r\n") else line[:-1]


async def _line(reader: asyncio.StreamReader, left: int) -> bytes:
    """Return the next line with its end; raises IncompleteReadError where the connection ends before it does."""
    try:
        line = await reader.readuntil(b"\n")
    except asyncio.LimitOverrunError:
        raise BadAnswer("a line of it does not end") from None
    if len(line) > left:
        raise BadAnswer(f"its head is longer than {HEAD_BYTES // 1024} KiB")
    return line
