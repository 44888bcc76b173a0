"""Untrusted text: made valid and short where it enters, and harmless where people read it.

Labels, headers, and answers of servers, Traefik and engines are untrusted. `clean` is called wherever such text enters,
so that no answer of ours fails on a lone surrogate or grows without limit. `escaped` is called wherever text is shown
to people, so that a terminal or a log shows a control character instead of obeying it. `struck` and `without_userinfo`
remove secrets.
"""

import re
from collections.abc import Iterable, Mapping

LINE_MOST = 1000
"""Maximum length of a line of untrusted text."""
NAME_MOST = 255
"""Maximum length of a name; those of Docker and DNS are shorter."""
INTEGER_DIGITS = 400
"""A longer integer from outside is read as a floating-point number, as JavaScript does with all of them."""
CUT = "..."
SECRET_CHARACTERS = 8
"""A shorter part of a header is no secret, and occurs in answers that do not quote it."""

_BROKEN = re.compile("[\ud800-\udfff\0]")
_USERINFO = re.compile(r"//[^/?#\s]*@")
_PLAIN_SPACES = frozenset("\u00a0")


def clean(text: object, most: int = LINE_MOST) -> str:
    """Return untrusted text as valid text of `most` characters at most.

    Bytes are read as UTF-8. What is no text (a lone surrogate, a bad byte, NUL) becomes U+FFFD, not nothing: `sh\\0op`
    must not become `shop`. Text that was cut ends in `...`, so that it names nothing else.
    """
    if isinstance(text, bytes | bytearray):
        text = bytes(text[: 4 * most + 4]).decode(errors="replace")
    elif not isinstance(text, str):
        text = str(text) if not isinstance(text, int) or abs(text) < 10**most else "a huge number"
    if len(text) > most:
        text = f"{text[: max(0, most - len(CUT))]}{CUT}"
    return _BROKEN.sub("\ufffd", text)


def one_line(text: object, most: int = LINE_MOST) -> str:
    """Return clean text with every run of spaces and line ends as one space."""
    return " ".join(clean(text, most).split())


def escaped(text: str, *, keep: str = "") -> str:
    r"""Return a text for a terminal or a log, with unprintable characters written out, as in `\x1b[31m` or `\u202e`.

    These are all control characters (C0, C1), changes of the direction of writing, and invisible characters.
    `keep` are characters that stay, such as line ends where a text may have several lines.
    """
    if text.isprintable():
        return text
    return "".join(_escape(one) if not one.isprintable() and one not in keep else one for one in text)


def struck(text: str, headers: Iterable[tuple[str, str]]) -> str:
    """Return a text without the values of these headers of a request, which an answer to it may quote."""
    values = [value for name, value in headers if name.lower() not in _NO_SECRETS]
    parts = {part for value in values for part in (value.strip(), *re.split(r"[\s,;=]+", value))}
    for part in sorted(parts, key=len, reverse=True):
        if len(part) >= SECRET_CHARACTERS:
            text = text.replace(part, "***")
    return text


def without_userinfo(text: str) -> str:
    """Return a text without the user and password of URLs."""
    return _USERINFO.sub("//", text)


def whole(value: object) -> object:
    """Return a value whose texts are valid in JSON and whose integers have 64 bits."""
    match value:
        case str():
            return _BROKEN.sub("\ufffd", value)
        case int() if not -(2**63) <= value < 2**64:
            return None
        case Mapping():
            return {whole(key): whole(each) for key, each in value.items()}
        case list() | tuple():
            return [whole(each) for each in value]
        case _:
            return value


_NO_SECRETS = frozenset({"accept", "accept-encoding", "accept-language", "content-type", "host", "user-agent"})


def _escape(one: str) -> str:
    if one in _PLAIN_SPACES:
        return " "
    code = ord(one)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def integer(digits: str) -> int | float:
    """Read the digits of a JSON number from outside; many of them take Python long as an integer, and are a float."""
    return int(digits) if len(digits) <= INTEGER_DIGITS else float(digits)
