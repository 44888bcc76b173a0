"""The types of value in a desired-state file, and the message for an invalid one."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from pydantic import (
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    JsonValue,
    StringConstraints,
    WithJsonSchema,
)
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from provider.model.durations import DURATION, parse_duration

_VARIABLE = re.compile(r"\$\{[A-Za-z_][^}]*\}?|\{\{.*?(?:\}\}|$)", re.DOTALL)
_PORT = r"(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_HOST = r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+(?:%[A-Za-z0-9._-]+)?\])"
_AUTHORITY = rf"{_HOST}(?::{_PORT})?"


def doc(text: str, *, default: JsonValue = None, example: JsonValue = None) -> FieldInfo:
    """Return the annotation by which editors show `text` beside a key, with its default.

    Both `default` and `example` are written as in the file; the default itself is that of `model.desired`.
    """
    extra: dict[str, JsonValue] = {} if default is None else {"default": default}
    examples = None if example is None else [example]
    return FieldInfo(description=text, examples=examples, json_schema_extra=extra)


def wrong(message: str) -> PydanticCustomError:
    """Return the error of a check; its message is shown unchanged."""
    return PydanticCustomError("wrong", "{message}", {"message": message})


def shown(value: object) -> str:
    """Return a value as a message names it, cut to a length that a line can take."""
    match value:
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case str():
            return repr(value if len(value) <= 80 else f"{value[:77]}...")
    return str(value)


def variable(text: str) -> str | None:
    """Return the first `${NAME}` or `{{ ... }}` of a text, which nothing replaces in this file."""
    found = _VARIABLE.search(text)
    return found[0] if found else None


@dataclass(frozen=True, slots=True)
class Matches:
    """Constrains a string to a pattern that JavaScript's expressions share; `rule` follows the value in the message."""

    pattern: str
    rule: str

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        matches = re.compile(self.pattern).fullmatch

        def check(text: str) -> str:
            if matches(text):
                return text
            found = variable(text)
            hint = f" ({found!r} stays as it is: nothing replaces variables in this file)" if found else ""
            raise wrong(f"{shown(text)} {self.rule}{hint}")

        return core_schema.no_info_after_validator_function(check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(schema), "pattern": f"^(?:{self.pattern})$"}


