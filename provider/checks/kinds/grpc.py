"""Mode grpc: the call `Check` of grpc.health.v1, over HTTP/2 from the first byte or chosen in the handshake of TLS.

Sources: grpc/doc/PROTOCOL-HTTP2.md and grpc/doc/health-checking.md. The two messages have one field each, so they are
written and read here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from provider.checks.exchange import Target, connect, context, has_chosen_http2
from provider.checks.http1 import BadAnswer, CutShort, NoAnswer
from provider.checks.result import ANSWER_BYTES, Check, CheckFailed, Seen
from provider.model import Probe
from provider.model.text import one_line

if TYPE_CHECKING:
    from provider.checks.http2 import Http2Answer

CALL = "/grpc.health.v1.Health/Check"
SERVING = 1
MESSAGE_CHARACTERS = 120
_WORDS = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
_CODES = (
    *("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS"),
    *("PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED"),
    *("INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"),
)
_PREFIX_BYTES = 5
_OURS = frozenset({"content-type", "te", "grpc-timeout", "grpc-accept-encoding", "grpc-encoding", "content-length"})


def prepare(probe: Probe) -> Check:
    """Return the check of one server. Raises ValueError for an invalid URL."""
    check, target = probe.check, Target.of(probe)
    own = [(name, value) for name, value in target.headers.items() if name.lower() not in _OURS]
    usual = [] if any(name.lower() == "user-agent" for name, _ in own) else [("user-agent", "bluegreen")]
    fields = (
        *own,
        *usual,
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("grpc-timeout", f"{min(max(1, int(check.timeout_s * 1000)), 99_999_999)}m"),
        ("grpc-accept-encoding", "identity"),
    )
    return _Call(target, fields, check.service, verify=not check.insecure_skip_verify)


@dataclass(frozen=True, slots=True)
class _Call:
    target: Target
    fields: tuple[tuple[str, str], ...]
    service: str
    verify: bool

    async def __call__(self, _: Seen) -> None:
        url, is_tls = self.target.url, self.target.url.scheme == "https"
        reader, writer = await connect(
            url.host or "", url.port, tls=context(verify=self.verify) if is_tls else None, name=self.target.name
        )
        try:
            if is_tls and not has_chosen_http2(writer):
                raise CheckFailed("no gRPC: the server did not choose HTTP/2 in the handshake of TLS")
            # Most servers speak HTTP/1, so a start does without the library.
            from provider.checks.http2 import Http2Answer  # noqa: PLC0415

            answer = Http2Answer(reader, writer)
            await answer.send_request(
                "https" if is_tls else "http", "POST", CALL, self.fields, body=_framed(_request(self.service))
            )
            await self._judge(answer)
        except BadAnswer as error:
            raise CheckFailed(f"no gRPC: {error}") from None
        except NoAnswer:
            raise CheckFailed("no gRPC: connection closed without an answer") from None
        except CutShort:
            raise CheckFailed("no gRPC: answer cut short") from None
        finally:
            writer.transport.abort()

    async def _judge(self, answer: "Http2Answer") -> None:
        """Read an answer, and raise CheckFailed where it is not that the service is serving."""
        kind = answer.field("content-type") or ""
        if answer.status != 200 or not kind.startswith("application/grpc"):
            what = one_line(kind, MESSAGE_CHARACTERS) or "no Content-Type"
            raise CheckFailed(f"no gRPC: {answer.status} with {what}, expected 200 with application/grpc")
        body = bytearray()
        while data := await answer.read():
            body += data
            if len(body) > ANSWER_BYTES:
                raise BadAnswer(f"its answer is longer than {ANSWER_BYTES // 1024} KiB")
        ended_by = answer.trailer if answer.trailer("grpc-status") is not None else answer.field
        code = ended_by("grpc-status") or ""
        if not re.fullmatch(r"[0-9]{1,3}", code):
            raise BadAnswer("its answer ends without a grpc-status")
        if int(code):
            raise CheckFailed(self._refusal(int(code), ended_by("grpc-message") or ""))
        word = _word(_status(_unframed(bytes(body))))
        if word != _WORDS[SERVING]:
            raise CheckFailed(f"{word}, expected SERVING")

    def _refusal(self, code: int, message: str) -> str:
        name = _CODES[code] if code < len(_CODES) else f"status {code}"
        text = one_line(unquote(message[: 4 * MESSAGE_CHARACTERS]), MESSAGE_CHARACTERS)
        cause = f"gRPC {name}: {text}" if text else f"gRPC {name}"
        match name:
            case "UNIMPLEMENTED":
                return f"{cause}; mode grpc needs a server with grpc.health.v1.Health"
            case "NOT_FOUND":
                return f"{cause}; healthCheck.service is {self.service!r}"
            case _:
                return cause


def _word(status: int) -> str:
    return _WORDS[status] if status < len(_WORDS) else f"status {status}"


# --- messages ---------------------------------------------------------------------------------------------------------


def _framed(message: bytes) -> bytes:
    return b"\0" + len(message).to_bytes(4, "big") + message


def _unframed(body: bytes) -> bytes:
    """Return the one message of a body. Raises BadAnswer."""
    if len(body) < _PREFIX_BYTES or len(body) != _PREFIX_BYTES + int.from_bytes(body[1:_PREFIX_BYTES], "big"):
        raise BadAnswer("its answer is not one message")
    if body[0]:
        raise BadAnswer("its answer is compressed, which the request did not ask for")
    return body[_PREFIX_BYTES:]


def _request(service: str) -> bytes:
    """Return a HealthCheckRequest; a text that is empty is left out."""
    name = service.encode()
    return b"\x0a" + _varint(len(name)) + name if name else b""


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*found, number))


def _status(message: bytes) -> int:
    """Return the status of a HealthCheckResponse, 0 where it has none; other fields are skipped. Raises BadAnswer."""
    status, rest = 0, iter(message)
    try:
        for first in rest:
            tag = _number(rest, first)
            match tag & 7:
                case 0:
                    value = _number(rest, next(rest))
                    status = value if tag >> 3 == 1 else status
                case 1:
                    _skip(rest, 8)
                case 2:
                    _skip(rest, _number(rest, next(rest)))
                case 5:
                    _skip(rest, 4)
                case _:
                    raise BadAnswer("its answer is no HealthCheckResponse")
    except StopIteration:
        raise BadAnswer("its answer is no HealthCheckResponse") from None
    return status


def _number(rest: Iterator[int], first: int) -> int:
    """Read a varint. Raises BadAnswer, and StopIteration where it does not end."""
    value, code = first & 0x7F, first
    for shift in range(7, 70, 7):
        if code < 0x80:
            return value
        code = next(rest)
        value |= (code & 0x7F) << shift
    if code < 0x80:
        return value
    raise BadAnswer("its answer is no HealthCheckResponse")


def _skip(rest: Iterator[int], count: int) -> None:
    for _ in range(min(count, ANSWER_BYTES)):
        next(rest)
