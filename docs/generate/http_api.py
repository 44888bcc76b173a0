"""The reference of what the daemon answers over HTTP; the admin API from its own description."""

from collections.abc import Iterator, Mapping
from typing import Any

from docs.generate.markdown import code, link, sentence, table
from docs.generate.markdown import page as whole
from provider.api import openapi
from provider.api.routes import ROUTES, Route
from provider.api.tokens import Scope
from provider.model import EVENTS
from provider.model.problems import PROBLEMS

Schema = Mapping[str, Any]

_SORTED = sorted(ROUTES, key=lambda route: route.path)

TITLE = "The HTTP API"
PROVIDER = """\
The provider listener (`--listen`, default `127.0.0.1:8900`) is for Traefik, Prometheus and probes. With a
`--provider-token-file`, the first two paths require `Authorization: Bearer TOKEN`; the other two never do."""
DOCUMENT = """\
The document for Traefik's HTTP provider: 200, or 503 (`no-document`) while there is none yet. `ETag` is a hash of the
content, `X-Bluegreen-Revision` the number of the document. On a connection that has the last document, the answer is
held until there is a new one, for `--poll-hold` at most. `?hold=0` is answered at once and does not count as a poller.
`X-Bluegreen-Poller: NAME` names the poller in status and metrics. A large document is `application/yaml`."""
PROVIDED = (
    ("GET /traefik", DOCUMENT),
    ("GET /metrics", "For Prometheus: [metrics.md](metrics.md)."),
    ("GET /healthz", "200 while the process answers."),
    ("GET /readyz", "200 once a document is served, else 503 with the reason."),
)
ADMIN = """\
The admin listener (`--admin-listen`, default `127.0.0.1:8901`, or `unix:PATH`). `GET /api/v1/openapi.json` is the
OpenAPI 3.1 description that this page is generated from. Times are UTC (RFC 3339); a missing value is `null`.

- **`/`** is the [console](../console.md); its page and files need no token.
- **Tokens**: with `--tokens-file`, every request under `/api/` requires `Authorization: Bearer TOKEN`, and the name of
  the token is the actor in the history. Without it, on loopback or a unix socket, the header `X-Bluegreen-Actor: NAME`
  names the actor.
- **Bodies** are JSON. `POST` and `DELETE` require `Content-Type: application/json`, with or without a body. An unknown
  key is refused.
- **Browsers**: requests from pages of other sites are refused (403, `cross-site`), without tokens also a `Host` that is
  not a loopback name or address of this machine.
- `force` requires the scope `operate` and a `reason`."""
CODES = """\
An error is `application/problem+json` (RFC 9457). `code` is stable, for programs; `detail` is for people and says what
to do. The table above leaves out 401, 403 (`cross-site`) and 500, which any request may come to. The OpenAPI
description names every code of every request."""
STREAM = """\
`GET /api/v1/events` is a stream of server-sent events: `event: decision`, with a [Decision](#decision) as JSON in
`data`, once it is on disk, and `event: changed`, with [Changed](#changed), when the status of services may have
changed. After 5 s without an event a comment is sent. Nothing is repeated: after a reconnect, read what you missed from
the history (`since`). A client that is 1,000 decisions behind is disconnected."""
EVENTS_INTRODUCTION = """\
Values of `event` in the stream and in the history:"""


def page() -> str:
    """Return the page."""
    schemas: Schema = openapi.describe()["components"]["schemas"]
    provided = ((code(path), meaning) for path, meaning in PROVIDED)
    codes = ((str(status), code(name), sentence(text)) for name, (status, text) in PROBLEMS.items())
    return whole(
        TITLE,
        "## For Traefik and Prometheus",
        PROVIDER,
        table(("Request", "Answer"), provided),
        "## For operators and programs",
        ADMIN,
        table(("Request", "What it does", "Scope", "Body", "Answers"), _requests()),
        "## Parameters of queries",
        table(("Request", "Parameter", "Type", "Meaning"), _parameters()),
        "## Errors",
        CODES,
        table(("Status", "`code`", "Meaning"), sorted(codes)),
        "## Events",
        STREAM,
        EVENTS_INTRODUCTION,
        table(("`event`", "Meaning"), ((code(event), sentence(text)) for event, text in EVENTS.items())),
        "## Objects",
        "A field without *optional* is always there.",
        *(part for name, each in schemas.items() for part in _object(name, each)),
    )


def _requests() -> Iterator[tuple[str, ...]]:
    for route in _SORTED:
        kind = f" {_link(route.answer)}" if route.answer is not None else ""
        done = [f"{status}{kind}" for status in (("200", "202") if route.begins else ("200",))]
        refused = sorted({str(PROBLEMS[code][0]) for code in route.own})
        yield (
            _name(route),
            route.summary,
            ", ".join(code(scope) for scope in Scope if scope in route.scopes) or "any",
            _link(route.body) if route.body is not None else "",
            ", ".join((*done, *refused)),
        )


def _parameters() -> Iterator[tuple[str, ...]]:
    for route in _SORTED:
        for one in route.query:
            yield _name(route), code(one.name), _schema(one.type), sentence(one.description)


def _name(route: Route) -> str:
    return code(f"{route.method} {route.path}")


def _link(kind: type) -> str:
    return link(kind.__name__, kind.__name__)


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
