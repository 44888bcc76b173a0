"""Reads a large JSON object piece by piece.

A parser in C holds the interpreter until it is done: with ten thousand services of Traefik's for a tenth of a second,
in which no poll is answered. Between two pieces other threads run.
"""

import json
import re
from collections.abc import Iterator

from provider.model.text import integer

_DECODER = json.JSONDecoder(parse_int=integer)
_SPACE = re.compile(r"[ \t\n\r]*")


def sections(body: bytearray) -> Iterator[tuple[str, Iterator[tuple[str, object]]]]:
    """Yield the members of an object that are objects, with an iterator over the members of each.

    An iterator must be exhausted before the next one is requested. Raises ValueError or RecursionError, at whatever
    step, for anything but a JSON object, or one nested too deeply.
    """
    text = body.decode()
    cursor = _Cursor(text)
    for name in cursor.names():
        if cursor.begins_object():
            yield name, _members(cursor)
        else:
            cursor.value()
    cursor.finish()


class _Cursor:
    """A position in a text: `end` is the end of what was read."""

    def __init__(self, text: str) -> None:
        self.text, self.end = text, 0

    def names(self) -> Iterator[str]:
        """Step through the object that begins here: after each name, its value must be read."""
        self._expect("{")
        if self._next() == "}":
            self._expect("}")
            return
        while True:
            name = self.value()
            if not isinstance(name, str):
                raise self._fault("a name that is no string")
            self._expect(":")
            yield name
            if self._next() == "}":
                self._expect("}")
                return
            self._expect(",")

    def begins_object(self) -> bool:
        """Return whether an object follows."""
        return self._next() == "{"

    def value(self) -> object:
        """Read one value as a whole."""
        self._next()
        value, self.end = _DECODER.raw_decode(self.text, self.end)
        return value

    def finish(self) -> None:
        """Make sure that nothing follows."""
        if self._next():
            raise self._fault("a second value")

    def _next(self) -> str:
        found = _SPACE.match(self.text, self.end)
        assert found is not None, "it matches nothing at all, too"
        self.end = found.end()
        return self.text[self.end : self.end + 1]

    def _expect(self, character: str) -> None:
        if self._next() != character:
            raise self._fault(f"no {character!r}")
        self.end += 1

    def _fault(self, what: str) -> json.JSONDecodeError:
        return json.JSONDecodeError(what, self.text, self.end)


def _members(cursor: _Cursor) -> Iterator[tuple[str, object]]:
    for name in cursor.names():
        yield name, cursor.value()
