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
from provider.rollout import Event

Schema = dict[str, Any]

PROBLEMS = {
    "400": "The request cannot be understood, or forces without a reason.",
    "401": "A token is wanted.",
    "403": "The token is not for this, or a browser sent it for another site.",
    "404": "There is no such service.",
    "409": "Refused; `detail` says why and what to do.",
    "415": "The body is not JSON.",
    "503": "The store fails, or there is no answer in time; `code` says whether something may have been done.",
}
CODES: Mapping[str, tuple[int, str]] = {
    "malformed": (400, "This is no request of HTTP/1.1"),
    "head-too-slow": (408, "The head of the request was not here in time"),
    "head-too-long": (431, "The head of the request is too long"),
    "bad-request": (400, "The body or the query cannot be understood"),
    "reason-wanted": (400, "Who forces says why"),
    "token-wanted": (401, "No token was sent, or one that is not known"),
    "scope": (403, "The token is not for this"),
    "cross-site": (403, "A page of another site sent it, or `Host` is not this machine"),
    "unknown-path": (404, "There is nothing at this path"),
    "unknown-service": (404, "The file has no such service"),
    "method-not-allowed": (405, "The path answers other methods"),
    "busy": (409, "A rollout is confirmed or watched: its way back must stay as it is"),
    "held": (409, "Forward rollouts are stopped, by `hold` or `pause`"),
    "leased": (409, "Another deployment holds the lease of the service"),
    "no-release": (409, "The colour runs no release that could be meant"),
    "no-rollout": (409, "No rollout is under way"),
    "not-ready": (409, "What is asked for is not ready: the way back, the candidate, or the service itself"),
    "stale": (409, "The release that was named is not the one that is there now"),
    "other-host": (421, "`Host` names another machine (provider listener): see `--provider-host`"),
    "internal-error": (500, "A fault of this program; the log tells more"),
    "json-wanted": (415, "The header `Content-Type: application/json` is missing"),
    "no-answer": (503, "No answer in time; what was asked may still be done"),
    "too-many-streams": (503, "So many listen to the events already"),
    "outcome-unknown": (503, "The disk has not answered; `detail` says how to find out what became of it"),
    "no-document": (503, "There is no document yet (provider listener)"),
    "store-failing": (503, "The store fails, so nothing was changed"),
}
"""Every `code` of a problem, on both listeners, with its status."""
EVENTS: Mapping[str, str] = {
    "first-sight": "A service that was not known got its active colour",
    "undecided": "A service that was not known runs both colours, and nobody named one",
    "desired": "The file wants another colour than before",
    "regrouped": "The file has moved the service to another group",
    Event.BEGUN: "A rollout began: `waiting`",
    Event.READY: "Every server is healthy and settled: `testing`",
    "smoke-passed": "The smoke tests of one service have passed on every server",
    "smoke-failed": "One of them has not",
    Event.TESTED: "Every smoke test has passed, or there is none: `approval`",
    Event.GATES_FAILED: "A smoke test failed: the rollout ended as `aborted`",
    "approval-wanted": "The rollout waits for somebody's word",
    "approval-reminder": "Half of the time for an approval is over",
    "approval-held": "Rollouts are stopped: the date of the approval is void",
    "approval-given": "Somebody approved the release",
    Event.APPROVED: "Every gate has passed: `shifting`",
    Event.GATES_LOST: "A gate that had passed holds no more: back to `waiting`",
    Event.SHIFTED: "The weights moved: `confirming`",
    Event.CONFIRMED: "Every Traefik shows it: `watching`",
    Event.UNCONFIRMED: "Not every Traefik was seen to show it: `watching` all the same",
    Event.WATCH_RESTARTED: "The watch begins anew, as the active colour was replaced",
    Event.WATCHED: "The watch is over: the rollout ended as `switched`",
    Event.ROLLED_BACK: "The way back was taken, by a command or by the watch",
    Event.ABORTED: "The rollout was ended by a command",
    Event.EXPIRED: "A deadline passed: the rollout ended as `expired`",
    Event.SUPERSEDED: "A new release, or another set of members, ended the rollout",
    Event.WITHDRAWN: "The service was removed from the file, or its candidate is not wanted any more",
    "replaced": "The active colour was replaced in place",
    "running": "The active colour runs other releases than before, none of them new",
    "way-back-lost": "The way back cannot be taken any more",
    "way-back-found": "It can again",
    "release-renamed": "A release id covers other settings than before; the same containers run",
    "override-lifted": "What a command decided does not stand against the file any more",
    "retry": "What failed is tried again",
    "paused": "Forward rollouts are stopped",
    "resumed": "They go on",
    "lease-taken": "A deployment took the lease",
    "lease-renewed": "It goes on with it",
    "lease-ended": "It gave it back, or somebody who may operate ended it",
}
"""Every `event` of a decision."""
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
        "/api/v1/caller": {"get": _get("Who asks, and what it may do.", "Caller")},
        "/api/v1/daemon": {"get": _get("How the daemon was started, and where.", "Daemon")},
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
    """Put an enum in the place where it is referred to; what is said of the place counts more."""
    reference = each.get("$ref")
    if not isinstance(reference, str):
        return each
    return {**schema["$defs"][reference.rpartition("/")[2]], **{key: each[key] for key in each if key != "$ref"}}


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
    told = "The lease that is meant; without it, which needs the scope `operate`, whichever there is"
    lease_id = {"name": "id", "in": "query", "required": False, "description": told, "schema": {"type": "string"}}
    return {
        "summary": "Give the lease back; that of another only with the scope `operate`.",
        "parameters": [_NAME, lease_id],
        "requestBody": {"required": False, "content": _content("Body")},
        "responses": {"200": {"description": "Given back.", "content": _content("Done")}, **_problems(*PROBLEMS)},
    }


