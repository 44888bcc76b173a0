"""Validation errors of pydantic -> findings for operators."""

import json
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from provider.config.schema import json_schema
from provider.config.tree import KeyPath, Tree
from provider.config.types import alternative, shown
from provider.model.traefik_schema import FIRST, LAST

_EXPECTED = {
    "string_type": "a string",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "list_type": "a list",
    "dict_type": "a mapping",
}


_OF_TRAEFIK = (
    f", for which Traefik {'.'.join(map(str, FIRST))} to {'.'.join(map(str, LAST))} refuses the whole document; a newer"
    " Traefik's key goes into traefik.unchecked"
)
KNOWN_SHOWN = 14


class Finding(NamedTuple):
    """One thing wrong: its path in the file, the message, and whether the key or its value is meant."""

    path: KeyPath
    message: str
    on_key: bool = False
    meant: str | None = None
    """The key that an unknown one was taken for."""


def findings(error: ValidationError, tree: Tree) -> Iterator[Finding]:
    """Yield a finding for each error of the validation."""
    schema = _schema()
    for detail in error.errors(include_url=False):
        path = detail["loc"]
        match detail["type"]:
            case "extra_forbidden":
                of_traefik = path[0] in {"http", "tcp", "udp", "tls"} and len(path) > 2
                yield _unknown_key(path, _at(schema, path[:-1]), _OF_TRAEFIK if of_traefik else "")
            case "missing":
                yield Finding(path, _missing(_at(schema, path)), on_key=True)
            case "refused_key":
                yield Finding(path, detail["msg"], on_key=True)
            case _ if path[-1:] == ("[key]",):
                yield Finding(path[:-1], _wrong_value(detail, None), on_key=True)
            case _:
                yield Finding(path, _wrong_value(detail, tree.written(path)))


_schema = cache(json_schema)


def suggestion(word: str, known: list[str]) -> str:
    """Return ` (did you mean 'x'?)`, or the known names where none is similar."""
    near = _nearest(word, known)
    if near:
        return f" (did you mean {near!r}?)"
    if not known:
        return " (no key is known here)"
    more = f" and {len(known) - KNOWN_SHOWN} more" if len(known) > KNOWN_SHOWN else ""
    return f" (known here: {', '.join(known[:KNOWN_SHOWN])}{more})"


def _nearest(word: str, known: list[str]) -> str | None:
    folded = {name.lower(): name for name in known}
    near = get_close_matches(word.lower(), folded, n=1)
    return folded[near[0]] if near else None


def _unknown_key(path: KeyPath, parent: Mapping[str, Any], way_out: str) -> Finding:
    key = str(path[-1])
    known = [name for name, schema in parent.get("properties", {}).items() if "not" not in schema]
    message = f"unknown key{suggestion(key, known)}{way_out}"
    return Finding(path, message, on_key=True, meant=_nearest(key, known))


def _missing(schema: Mapping[str, Any]) -> str:
    """Return the purpose of a missing key, with the example of the schema."""
    meaning, examples = str(schema["description"]).removesuffix("."), schema.get("examples")
    if not examples:
        return f"required key is missing: {meaning}"
    example = examples[0] if isinstance(examples[0], str) else json.dumps(examples[0])
    return f"required key is missing: {meaning}, such as {example}"


def _wrong_value(detail: ErrorDetails, written: str | None) -> str:
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    named = written if written is not None and value is not None else shown(value)
    if value is None and kind != "wrong":
        return "has no value: write one ({} for an empty mapping), or remove the key"
    if kind in _EXPECTED:
        quote = f': put it in quotes ("{named}")' if kind == "string_type" and written is not None else ""
        return f"must be {_EXPECTED[kind]}, not {named}{quote}"
    match kind:
        case "literal_error":
            choices = [choice.strip("'") for choice in context["expected"].replace(" or ", ", ").split(", ")]
            near = suggestion(value, choices) if isinstance(value, str) else ""
            expected = context["expected"].replace("True", "true")  # as YAML has it
            return f"must be {expected}, not {named}{near if 'mean' in near else ''}"
        case "greater_than_equal":
            return f"must be at least {context['ge']}, not {named}"
        case "less_than_equal":
            return f"must be at most {context['le']}, not {named}"
        case "string_too_short":
            return "must not be empty"
        case "too_short":
            return "needs at least one entry"
    return detail["msg"]


def _at(schema: Mapping[str, Any], path: KeyPath) -> Mapping[str, Any]:
    """Return the schema of the value at `path`; empty where the schema has none."""
    here: Mapping[str, Any] = schema
    for part in path:
        here = _resolved(schema, here)
        if isinstance(part, int):
            here = here.get("items", {})
        else:
            named = here.get("properties", {}).get(part)
            others = next(iter(here.get("patternProperties", {}).values()), here.get("additionalProperties")) or {}
            here = others if named is None else named
    return _resolved(schema, here)


def _resolved(schema: Mapping[str, Any], here: Mapping[str, Any]) -> Mapping[str, Any]:
    here = alternative(here)
    reference = str(here.get("$ref", ""))
    return {**schema["$defs"][reference.rpartition("/")[2]], **here} if reference else here
