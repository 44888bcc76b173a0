"""The admin API described for programs: `GET /api/v1/openapi.json`, made from its routes and types."""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict, TypeAdapter

from provider import __version__
from provider.api.routes import ROUTES, Route
from provider.api.tokens import Scope
from provider.model.api_types import (
    Changed,
    Decision,
    Problem,
    analysis,
    daemon,
    desired,
    history,
    overview,
    problem,
    service,
)
from provider.model.problems import PROBLEMS, ProblemCode

if TYPE_CHECKING:
    from pydantic.json_schema import JsonSchemaMode

Schema = dict[str, Any]

_TYPES = (*(route.answer for route in ROUTES if route.answer is not None), Decision, Changed, Problem)
_BODIES = tuple(dict.fromkeys(route.body for route in ROUTES if route.body is not None))
_ORDER = (problem, analysis, service, overview, history, desired, daemon)
"""The modules of types, as they are described."""
_WORDS: Mapping[str, Schema] = {
    "Time": {"type": "string", "format": "date-time"},
}


@cache
def describe() -> Schema:
    """Return the OpenAPI 3.1 description, made from the table of routes and the types of bodies and answers."""
    paths: dict[str, Schema] = {}
    for route in sorted(ROUTES, key=lambda route: route.path):
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "traefik-bluegreen admin API", "version": __version__, "license": {"name": "MIT"}},
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _operation(route: Route) -> Schema:
    content = {route.media_type: {"schema": _answer(route)}}
    found: Schema = {
        "summary": route.summary,
        "responses": {"200": {"description": "Done, or `already` so.", "content": content}},
    }
    if route.method == "GET":
        found["responses"]["200"]["description"] = route.summary
    if route.begins:
        found["responses"]["202"] = {"description": "Begun, and not over yet.", "content": content}
    found["responses"] |= _problems(route.problems)
    if route.scopes:
        found["security"] = [{}, *({"token": [scope.value]} for scope in Scope if scope in route.scopes)]
    parameters = [_NAME] if "{name}" in route.path else []
    parameters += [
        {"name": one.name, "in": "query", "required": False, "description": one.description, "schema": one.type}
        for one in route.query
    ]
    if parameters:
        found["parameters"] = parameters
    if route.body is not None:
        is_required = any(field.is_required() for field in route.body.model_fields.values())
        found["requestBody"] = {"required": is_required, "content": {"application/json": {"schema": _ref(route.body)}}}
    return found


def _answer(route: Route) -> Schema:
    if route.answer is not None:
        return _ref(route.answer)
    return {"type": "object"} if route.media_type == "application/json" else {"type": "string"}


def _problems(codes: Iterable[ProblemCode]) -> Schema:
    """Return the responses of these problems by status; each says which codes it may have."""
    texts: dict[str, list[str]] = {}
    for code in codes:
        status, text = PROBLEMS[code]
        texts.setdefault(str(status), []).append(f"`{code}`: {text}")
    content = {"application/problem+json": {"schema": _ref(Problem)}}
    return {status: {"description": f"{'. '.join(texts[status])}.", "content": content} for status in sorted(texts)}


def _ref(kind: type) -> Schema:
    return {"$ref": f"#/components/schemas/{kind.__name__}"}


def _schemas() -> Schema:
    """Return the schema of every object, by name; what is a word only is described where it is used."""
    # Types within a tuple have the settings of the tuple; by itself each TypedDict would have to name its own.
    answers: TypeAdapter[Any] = TypeAdapter(tuple[_TYPES], config=ConfigDict(use_attribute_docstrings=True))  # type: ignore[valid-type]
    adapters: list[tuple[str, JsonSchemaMode, TypeAdapter[Any]]] = [
        ("answers", "serialization", answers),
        *((body.__name__, "validation", TypeAdapter(body)) for body in _BODIES),
    ]
    _, found = TypeAdapter.json_schemas(adapters, ref_template="#/components/schemas/{model}")
    defined: Mapping[str, Schema] = found["$defs"]
    words = {name: each for name, each in {**defined, **_WORDS}.items() if "properties" not in each}
    order = (*(body.__name__ for body in _BODIES), *(name for module in _ORDER for name in vars(module)))
    return {name: _plain(defined[name], words) for name in order if name in defined and name not in words}


def _plain(schema: Any, words: Mapping[str, Schema]) -> Any:
    """Put words in the place of references to them, and name the keys of a mapping that has one for each word."""
    if isinstance(schema, list):
        return [_plain(each, words) for each in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {
        key: {name: _plain(each, words) for name, each in value.items()}
        if key == "properties"
        else _plain(value, words)
        for key, value in schema.items()
        if key != "title" or not isinstance(value, str)
    }
    word = words.get(str(plain.get("$ref", "")).rpartition("/")[2])
    if word is not None:
        bare = {key: value for key, value in word.items() if key not in {"title", "description"}}
        return {**bare, **{key: value for key, value in plain.items() if key != "$ref"}}
    if "propertyNames" in plain:
        names, each = plain.pop("propertyNames")["enum"], plain.pop("additionalProperties")
        plain |= {"properties": dict.fromkeys(names, each), "required": names}
    if isinstance(text := plain.get("description"), str):
        plain["description"] = " ".join(text.split())
    return plain


_NAME: Schema = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
