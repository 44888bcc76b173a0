"""One answer to a smoke test: what is kept of it, and how it differs from what the test expects."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from encodings import normalize_encoding
from encodings.aliases import aliases

from provider.checks.exchange import Target, send_request
from provider.checks.http1 import BadAnswer, CutShort
from provider.checks.result import CheckResult, request_fault
from provider.model import SmokeTest
from provider.model.durations import written
from provider.model.observed import Result
from provider.model.text import integer, struck

BODY_BYTES = 1024 * 1024
"""The maximum that is read of a body."""
EXCERPT_CHARACTERS = 200
QUOTED_CHARACTERS = 80
CHARSETS = frozenset(
    {"utf_8", "ascii", "latin_1", "utf_16", "utf_16_le", "utf_16_be", "utf_32", "utf_32_le", "utf_32_be", "koi8_r"}
    | {"koi8_u", "shift_jis", "euc_jp", "iso2022_jp", "euc_kr", "gb2312", "gbk", "gb18030", "big5", "mac_roman"}
    | {f"iso8859_{number}" for number in (*range(2, 12), *range(13, 17))}
    | {"cp874", "cp866", *(f"cp{number}" for number in range(1250, 1259))}
)
"""The charsets that answers are read in, by Python's names for them: each takes time in proportion to the answer."""


class _Untestable(Exception):  # noqa: N818  what this daemon cannot do says nothing about the server
    """A smoke test cannot be made there; the text is the cause."""


@dataclass(slots=True)
class SmokeAnswer:
    """The part of an answer that has arrived. `status` is None before that; `text` is the body as far as it is text."""

    status: int | None = None
    kind: str = ""
    location: str | None = None
    text: str = ""
    is_longer: bool = False

    def mismatch(self, test: SmokeTest) -> str | None:
        """Return how this differs from the answer that the test expects; None where it does not."""
        if self.status != test.status:
            place = f" to {cited(self.location, test)}" if self.location else ""
            return f"{self.status}{place}, expected {test.status}"
        if test.contains is not None and test.contains not in self.text:
            return f"the answer does not contain {_short(test.contains)!r}{self._why_not(test)}"
        if not test.json:
            return None
        try:
            document = json.loads(self.text.removeprefix("\ufeff"), parse_int=integer)
        except (ValueError, RecursionError):
            return f"the answer is no JSON ({cited(self.kind, test) or 'without a Content-Type'}){self._why_not(test)}"
        return next(
            (cause for path, expected in test.json if (cause := _differs(document, path, expected, test))), None
        )

    def _why_not(self, test: SmokeTest) -> str:
        if self.is_longer:
            return ": it is longer than 1 MiB, and no more is read"
        return ": it has no body, as with every HEAD" if test.method == "HEAD" else ""


async def receive(target: Target, test: SmokeTest, answer: SmokeAnswer) -> None:
    """Make the request and fill `answer` as it arrives; raises what stopped it."""
    async with send_request(target, test.method, target.url, verify=not test.insecure_skip_verify) as received:
        answer.status = received.status
        answer.kind, charset = _media_type(received.field("content-type"))
        answer.location = received.field("location") if 300 <= received.status < 400 else None
        encoding = (received.field("content-encoding") or "identity").lower()
        body = bytearray()
        try:
            while len(body) <= BODY_BYTES and (data := await received.read()):
                body += data
        finally:
            answer.is_longer = len(body) > BODY_BYTES
            if encoding == "identity":
                answer.text = _decoded(bytes(body[:BODY_BYTES]), charset)
    if encoding != "identity" and (test.contains is not None or test.json) and answer.status == test.status:
        raise _Untestable(
            f"not tested: the answer is compressed ({cited(encoding, test)}), and the request asks for identity"
        )


