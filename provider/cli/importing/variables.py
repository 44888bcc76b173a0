"""Variables of compose files, replaced as Docker Compose replaces them: `$NAME`, `${NAME:-default}` and their kin.

Source: https://docs.docker.com/reference/compose-file/interpolation/
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from provider.model.errors import BluegreenError

DEPTH_MOST = 20
TEXT_MOST = 1 << 20
"""Maximum length of what a text becomes."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":?[-?+]")
_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*(?:=\s*(.*?))?\s*")
_COMMENT = re.compile(r"\s#.*")


class VariableError(BluegreenError):
    """A text in which `$` begins nothing that Compose knows."""


@dataclass(slots=True)
class Variables:
    """Values by name; notes which were used, and from where: `written` in a place, or a default of the file."""

    values: Mapping[str, str]
    used: dict[str, str] = field(default_factory=dict)

    def replaced(self, text: str) -> tuple[str, tuple[str, ...]]:
        """Return a text with its variables replaced, and the names of those without a value.

        Raises VariableError where Compose refuses it.
        """
        missing: dict[str, None] = {}
        found = self._replaced(text, missing, 0)
        if len(found) > TEXT_MOST:
            raise VariableError("is too long with its variables replaced")
        return found, tuple(missing)

    def _replaced(self, text: str, missing: dict[str, None], depth: int) -> str:
        if depth > DEPTH_MOST:
            raise VariableError("has defaults within defaults, too deep to read")
        parts, at = [], 0
        while (dollar := text.find("$", at)) >= 0:
            parts.append(text[at:dollar])
            value, at = self._variable(text, dollar, missing, depth)
            parts.append(value)
        return "".join([*parts, text[at:]])

    def _variable(self, text: str, dollar: int, missing: dict[str, None], depth: int) -> tuple[str, int]:
        if text.startswith("$$", dollar):
            return "$", dollar + 2
        is_braced = text.startswith("${", dollar)
        name = _NAME.match(text, dollar + 1 + is_braced)
        if name is None:
            raise VariableError("has a '$' that begins no variable, for which Compose refuses the file: write '$$'")
        if not is_braced:
            return self._value(name[0], "", "", missing, depth), name.end()
        end = _closing(text, name.end())
        operator = _OPERATOR.match(text, name.end())
        if operator is None:
            if end != name.end():
                raise VariableError(f"has {text[dollar : end + 1][:80]!r}, which Compose does not read")
            return self._value(name[0], "", "", missing, depth), end + 1
        return self._value(name[0], operator[0], text[operator.end() : end], missing, depth), end + 1

    def _value(self, name: str, operator: str, other: str, missing: dict[str, None], depth: int) -> str:
        value = self.values.get(name)
        has_one = bool(value) if operator.startswith(":") else value is not None
        if operator.endswith("+"):
            return self._replaced(other, missing, depth + 1) if has_one else ""
        if has_one and value is not None:
            self.used[name] = "its value"
            return value
        if operator.endswith("-"):
            self.used.setdefault(name, "its default")
            return self._replaced(other, missing, depth + 1)
        missing[name] = None
        return ""


def _closing(text: str, at: int) -> int:
    depth = 0
    for place in range(at, len(text)):
        if text.startswith("${", place):
            depth += 1
        elif text[place] == "}":
            if not depth:
                return place
            depth -= 1
    raise VariableError("has a '${' that is not closed")


def dotenv(text: str) -> dict[str, str]:
    """Return the variables of a `.env` file; lines that set none are skipped."""
    return dict(_pairs(text))


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        found = _LINE.fullmatch(line)
        if found is None or found[2] is None:
            continue
        value = found[2]
        if value[:1] in {"'", '"'} and (end := value.find(value[0], 1)) > 0:
            yield found[1], value[1:end]
        else:
            yield found[1], _COMMENT.sub("", f" {value}").strip()
