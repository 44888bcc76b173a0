"""The reference of the desired-state file, from its JSON Schema."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from pydantic import TypeAdapter

from docs.generate.markdown import capitalised, code, link, sentence, table
from docs.generate.markdown import page as whole
from provider import config
from provider.config import progressive, types
from provider.config.traefik_types import PREFIX

Schema = Mapping[str, Any]

TITLE = "The desired-state file"
INTRODUCTION = """\
The file of `bluegreen serve --desired-state FILE`: YAML, with keys in camelCase as in Traefik. The daemon reloads it
when it changes. A file with an error has no effect: `bluegreen validate FILE` shows every error with line and column,
and so do `bluegreen status` and the log. FILE may be a directory: all of its `*.yaml` are one desired state, services
and names under `http`, `tcp`, `udp` and `tls` in any of them, and every other key in one. A name may stand in one file.
While one of them has an error, nothing of the directory has an effect.
Examples with comments: [`config/production.yaml`](../../config/production.yaml) and
[`config/staging.yaml`](../../config/staging.yaml). For completion and checks in an editor use
[`config/desired-state.schema.json`](../../config/desired-state.schema.json); `bluegreen schema` prints it.

- A **duration** has a unit, as in Go: `300ms`, `5s`, `1m30s`, `2h`.
- An **unknown key** is refused, with a suggestion. This includes Traefik's own objects, as Traefik would refuse the
  whole document for it; all keys and types of Traefik 3.0 to 3.7 are known. There, keys may be written in any case, and
  values as Traefik converts them (`tls: true`, `"8"` for a number).
- A **name** has no `@`, `/` or white space and does not begin with `bluegreen-`.
- An empty default means none, unless the meaning says otherwise."""
RULES = """\
- A service has either `router` or `routers`.
- Names are unique in Traefik. A service `shop` creates the services `shop`, `shop-blue` and `shop-green`, the router
  `shop` (or those of `routers`) and the router `shop-preview`. So there can be no service `shop-blue`, and no such name
  under `http`.
- What is passed through must not refer to services that the daemon creates: add a router to the service instead.
- `traefik.defaultCertificate: generated` and `tls.stores.default` exclude each other.
- The cookies of `sticky`, of `loadBalancer.sticky` and of `testRoute` must have different names.
- Variables are not replaced: `${DOMAIN}`, `{{ env "DOMAIN" }}` in a rule, a host, a URL or a name, and `$$` in `users`
  are refused. `${1}` in a replacement and the `$` of a regular expression are Traefik's.
- Objects listed in `traefik.unchecked`, such as `http.middlewares.compress`, are passed on unchecked except for the
  rules here.
- Weights under `http.services` and `tcp.services` are whole numbers from 1 on.
- With `testRoute` it also creates the routers `shop-test` and the services `shop-blue-test` and `shop-green-test`, with
  `preview` beside `canary` or `analysis` the services `shop-blue-preview` and `shop-green-preview`, and for steps such
  services as `shop-green-r17` (`sticky`) and `shop-r17-1` (`affinity: cookie`). No other may have such a name.
- Weights of steps rise, and members of a `group` have the same `canary`.
- An `analysis` has a test: `errors` or `slow` with a limit, or `queries`, which ask `prometheus`, else the source.
  `slow.over` is the bound of a bucket of Traefik's: 100ms, 300ms, 1.2s, 5s, or those of `traefik.buckets`.
- A `testRoute` has a header or a cookie, with `value` or `valueFile`. Its routers have a priority 2 higher: no router
  of another service that may match the same requests has one from 1 to 2 higher on the same entry point. Rules are
  of v3 there, and with `sticky` and steps.
- With `endpoints` each has services of its own, in the section of its protocol: endpoint `mqtt` of `broker` has
  `broker-mqtt` over `broker-mqtt-blue` and `broker-mqtt-green`, and `default` the short names. A router, a preview or a
  smoke test without `endpoint` takes `default`, and is refused where there is none.
- Keys of a router and a load balancer are those that Traefik has for the protocol: one of UDP has neither rule nor
  priority, and entry points that no other router of UDP listens on; one of TCP needs `tls` where its rule names a host.
  `defaults.router`, and `healthCheck` and `loadBalancer` beside `endpoints`, are for HTTP.