def _media_type(written: str | None) -> tuple[str, str | None]:
    """Split a Content-Type into what it is, in lower case, and its charset."""
    header = Message()
    header["Content-Type"] = (written or "")[:EXCERPT_CHARACTERS]
    return header.get_content_type() if written else "", header.get_content_charset()


def _decoded(body: bytes, charset: str | None) -> str:
    """Return a body as text; of a charset that is not among those that the web uses, as UTF-8.

    Python's other codecs are no charsets: punycode takes minutes for a megabyte, in which nothing else is answered.
    """
    written = normalize_encoding((charset or "utf-8")[:QUOTED_CHARACTERS]).lower()
    name = aliases.get(written, written)  # not Python's look-up, which caches every name
    return body.decode(name if name in CHARSETS else "utf-8", errors="replace")


def fault(error: Exception, answer: SmokeAnswer, server: str, test: SmokeTest, *, late_s: float) -> CheckResult | None:
    """Return why a test stopped: an answer that is wrong as far as it came (a fail), else no evidence (an error).

    None for an unknown error, which is a bug. `late_s` is how long after its deadline the test noticed it.
    """
    if answer.status is not None and answer.status != test.status:
        return CheckResult(Result.FAIL, answer.mismatch(test))
    found = request_fault(error, server=server, timeout_s=test.timeout_s, late_s=late_s)
    match error:
        case _Untestable():
            return CheckResult(Result.ERROR, str(error))
        case CutShort():
            return CheckResult(Result.FAIL, f"{answer.status}, and then the answer is cut short")
        case BadAnswer():
            return CheckResult(Result.FAIL, f"not HTTP: {error}")
        case TimeoutError(errno=None) if answer.status is not None and found and found.result is Result.FAIL:
            after = written(test.timeout_s)
            return CheckResult(
                Result.ERROR, f"timed out after {after}: {answer.status} came, the end of its body did not"
            )
    return found and CheckResult(Result.ERROR, found.cause)


# --- JSON -------------------------------------------------------------------------------------------------------------


def _differs(document: object, path: str, expected: object, test: SmokeTest) -> str | None:
    """Return how the value at a dotted path differs from the expected one; None where it does not."""
    try:
        found = _at(document, path)
    except LookupError:
        return f"the JSON has no {path}, expected {_short(_written(expected))}"
    return (
        None
        if _same(found, expected)
        else f"{path} is {cited(_written(found), test)}, expected {_short(_written(expected))}"
    )


def _at(value: object, path: str) -> object:
    """Follow a dotted path of keys and positions in lists. What is left of it may be a key that has dots itself.

    Raises LookupError where it leads nowhere.
    """
    if isinstance(value, dict) and path in value:
        return value[path]
    step, dot, rest = path.partition(".")
    match value:
        case dict():
            inner = value[step]
        case list() if step.isascii() and step.isdigit():
            inner = value[int(step)]
        case _:
            raise LookupError(step)
    return _at(inner, rest) if dot else inner


def _same(found: object, expected: object) -> bool:
    """Compare as JSON does: 1 is 1.0, but true is not 1."""
    match expected:
        case Mapping():
            if not isinstance(found, dict) or found.keys() != expected.keys():
                return False
            return all(_same(found[key], value) for key, value in expected.items())
        case list() | tuple():
            if not isinstance(found, list) or len(found) != len(expected):
                return False
            return all(_same(*pair) for pair in zip(found, expected, strict=True))
        case bool() | None:
            return found is expected
    return not isinstance(found, bool) and found == expected


def _written(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


# --- quoting ----------------------------------------------------------------------------------------------------------


def _short(text: str) -> str:
    return text if len(text) <= QUOTED_CHARACTERS else f"{text[: QUOTED_CHARACTERS - 3]}..."


def cited(text: str, test: SmokeTest, length: int = QUOTED_CHARACTERS) -> str:
    """Return the beginning of a server's text on one line, without the values of the test's headers."""
    text = struck(text, test.headers)
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in " ".join(text.split())[:length])