def _events() -> Schema:
    return {
        "summary": "What is new, as server-sent events: every `decision` as it is taken, and `changed` with the names "
        "of `services` that may stand otherwise, `null` where these are so many that all should be asked for.",
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


def _said(text: str, schema: Schema) -> Schema:
    return {**schema, "description": text}


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


_WAY_BACK: Schema = _object(
    {
        "ready": _said("It could be taken now", _FLAG),
        "to": _or_null(_one_of(Colour)),
        "release": _or_null(_TEXT),
        "reason": _said("Why it could not", _or_null(_TEXT)),
        "command": _said("What gives the traffic to the other colour as things stand", _or_null(_TEXT)),
    }
)
_MISSING: Schema = _object(
    {
        "traefik": _said("Its address", _TEXT),
        "answers": _said("Its API answers, for a Traefik of this daemon's", _FLAG),
        "fetched": _said("It has the document; `null` where that is not known", _or_null(_FLAG)),
        "reason": _said("What is missing, for people", _TEXT),
    }
)
_OVERRIDE: Schema = _object({"colour": _one_of(Colour), "reason": _TEXT, "actor": _or_null(_TEXT), "since": _TIME})
_WANTED: Schema = _object({"colour": _one_of(Colour), "release": _or_null(_TEXT)})
_POLLER: Schema = _object({"poller": _TEXT, "revision": {"type": "integer"}, "current": _FLAG, "last_poll": _TIME})

SCHEMAS: Mapping[str, Schema] = {
    "Problem": _object(
        {
            "type": _TEXT,
            "status": {"type": "integer"},
            "code": _said("What is wrong, for programs", _one_of(CODES)),
            "detail": _said("What is wrong and what to do, for people", _TEXT),
        }
    ),
    "Done": _object(
        {
            "already": _said("There was nothing to do", _FLAG),
            "detail": _said("What was done, in words", _TEXT),
            "applied": _said(
                "Who shows what was done, as far as is known at once: ask for the service to follow it. `null` where "
                "no traffic was moved",
                _or_null(_ref("Applied")),
            ),
            "status": _said("How the service stands now", _or_null(_ref("Service"))),
        }
    ),
    "Applied": _object(
        {
            "by": _said("So many Traefiks show what was decided of the service", {"type": "integer"}),
            "of": _said("So many are read back; 0 where the file names none", {"type": "integer"}),
            "verified": _said("All of them do, and there is one", _FLAG),
            "refused": _said(
                "One of them has fetched the document and does not show it, or nobody has fetched it; right after a "
                "change they may only need a moment",
                _FLAG,
            ),
            "detail": _said("That in words, for people", _TEXT),
            "missing": _said("Those that were not seen to show it", _list(_MISSING)),
        }
    ),
    "Condition": _object(
        {
            "code": _said("What it is, for programs", _TEXT),
            "severity": _one_of(Severity),
            "message": _said("What is so and what to do, for people", _TEXT),
            "since": _or_null(_TIME),
        },
    ),
    "Server": _object(
        {
            "url": _said("Its address, as Traefik sees it", _TEXT),
            "health": _one_of(Health),
            "cause": _said("Why it is not healthy", _or_null(_TEXT)),
            "since": _said("Since when its health is what it is", _or_null(_TIME)),
            "container": _said("The id of its container, of fixed servers null", _or_null(_TEXT)),
        },
        release=_TEXT,
        version=_or_null(_TEXT),
        leaving=_said("It was asked to stop", _FLAG),
        published=_said("It is in the document", _FLAG),
    ),
    "ColourStatus": _object(
        {
            "release": _said("What all of its servers run, null where there are none or several", _or_null(_TEXT)),
            "version": _said("What people call that", _or_null(_TEXT)),
            "state": _one_of(ColourState),
            "servers": _list(_ref("Server")),
        }
    ),
    "GateStatus": _object({"state": _one_of(GateState)}, reason=_said("What it waits for, or why it failed", _TEXT)),
    "Rollout": _object(
        {
            "id": _TEXT,
            "candidate": _one_of(Colour),
            "release": _said("The candidate", _or_null(_TEXT)),
            "trigger": _said("What set it off", _one_of(Trigger)),
            "actor": _said("Who set it off", _or_null(_TEXT)),
            "since": _TIME,
            "deadline": _said("When the phase it is in will have taken too long", _or_null(_TIME)),
            "gates": _object({gate: _ref("GateStatus") for gate in Gate}),
        },
        forced=_said("The reason for which its gates are waived", _or_null(_TEXT)),
        smoke=_said("What each smoke test came to on each server", _list(_ENTRY)),
        approval=_said("Who approved it, and when", _or_null(_ENTRY)),
    ),
    "Service": _object(
        {
            "service": _said("Its name", _TEXT),
            "environment": _said("That of the file", _TEXT),
            "desired": _said("What the file says under `active`", _one_of(Wish)),
            "active": _said("Who takes the traffic, null while that is undecided", _or_null(_one_of(Colour))),
            "phase": _one_of(Phase),
            "weights": _said("The share of the traffic of each colour", _object(dict.fromkeys(Colour, _NUMBER))),
            "revision": _said("That of the document", _or_null({"type": "integer"})),
            "confirmed": _said("Every Traefik shows these weights", _FLAG),
            "applied": _said("Which Traefiks do", _ref("Applied")),
            "paused": _said("Forward rollouts are stopped, by `pause` or by `hold` in the file", _FLAG),
            "colours": _object({colour: _ref("ColourStatus") for colour in Colour}),
            "rollout": _said("What is under way", _or_null(_ref("Rollout"))),
            "blocking": _said("What keeps it from what is wanted, and how to go on", _or_null(_TEXT)),
            "rollback": _said("The way back", _WAY_BACK),
            "override": _said("What a command decided against the file", _or_null(_OVERRIDE)),
            "quarantined": _said("Releases that failed and are not tried again by themselves", _list(_ENTRY)),
            "conditions": _said("What an operator should know", _list(_ref("Condition"))),
        },
        group=_or_null(_TEXT),
        url=_said("Where people find it, as its rules say", _or_null(_TEXT)),
        preview_url=_said("Where people find the colour that stands by, with a preview", _or_null(_TEXT)),
        rollback_with_force=_said("The way back could be taken with `force`, which waives its health", _FLAG),
        lease=_said("The deployment that holds it, until when; its `id` for who may take one", _or_null(_ENTRY)),
        wanted=_said("The standby release that is to become active; none that failed", _or_null(_WANTED)),
        switched=_said("When the active colour last changed", _or_null(_TIME)),
        pollers=_said("Who fetches documents, and whether each has the last one", _list(_POLLER)),
        explanation=_said("What `bluegreen explain` says, a sentence each", _list(_TEXT)),
    ),
    "Overview": _object(
        {
            "environment": _or_null(_TEXT),
            "revision": _or_null({"type": "integer"}),
            "services": _list(_ref("Service")),
            "conditions": _said("Those of the daemon itself", _list(_ref("Condition"))),
        },
        docker=_said("Whether Docker answers", _ENTRY),
        pollers=_said("Who fetches documents, and whether each has the last one", _list(_POLLER)),
        unnamed=_said("Services that containers name and the file does not", _list(_TEXT)),
    ),
    "Caller": _object(
        {
            "actor": _said("The name of the token; without tokens whoever the client says it is", _TEXT),
            "scopes": _list(_TEXT),
            "may": _said("The verbs it may use, `lease`, and `force`", _list(_TEXT)),
        }
    ),
    "Daemon": _object(
        {
            "version": _TEXT,
            "environment": _or_null(_TEXT),
            "environment_label_required": _said("Whether a container must name its environment", _or_null(_FLAG)),
            "time": _said("Its clock", _TIME),
            "pid": {"type": "integer"},
            "uid": {"type": "integer"},
            "hostname": _TEXT,
            "in_container": _said("Whether it runs in a container", _FLAG),
            "listen": _TEXT,
            "admin_listen": _TEXT,
            "guarded": _said("Whether who reads the document has to show a token or a certificate", _FLAG),
            "tls": _said("Whether the listeners speak TLS", _FLAG),
            "poll_hold_s": _said("For so long a poll is held at most", _NUMBER),
            "docker": _object({"enabled": _FLAG, "url": _or_null(_TEXT), "host_address": _or_null(_TEXT)}),
            "traefik": _said("The APIs that are read back", _list(_TEXT)),
            "files": _said(
                "Where its files are; `place` is device and inode, `null` where there is no such file",
                _list(_object({"role": _TEXT, "path": _TEXT, "place": _or_null(_TEXT)})),
            ),
            "services": _said("The names of all services", _list(_TEXT)),
            "polls": _said(
                "How far apart each poller asks, as far as that is known",
                _list(_object({"poller": _TEXT, "interval_s": _or_null(_NUMBER)})),
            ),
        }
    ),
    "Decision": _object(
        {
            "at": _TIME,
            "service": _TEXT,
            "event": _one_of(EVENTS),
            "colour": _said("The candidate's; of a rollback the one that is left", _or_null(_one_of(Colour))),
            "release": _said("The one in that colour", _or_null(_TEXT)),
            "rollout": _or_null(_TEXT),
            "phase": _said("The one that it led to", _or_null(_one_of(Phase))),
            "outcome": _said("How the rollout ended", _or_null(_one_of(Outcome))),
            "trigger": _or_null(_one_of(Trigger)),
            "actor": _or_null(_TEXT),
            "detail": _said("Why, in words", _or_null(_TEXT)),
            "evidence": _said("What it rests on", _list(_TEXT)),
        }
    ),
    "History": _object({"history": _said("The newest first", _list(_ref("Decision")))}),
}