- `sticky`, `testRoute`, `analysis` and `canary.affinity` concern HTTP only: they are refused in a service without an
  endpoint of HTTP, and do nothing there as a default.
- A server over UDP is checked by `send` and `expect` or by Docker; else the health of the other endpoints counts.
- Fixed servers have addresses of every endpoint: `urls` are those of `default`, `endpoints` those of the others.
- With `routing: labels` a service has no `router`, `routers`, `loadBalancer`, `endpoints` and `servers`, and those of
  the defaults do nothing there. Its `preview` stands in the file; its `smokeTests` may name endpoints of the labels.
- `services: auto` has each service that containers name with `bluegreen.service`: it has the defaults and
  `routing: labels`, or the `routing` of the defaults. A service that is written wins: write `services: auto` in one
  file of a directory and the others beside it, or `"*": auto` among them in one file. Containers must then have the
  label `bluegreen.environment`: `requireEnvironmentLabel` is true.
- A server belongs to one colour. Smoke tests of a service have different names.
- Keys of HTTP requests have no effect on a health check with `mode: tcp` or `docker`.
- A reload that would remove every service is refused, unless the file says `services: {}`.
- The file has at most 5 MB."""
STEPS = """\
Without these keys a release is one switch. This one gets 5 % of the requests first, and the next step only if it has no
more errors than the release that is active. It can be tried before, by a header.

```yaml
environment: production
traefik: {api: [http://traefik:8080]}
services:
  shop:
    router: {rule: Host(`shop.example.com`)}
    canary:
      steps:
        - {weight: 5, for: 5m}
        - {weight: 25, for: 10m, approval: manual}
        - {weight: 50, for: 10m}          # 100 follows the last one
    analysis:
      errors: {worseThanActive: 0.99, max: 5%}
      slow: {over: 1.2s, worseThanActive: 0.99}
    testRoute: {header: {name: X-Release, value: d41f0c9be7a25613}}
```"""
ALSO = {"DefaultsObject": "ServiceObject", "RouterKeys": "RouterObject", "EndpointBalancer": "LoadBalancer"}
"""Objects most of whose keys are those of another one, which is described before."""
KINDS = {
    json.dumps(TypeAdapter(kind).json_schema(), sort_keys=True): word
    for word, kind in (
        ("duration", types.Duration),
        ("duration above 0", types.Wait),
        ("duration", types.TraefikDuration),
        ("name", types.Name),
        ("rule", types.Rule),
        ("URL, HOST:PORT", types.ServerUrl),
        ("URL, HOST:PORT", types.ServerPlace),
        ("name of an endpoint", types.EndpointName),
        ("host", types.HostPattern),
        ("rule", types.Template),
        ("URL", types.ApiUrl),
        ("URL", types.PrometheusUrl),
        ("URL", types.MetricsUrl),
        ("path", types.UrlPath),
        ("host", types.Hostname),
        ("HTTP method", types.Method),
        ("string or number", types.Version),
        ("rate", progressive.Rate),
        ("number between 0.5 and 1", progressive.Confidence),
        ("status codes", progressive.Statuses),
    )
}
SAID = frozenset({"default", "description", "examples"})


def page() -> str:
    """Return the page."""
    schema: Schema = json.loads(json.dumps(config.schema()))
    objects = tuple(_objects(schema))
    titles = {name: title for title, name, _ in objects}
    parts = []
    for title, name, each in objects:
        about = "" if name == "" else sentence(each.get("description", "").replace("\n\n", " ").replace("\n", " "))
        parts += [f"## {title}", about, *_keys(name, each, schema["$defs"], titles)]
    return whole(TITLE, INTRODUCTION, *parts, "## A release in steps", STEPS, "## Rules between keys", RULES)


def _objects(schema: Schema) -> Iterator[tuple[str, str, Schema]]:
    """Yield every object once: its heading, which is the first way to it, its name and its schema."""
    waiting: list[tuple[str, str, Schema]] = [("The file", "", schema)]
    seen = {""}
    while waiting:
        title, name, each = waiting.pop(0)
        yield title, name, each
        path = "" if name == "" else f"{title.strip('`')}."
        found = []
        for key, value in each["properties"].items():
            inner, more = _object_in(value)
            if inner and inner not in seen | set(ALSO):
                seen.add(inner)
                found.append((f"`{path}{key}{more}`", inner, schema["$defs"][inner]))
        if name == "":  # defaults refer to what a service says
            found += [("`defaults`", "DefaultsObject", schema["$defs"]["DefaultsObject"])]
        if name == "DefaultsObject":
            found += [("`defaults.router`", "RouterKeys", schema["$defs"]["RouterKeys"])]
        if name == "EndpointObject":
            found += [(f"`{path}loadBalancer`", "EndpointBalancer", schema["$defs"]["EndpointBalancer"])]
        waiting = [*waiting, *found] if name == "" else [*found, *waiting]


def _object_in(value: Schema) -> tuple[str, str]:
    """Return the object that a value is or holds, and what its path has after the key."""
    value = types.alternative(value)
    for holder, more in ((value, ""), (value.get("items", {}), "[]"), (_named(value), ".NAME")):
        if "$ref" in holder and not _is_traefiks(holder):
            return holder["$ref"].rpartition("/")[2], more
    return "", ""


def _is_traefiks(value: Schema) -> bool:
    """Tell whether an object is Traefik's whole, which its own documentation describes."""
    return str(value["$ref"]).rpartition("/")[2].startswith(PREFIX) and not value["$ref"].endswith("/TraefikKeys")


