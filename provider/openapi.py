"""The admin API described for programs: `GET /api/v1/openapi.json`."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from provider import __version__
from provider.model import (
    Colour,
    ColourState,
    Gate,
    GateState,
    Health,
    Outcome,
    Phase,
    Severity,
    Trigger,
    Verb,
    Wish,
)

Schema = dict[str, Any]

PROBLEMS = {
    "400": "The request cannot be understood, or forces without a reason.",
    "401": "A token is wanted.",
    "403": "The token is not for this, or a browser sent it for another site.",
    "404": "There is no such service.",
    "409": "Refused; `detail` says why and what to do.",
    "415": "The body is not JSON.",
    "503": "The store fails, so nothing was changed.",
}
SUMMARIES: Mapping[Verb, str] = {
    Verb.SWITCH: "Bring the release that stands by in a colour to active, through its gates.",
    Verb.APPROVE: "Approve the release of the rollout under way.",
    Verb.ABORT: "End the rollout under way; after its switch, take the way back.",
    Verb.ROLLBACK: "Take the way back: one switch, no gates.",
    Verb.RETRY: "Try again what failed and still stands by.",
    Verb.PAUSE: "Stop forward rollouts.",
    Verb.RESUME: "Let forward rollouts go on.",
}


def describe(bodies: Mapping[Verb, type[BaseModel]], lease: type[BaseModel]) -> Schema:
    """Return the OpenAPI 3.1 description; `bodies` are what the verbs take, `lease` what a deployment takes."""
    service = "/api/v1/services/{name}"
    paths: dict[str, Schema] = {
        "/api/v1/services": {"get": _get("How everything stands.", "Overview")},
        service: {"get": _get("How one service stands.", "Service", of_service=True)},
        f"{service}/lease": {
            "post": _post("Take the lease of a deployment, or renew it.", lease.__name__),
            "delete": _give_back(),
        },
        "/api/v1/history": {"get": {**_get("Decisions, newest first.", "History"), "parameters": _HISTORY}},
        "/api/v1/events": {"get": _events()},
        "/api/v1/openapi.json": {"get": _get("This description.", None)},
    }
    for verb in Verb:
        paths[f"{service}/{verb}"] = {"post": _post(SUMMARIES[verb], bodies[verb].__name__)}
    models = {model.__name__: model for model in (*bodies.values(), lease)}
    return {
        "openapi": "3.1.0",
        "info": {"title": "traefik-bluegreen admin API", "version": __version__, "license": {"name": "MIT"}},
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": {**{name: _body(model) for name, model in models.items()}, **SCHEMAS},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _body(model: type[BaseModel]) -> Schema:
    schema: Schema = model.model_json_schema(by_alias=True)
    properties = {name: _inlined(schema, each) for name, each in schema.get("properties", {}).items()}
    kept = {key: value for key, value in schema.items() if key not in {"title", "$defs"}}
    return {**kept, "properties": properties}


def _inlined(schema: Schema, each: Schema) -> Schema:
    """Put an enum in the place where it is referred to."""
    reference = each.get("$ref")
    return dict(schema["$defs"][reference.rpartition("/")[2]]) if isinstance(reference, str) else each


def _get(summary: str, schema: str | None, *, of_service: bool = False) -> Schema:
    content = _content(schema) if schema else {"application/json": {"schema": {"type": "object"}}}
    found: Schema = {
        "summary": summary,
        "responses": {"200": {"description": summary, "content": content}, **_problems("401", "403")},
    }
    if of_service:
        found["parameters"] = [_NAME]
        found["responses"] |= _problems("404")
    return found


def _post(summary: str, body: str) -> Schema:
    return {
        "summary": summary,
        "parameters": [_NAME],
        "requestBody": {"content": _content(body)},
        "responses": {
            "200": {"description": "Done, or `already` so.", "content": _content("Done")},
            "202": {"description": "Begun, and not over yet.", "content": _content("Done")},
            **_problems(*PROBLEMS),
        },
    }


def _give_back() -> Schema:
    lease_id = {"name": "id", "in": "query", "required": True, "schema": {"type": "string"}}
    return {
        "summary": "Give the lease back.",
        "parameters": [_NAME, lease_id],
        "responses": {"200": {"description": "Given back.", "content": _content("Done")}, **_problems(*PROBLEMS)},
    }


def _events() -> Schema:
    return {
        "summary": "Every decision as it is taken, as server-sent events named `decision`.",
        "responses": {
            "200": {"description": "The stream.", "content": {"text/event-stream": {"schema": {"type": "string"}}}},
            **_problems("401", "403"),
        },
    }


def _problems(*statuses: str) -> Schema:
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": PROBLEMS[status], "content": content} for status in statuses}


def _content(schema: str) -> Schema:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _object(required: Mapping[str, Schema], **optional: Schema) -> Schema:
    return {"type": "object", "properties": {**required, **optional}, "required": list(required)}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _one_of(words: Iterable[str]) -> Schema:
    return {"type": "string", "enum": list(words)}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}
_TIME: Schema = {"type": "string", "format": "date-time"}
_NUMBER: Schema = {"type": "number"}
_ENTRY: Schema = {"type": "object"}
_NAME: Schema = {"name": "name", "in": "path", "required": True, "schema": _TEXT}
_HISTORY: list[Schema] = [
    {"name": "service", "in": "query", "schema": _TEXT},
    {"name": "since", "in": "query", "schema": _TIME},
    {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1}},
]


def _list(of: Schema) -> Schema:
    return {"type": "array", "items": of}


SCHEMAS: Mapping[str, Schema] = {
    "Problem": _object({"type": _TEXT, "status": {"type": "integer"}, "code": _TEXT, "detail": _TEXT}),
    "Done": _object({"already": _FLAG, "detail": _TEXT, "status": _or_null(_ref("Service"))}),
    "Condition": _object(
        {"code": _TEXT, "severity": _one_of(Severity), "message": _TEXT, "since": _or_null(_TIME)},
    ),
    "Server": _object(
        {
            "url": _TEXT,
            "health": _one_of(Health),
            "cause": _or_null(_TEXT),
            "since": _or_null(_TIME),
            "container": _or_null(_TEXT),
        },
        release=_TEXT,
        version=_or_null(_TEXT),
        leaving=_FLAG,
        published=_FLAG,
    ),
    "ColourStatus": _object(
        {
            "release": _or_null(_TEXT),
            "version": _or_null(_TEXT),
            "state": _one_of(ColourState),
            "servers": _list(_ref("Server")),
        }
    ),
    "GateStatus": _object({"state": _one_of(GateState)}, reason=_TEXT),
    "Rollout": _object(
        {
            "id": _TEXT,
            "candidate": _one_of(Colour),
            "release": _or_null(_TEXT),
            "trigger": _one_of(Trigger),
            "actor": _or_null(_TEXT),
            "since": _TIME,
            "deadline": _or_null(_TIME),
            "gates": _object({gate: _ref("GateStatus") for gate in Gate}),
        },
        forced=_or_null(_TEXT),
        smoke=_list(_ENTRY),
        approval=_or_null(_ENTRY),
    ),
    "Service": _object(
        {
            "service": _TEXT,
            "environment": _TEXT,
            "desired": _one_of(Wish),
            "active": _or_null(_one_of(Colour)),
            "phase": _one_of(Phase),
            "weights": _object(dict.fromkeys(Colour, _NUMBER)),
            "revision": _or_null({"type": "integer"}),
            "confirmed": _FLAG,
            "paused": _FLAG,
            "colours": _object({colour: _ref("ColourStatus") for colour in Colour}),
            "rollout": _or_null(_ref("Rollout")),
            "blocking": _or_null(_TEXT),
            "rollback": _object(
                {
                    "ready": _FLAG,
                    "to": _or_null(_one_of(Colour)),
                    "release": _or_null(_TEXT),
                    "reason": _or_null(_TEXT),
                }
            ),
            "override": _or_null(
                _object({"colour": _one_of(Colour), "reason": _TEXT, "actor": _or_null(_TEXT), "since": _TIME})
            ),
            "quarantined": _list(_ENTRY),
            "conditions": _list(_ref("Condition")),
        },
        group=_or_null(_TEXT),
        lease=_or_null(_ENTRY),
        switched=_or_null(_TIME),
        explanation=_list(_TEXT),
    ),
    "Overview": _object(
        {
            "environment": _or_null(_TEXT),
            "revision": _or_null({"type": "integer"}),
            "services": _list(_ref("Service")),
            "conditions": _list(_ref("Condition")),
        },
        docker=_ENTRY,
        pollers=_list(
            _object(
                {"poller": _TEXT, "revision": {"type": "integer"}, "current": {"type": "boolean"}, "last_poll": _TIME}
            )
        ),
        unnamed=_list(_TEXT),
    ),
    "Decision": _object(
        {
            "at": _TIME,
            "service": _TEXT,
            "event": _TEXT,
            "colour": _or_null(_one_of(Colour)),
            "release": _or_null(_TEXT),
            "rollout": _or_null(_TEXT),
            "phase": _or_null(_one_of(Phase)),
            "outcome": _or_null(_one_of(Outcome)),
            "trigger": _or_null(_one_of(Trigger)),
            "actor": _or_null(_TEXT),
            "detail": _or_null(_TEXT),
            "evidence": _list(_TEXT),
        }
    ),
    "History": _object({"history": _list(_ref("Decision"))}),
}
