"""What a server answers to bytes, and what is expected of it: for tcp and udp."""

from provider.model.payload import written

QUOTED_CHARACTERS = 80


def mismatch(expect: bytes, came: bytes | bytearray) -> str:
    """Say what was expected, and how what came begins."""
    return f"expected {_quoted(expect) if expect else 'an answer'}, got {_quoted(came) if came else 'nothing'}"


def _quoted(data: bytes | bytearray) -> str:
    text = written(bytes(data[: QUOTED_CHARACTERS + 1]))
    return f"'{text}'" if len(text) <= QUOTED_CHARACTERS else f"'{text[:QUOTED_CHARACTERS]}...'"