def _seconds(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise wrong(f"{value} has no unit: write {value}s for seconds")
    if not isinstance(value, str):
        raise wrong(f"{shown(value)} is no duration: write one such as 5s or 1m30s")
    try:
        return parse_duration(value)
    except ValueError as error:
        raise wrong(f"{shown(value)} {error}") from None


def _wait(value: object) -> float:
    if (seconds := _seconds(value)) > 0:
        return seconds
    raise wrong(f"must be longer than zero, not {shown(value)}")


def _scalar(value: object) -> object:
    if isinstance(value, str | int | float) and value != "":
        return value
    raise wrong("must be a version such as 1.4.2")


def not_empty(value: object) -> object:
    """Refuse an empty object in the places where Traefik would refuse the document for it."""
    if not value:
        raise wrong("is empty, which Traefik refuses here: write a key into it or remove it")
    return value


def refused(message: str) -> tuple[BeforeValidator, WithJsonSchema]:
    """Return the annotations of a key that Traefik knows and this file must not have, with the reason."""

    def refuse(_: object) -> object:
        raise PydanticCustomError("refused_key", "{message}", {"message": message})

    return BeforeValidator(refuse), WithJsonSchema({"not": {}, "description": message})


@dataclass(frozen=True, slots=True)
class Or:
    """Lets one word, or `false`, stand where a mapping is expected, such as the `example`."""

    word: str | bool
    example: str = ""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        def check(value: object, inner: Callable[[object], object]) -> object:
            if type(value) is type(self.word) and value == self.word:
                return value
            if not isinstance(value, dict) and self.example:
                raise wrong(f"must be {self.word}, or a mapping such as {self.example}, not {shown(value)}")
            return inner(value)

        return core_schema.no_info_wrap_validator_function(check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        other = handler(schema)
        return {"anyOf": [{"const": self.word}, *(other["anyOf"] if {"anyOf"} == other.keys() else [other])]}


OR_OFF = Or(word=False)
"""Takes `false`: an object of the defaults is not wanted here."""


def alternative(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a JSON Schema with that of the mapping in place of the choice that `Or` makes."""
    found = next((one for one in schema.get("anyOf", ()) if "const" not in one), None)
    if found is None:
        return schema
    return alternative({**{key: part for key, part in schema.items() if key != "anyOf"}, **found})


Text: TypeAlias = Annotated[str, StringConstraints(min_length=1)]
Name: TypeAlias = Annotated[
    str,
    Matches(
        r"(?!bluegreen-)(?!\.{1,2}$)[^@/\s\x00-\x1f\x7f]+",
        "is no name: it needs a character or more, none of them '@', '/' or white space, and must not begin with"
        " 'bluegreen-'",
    ),
]
PassedName: TypeAlias = Annotated[
    str, Matches(r"[^@]+", "is no name in Traefik: it needs a character or more, none of them '@'")
]
MiddlewareName: TypeAlias = Annotated[
    PassedName,
    Matches(r"(?!bluegreen-)[\s\S]*", "is reserved: middlewares named bluegreen-... mark the daemon's documents"),
]
NetworkName: TypeAlias = Annotated[
    str,
    Matches(r"[A-Za-z0-9][A-Za-z0-9_.-]*", "is no name of a network: write it as `docker network ls` does"),
]
EngineName: TypeAlias = Annotated[
    str, Matches(r"[A-Za-z0-9][A-Za-z0-9_.-]*", "is no name of an engine: write letters, digits and any of . _ -")
]
EngineUrl: TypeAlias = Annotated[
    str,
    Matches(
        rf"unix:///[!-~]+|(?:tcp|https?)://{_HOST}:{_PORT}/?",
        "is no URL of a Docker Engine: write tcp://HOST:PORT or unix:///PATH/docker.sock",
    ),
]
EngineAddress: TypeAlias = Annotated[
    str,
    Matches(
        r"[A-Za-z0-9._-]+|(?=[^:]*:[^:]*:)[0-9A-Fa-f:.]+",
        "is no address of a machine: write a name or an IP address, without a port",
    ),
]
AbsolutePath: TypeAlias = Annotated[
    str, Matches(r"/[^\x00]+", "is no absolute path: write that of a file on the daemon's machine")
]
VariableName: TypeAlias = Annotated[
    str, Matches(r"[^=\x00-\x1f\x7f]+", "is no name of a variable: write it without '=' and its value")
]
Rule: TypeAlias = Annotated[
    str, Matches(r"[\s\S]*\S[\s\S]*", "is no rule: write what the router matches, such as Host(`shop.example.com`)")
]
NO_SERVER_URL = "is no server URL: write http, https or h2c, a host, a port and no path, such as http://10.0.0.5:8080"
_SERVER_URL = rf"(?:https?|h2c)://{_AUTHORITY}/?"
ServerUrl: TypeAlias = Annotated[str, Matches(rf"{_SERVER_URL}|{_HOST}:{_PORT}", NO_SERVER_URL)]
"""The URL of a server, or HOST:PORT: which of them is right depends on what the endpoint speaks."""
ApiUrl: TypeAlias = Annotated[
    str,
    Matches(
        rf"https?://{_AUTHORITY}(?:/[^\s?#]*)?", "is no URL of a Traefik API: write one such as http://traefik:8080"
    ),
]
MetricsUrl: TypeAlias = Annotated[
    str,
    Matches(
        rf"https?://{_AUTHORITY}(?:/[^\s?#]*)?", "is no URL of Traefik's metrics: write one such as http://traefik:8082"
    ),
]
PrometheusUrl: TypeAlias = Annotated[
    str,
    Matches(
        rf"https?://{_AUTHORITY}(?:/[^\s?#]*)?", "is no URL of a Prometheus: write one such as http://prometheus:9090"
    ),
]
ServerPlace: TypeAlias = Annotated[
    str,
    Matches(
        rf"{_SERVER_URL}|{_HOST}:{_PORT}",
        "is no address of a server: write HOST:PORT for TCP and UDP, such as 10.0.0.5:1883, and a URL for HTTP",
    ),
]
EndpointName: TypeAlias = Annotated[
    str,
    Matches(
        r"(?!(?:blue|green|preview)$)[A-Za-z0-9][A-Za-z0-9_-]{0,62}",
        "is no name of an endpoint: write up to 63 letters, digits, '-' and '_', and not blue, green or preview, which "
        "names in Traefik end in already",
    ),
]
HostPattern: TypeAlias = Annotated[
    str,
    Matches(
        r"(?:\*\.)?[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*",
        "is no host: write a name without a port, such as shop.example.com, or *.example.com for all below one",
    ),
]
Template: TypeAlias = Annotated[
    str,
    Matches(
        r"(?=[\s\S]*\S)(?:(?!\$\{)[\s\S]){1,4096}",
        "is no rule for routers without one: write one such as Host(`{{ normalize .Name }}`), without ${...}",
    ),
]
UrlPath: TypeAlias = Annotated[
    str, Matches(r"/[!-~]*", "is no path: write one that begins with '/', without white space, and beyond ASCII as %xx")
]
Hostname: TypeAlias = Annotated[str, Matches(_AUTHORITY, "is no host: write a name, with a port where one is needed")]
Method: TypeAlias = Annotated[str, Matches(r"[A-Z]+", "is no HTTP method: write one such as GET")]
HeaderName: TypeAlias = Annotated[str, Matches(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", "is no name of an HTTP header")]
HeaderValue: TypeAlias = Annotated[
    str, Matches(r"[^\x00-\x08\x0a-\x1f\x7f]*", "is no value of an HTTP header: it has control characters")
]
Payload: TypeAlias = Annotated[
    str,
    Matches(
        r"(?:[\x00-\x5b\x5d-\x7f]|\\x[0-9A-Fa-f]{2}|\\[rnt0\\]){1,1000}",
        r"cannot be sent: write up to 1000 characters of ASCII, and other bytes as \r, \n, \t, \0, \\ and \xNN, without"
        " quotes or in single ones",
    ),
]
"""Bytes, as `model.payload` reads them."""
ServiceName: TypeAlias = Annotated[
    str, Matches(r"[!-~]{1,255}", "is no name of a gRPC service: write one such as shop.v1.Basket")
]
TraefikDuration: TypeAlias = Annotated[
    str, Matches(rf"[-+]?(?:{DURATION}|0)", "is no duration: write numbers with units, such as 300ms, 5s or 1m30s")
]
Duration: TypeAlias = Annotated[
    float, BeforeValidator(_seconds), WithJsonSchema({"type": "string", "pattern": rf"^\+?(?:{DURATION}|0)$"})
]
Wait: TypeAlias = Annotated[
    float,
    BeforeValidator(_wait),
    WithJsonSchema({"type": "string", "pattern": rf"^\+?{DURATION}$"}),
]
Count: TypeAlias = Annotated[int, Field(ge=1)]
Port: TypeAlias = Annotated[int, Field(ge=1, le=65535)]
Status: TypeAlias = Annotated[int, Field(ge=100, le=599)]
Version: TypeAlias = Annotated[
    object, BeforeValidator(_scalar), WithJsonSchema({"type": ["string", "number", "boolean"]})
]
