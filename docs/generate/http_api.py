"""The reference of what the daemon answers over HTTP; the admin API from its own description."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from docs.generate.markdown import code, link, sentence, table
from docs.generate.markdown import page as whole
from provider import openapi, orders
from provider.tokens import EVERYTHING, NEEDS, Scope

Schema = Mapping[str, Any]

TITLE = "The HTTP API"
PROVIDER = """\
The provider listener (`--listen`, default `127.0.0.1:8900`) is for Traefik, Prometheus and probes. With a
`--provider-token-file` the first two paths want `Authorization: Bearer TOKEN`; the other two never do."""
DOCUMENT = """\
The document for Traefik's HTTP provider: 200, or 503 (`no-document`) while there is none yet, never anything else.
`ETag` is a hash of the content, `X-Bluegreen-Revision` the number of the document. Over a connection that has the
last document the answer is held until there is another one, for `--poll-hold` at most; `?hold=0` is answered at once
and is no poller's. `X-Bluegreen-Poller: NAME` names the poller in status and metrics. A large document is YAML, and
says so (`application/yaml`)."""
PROVIDED = (
    ("GET /traefik", DOCUMENT),
    ("GET /metrics", "For Prometheus: [metrics.md](metrics.md)."),
    ("GET /healthz", "200 while the process answers."),
    ("GET /readyz", "200 once a document is served, else 503 with the reason."),
)
ADMIN = """\
The admin listener (`--admin-listen`, default `127.0.0.1:8901`, or `unix:PATH`). `GET /api/v1/openapi.json` describes
what follows for programs (OpenAPI 3.1); this page is made from it. Times are UTC (RFC 3339); what there is not is
`null`.

- **`/`** is the [console](../console.md); its page and files want no token, they are the same for everybody.
- **Who**: with `--tokens-file` every request under `/api/` wants `Authorization: Bearer TOKEN`, and the name of the
  token is the actor in the history. Without it, on loopback or a unix socket, the header `X-Bluegreen-Actor: NAME`
  names the actor.
- **Bodies** are JSON, and `POST` and `DELETE` want `Content-Type: application/json`, with or without a body. A key
  that is not listed is refused.
- **Browsers**: what a page of another site sends is refused (403, `cross-site`), and without tokens so is a `Host`
  that is not this machine's loopback name or address.
- `force` needs the scope `operate` and a `reason`."""
CODES = """\
An error is `application/problem+json` (RFC 9457). `code` is stable and for programs, `detail` is for people and says
what to do."""
STREAM = """\
`GET /api/v1/events` is a stream of server-sent events: `event: decision`, and in `data` one [Decision](#decision) as
JSON, as soon as it is on disk. A comment comes every 5 s without one. Nothing is repeated: after a reconnect the
history has what was missed (`since`). A listener that is 1,000 decisions behind is let go."""
EVENTS_INTRODUCTION = """\
The `event` of a decision, in the stream and in the history, is one of these."""


def page() -> str:
    """Return the page."""
    described: Schema = json.loads(json.dumps(openapi.describe(orders._BODIES, orders.LeaseBody)))
    schemas: Schema = described["components"]["schemas"]
    provided = ((code(path), meaning) for path, meaning in PROVIDED)
    problems = ((str(status), code(name), sentence(text)) for name, (status, text) in openapi.CODES.items())
    return whole(
        TITLE,
        "## For Traefik and Prometheus",
        PROVIDER,
        table(("Request", "Answer"), provided),
        "## For operators and programs",
        ADMIN,
        table(("Request", "What it does", "Scope", "Body", "Answers"), _requests(described["paths"])),
        "## Parameters of queries",
        table(("Request", "Parameter", "Type"), _parameters(described["paths"])),
        "## Errors",
        CODES,
        table(("Status", "`code`", "Meaning"), sorted(problems)),
        "## Events",
        STREAM,
        EVENTS_INTRODUCTION,
        table(("`event`", "Meaning"), ((code(event), sentence(text)) for event, text in openapi.EVENTS.items())),
        "## Objects",
        "A field without *optional* is always there.",
        *(part for name, each in schemas.items() for part in _object(name, each)),
    )


def _requests(paths: Schema) -> Iterator[tuple[str, ...]]:
    for path, methods in paths.items():
        for method, each in methods.items():
            body = each.get("requestBody", {}).get("content", {})
            yield (
                code(f"{method.upper()} {path}"),
                each["summary"],
                _scopes(method, path),
                ", ".join(_schema(content["schema"]) for content in body.values()),
                ", ".join(_answer(status, answer) for status, answer in each["responses"].items()),
            )


def _scopes(method: str, path: str) -> str:
    if method == "get":
        return "any"
    needed = NEEDS.get(path.rpartition("/")[2], EVERYTHING)
    return ", ".join(code(scope) for scope in Scope if scope in needed)


def _answer(status: str, answer: Schema) -> str:
    if int(status) >= 400:
        return status
    kinds = [_schema(content["schema"]) for content in answer["content"].values() if "$ref" in content["schema"]]
    return f"{status} {', '.join(kinds)}".strip()


def _parameters(paths: Schema) -> Iterator[tuple[str, ...]]:
    for path, methods in paths.items():
        for method, each in methods.items():
            for parameter in each.get("parameters", ()):
                if parameter["in"] == "query":
                    required = ", required" if parameter.get("required") else ""
                    kind = _schema(parameter["schema"]) + required
                    yield code(f"{method.upper()} {path}"), code(parameter["name"]), kind


def _object(name: str, each: Schema) -> Iterator[str]:
    yield f"### {name}"
    yield sentence(each.get("description", ""))
    required = each.get("required", ())
    rows = list(_fields("", each, required))
    yield table(("Field", "Type", "Meaning"), rows)


def _fields(path: str, each: Schema, required: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for field, value in each["properties"].items():
        optional = "" if field in required else ", *optional*"
        yield code(path + field), _schema(value) + optional, sentence(value.get("description", ""))
        inner = next((part for part in value.get("anyOf", [value]) if "properties" in part), None)
        if inner is not None:
            yield from _fields(f"{path}{field}.", inner, inner.get("required", ()))


def _schema(value: Schema) -> str:
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return link(name, name)
    if "anyOf" in value:
        return " or ".join(_schema(part) for part in value["anyOf"])
    if "enum" in value:
        return ", ".join(code(word) for word in value["enum"])
    if value.get("format") == "date-time":
        return "time"
    match value["type"]:
        case "array":
            return f"list of {_schema(value['items'])}"
        case "null":
            return "`null`"
        case "boolean":
            return "`true`, `false`"
        case word:
            return str(word)