def _named(value: Schema) -> Schema:
    """Return what a mapping from names holds."""
    patterns: Schema = value.get("patternProperties", {})
    found = next(iter(patterns.values()), value.get("additionalProperties", {}))
    return found if isinstance(found, dict) else {}


def _keys(name: str, each: Schema, known: Schema, titles: Mapping[str, str]) -> Iterator[str]:
    keys: Schema = each["properties"]
    other = ALSO.get(name, "")
    shared = [key for key, value in keys.items() if other and known[other]["properties"].get(key) == value]
    if shared:
        yield f"As in {link(titles[other], titles[other])}: {', '.join(map(code, shared))}."
    required = each.get("required", ())
    own = sorted((key for key in keys if key not in shared), key=lambda key: _may_be_default(name, key, known))
    rows = [_row(key, keys[key], key in required, titles) for key in own]
    yield table(("Key", "Type", "Default", "Meaning"), rows)


def _may_be_default(name: str, key: str, known: Schema) -> bool:
    """Tell whether a key is one of those that another object has as well, which come after its own."""
    others = (known[one]["properties"] for one, of in ALSO.items() if of == name)
    return any(key in other and "not" not in other[key] for other in others)


def _row(key: str, value: Schema, required: bool, titles: Mapping[str, str]) -> tuple[str, ...]:
    if "not" in value:
        return code(key), "refused", "", sentence(capitalised(value["description"]))
    default = "**required**" if required else code(_written(value["default"])) if "default" in value else ""
    example = f" Example: {code(_written(value['examples'][0]))}." if "examples" in value else ""
    return code(key), _type(value, titles), default, sentence(value["description"]) + example


def _type(value: Schema, titles: Mapping[str, str]) -> str:
    kind = KINDS.get(json.dumps({key: part for key, part in value.items() if key not in SAID}, sort_keys=True))
    if kind:
        return kind
    if "$ref" in value and _is_traefiks(value):
        return "object of Traefik's"
    if "$ref" in value:
        return link("object", titles[value["$ref"].rpartition("/")[2]])
    if "anyOf" in value:
        words = [code(_written(one["const"])) for one in value["anyOf"] if "const" in one]
        return ", ".join([_type(types.alternative({"anyOf": value["anyOf"]}), titles), *words])
    if "enum" in value:
        return ", ".join(code(word) for word in value["enum"])
    match value["type"]:
        case "array":
            return f"list of {_type(value['items'], titles)}"
        case "object":
            inner = _named(value)
            return f"by name: {_type(inner, titles)}" if inner.get("type") != "object" and inner else "object"
        case "integer":
            return _whole_number(value)
        case "boolean":
            return "`true`, `false`"
        case word:
            return str(word)


def _whole_number(value: Schema) -> str:
    least, most = value.get("minimum"), value.get("maximum")
    if least is None or abs(least) > 2**32:
        return "whole number"
    return f"whole number from {least}{f' to {most}' if most is not None else ' on'}"


def _written(value: object) -> str:
    """Return a value as the file has it, in one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("\n").removesuffix("\n...")
    return text.replace("'", '"') if isinstance(value, list | dict) and '"' not in text else text
