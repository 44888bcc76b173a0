"""Traefik's objects as types for pydantic, made from the tables of `model.traefik_schema`."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, assert_never

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from provider.config.types import not_empty, shown, wrong
from provider.model.durations import parse_duration
from provider.model.traefik_schema import FIRST, TEXTS, Anything, Field, Kind, Many, Named, Scalar, Struct

PREFIX = "Traefik"
"""The prefix of these types' names in the JSON Schema."""


@dataclass(frozen=True, slots=True)
class Table:
    """Annotates a value that is of a kind of Traefik's, with exactly its keys and types."""

    kind: Kind

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return _schema(self.kind)


def _schema(kind: Kind) -> CoreSchema:
    match kind:
        case Scalar():
            return _scalar(kind)
        case Struct():
            return _struct(kind)
        case Many():
            return core_schema.list_schema(_schema(kind.item), strict=True)
        case Named():
            return core_schema.dict_schema(core_schema.str_schema(strict=True), _schema(kind.value), strict=True)
        case Anything():
            return core_schema.dict_schema(core_schema.str_schema(strict=True), core_schema.any_schema(), strict=True)
    assert_never(kind)


@cache
def _struct(struct: Struct) -> CoreSchema:
    fields = {
        key: core_schema.typed_dict_field(
            _field(field), required=False, metadata={"pydantic_js_updates": {"description": _about(field)}}
        )
        for key, field in struct.fields.items()
    }
    return core_schema.typed_dict_schema(
        fields, ref=PREFIX + struct.name, extra_behavior="forbid", strict=True, total=False
    )


def _field(field: Field) -> CoreSchema:
    schema = _schema(field.kind)
    if not isinstance(field.kind, Struct | Named | Anything):
        return schema
    if field.may_be_empty:
        return core_schema.no_info_wrap_validator_function(off, schema)
    metadata = {"pydantic_js_updates": {"minProperties": 1}}
    return core_schema.no_info_after_validator_function(not_empty, schema, metadata=metadata)


def off(value: object, handler: Callable[[object], Any]) -> Any:
    """Accept `false` for an object that may be empty: Traefik reads it as absent."""
    return value if value is False else handler(value)


def _scalar(kind: Scalar) -> CoreSchema:
    if kind in TEXTS:
        return core_schema.str_schema(strict=True)
    match kind:
        case Scalar.BOOL:
            return core_schema.bool_schema(strict=True)
        case Scalar.INT:
            return core_schema.int_schema(strict=True)
    text = core_schema.str_schema(strict=True)
    return core_schema.no_info_after_validator_function(duration, text)


def duration(text: str) -> str:
    """Return a valid duration of Go, unchanged; it may be negative, as in `flushInterval: -1ms`."""
    try:
        parse_duration(text.removeprefix("-"))
    except ValueError as error:
        raise wrong(f"{shown(text)} {error}") from None
    return text


def _about(field: Field) -> str:
    later = f"; from Traefik {'.'.join(map(str, field.since))} on" if field.since > FIRST else ""
    return f"{_in_words(field.kind)}{later}."


def _in_words(kind: Kind) -> str:
    match kind:
        case Scalar():
            return "Text" if kind in TEXTS else kind.value.capitalize()
        case Struct():
            return f"Traefik's {kind.name}"
        case Many():
            return f"A list: {_in_words(kind.item)[0].lower()}{_in_words(kind.item)[1:]}"
        case Named():
            return f"By name: {_in_words(kind.value)[0].lower()}{_in_words(kind.value)[1:]}"
        case Anything():
            return "What the plugin reads"
    assert_never(kind)
