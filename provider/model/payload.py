r"""Bytes as a file writes them: ASCII, with `\r`, `\n`, `\t`, `\0`, `\\` and `\xNN` for the rest.

YAML's double quotes have escapes of their own: there `"\xff"` is a letter, which has two bytes in UTF-8. So letters
beyond ASCII are refused instead of being sent as something else.
"""

import re

_ESCAPES = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\"}
_WRITTEN = {value[0]: f"\\{name}" for name, value in _ESCAPES.items()}
_PART = re.compile(r"\\x([0-9A-Fa-f]{2})|\\(.?)|([^\\]+)", re.DOTALL)


def payload(text: str) -> bytes:
    """Return the bytes of a text. Raises ValueError, whose text follows the text in a message."""
    found = bytearray()
    for digits, escape, plain in _PART.findall(text):
        if digits:
            found.append(int(digits, 16))
        elif not plain:
            if escape not in _ESCAPES:
                raise ValueError(
                    rf"has \{escape}, which is no escape: write \r, \n, \t, \0, \\ or two digits as in \x1b"
                )
            found += _ESCAPES[escape]
        elif plain.isascii():
            found += plain.encode()
        else:
            raise ValueError(r"has a letter beyond ASCII: write its bytes as in '\xc3\xa9', in single quotes")
    return bytes(found)


def written(data: bytes) -> str:
    """Return bytes as `payload` reads them, all in printable ASCII."""
    return "".join(_WRITTEN.get(code) or (chr(code) if 0x20 <= code < 0x7F else f"\\x{code:02x}") for code in data)
