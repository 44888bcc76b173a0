"""Turns a document into the file that Traefik falls back on while nothing answers its polls.

While the daemon runs Traefik has both, `shop@http` of the document and `shop@file` of the file, so nothing in the file
may win over the document or clash with it. What that takes was seen in Traefik 3.7.15; tests/integration/
test_write_file.py notices when it changes.

The weights of a step stay what they were: nobody decides on others while the daemon is away, and a Traefik that did not
start again has them, too. The test route is left out. It is above the routers of its service, so that one in a file
which is a moment older would lead testers to a candidate that the document has withdrawn already (rule 24).
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import orjson

from provider.model import Colour, JsonObject
from provider.model.document import MARKER, section
from provider.traefik.document.render import Block, Members, PassThrough, compose, render_pass_through

LOWEST_PRIORITY = -(2**63)
CATCH_ALL_PRIORITY = -1
"""What Traefik gives a TCP router of HostSNI(`*`) without a priority (pkg/muxer/tcp/mux.go, GetRulePriority)."""
OURS = "@http"
TEST = "-test"
TEST_SERVICE = re.compile(rf"-(?:{'|'.join(Colour)}){TEST}\Z")
REFERENCES = frozenset({"fallback", "middlewares", "name", "parentRefs", "service", "serversTransport"})
"""The keys under which an object of Traefik's names another one."""


def block_in_file(block: Block) -> Block:
    """Turn a block of the document into that of the file."""
    routers, services = _parsed(block.routers.json), block.services
    tests = _test_routes(routers)
    if tests or f'{OURS}"'.encode() in services.json:
        services = _members(_local(_without(_parsed(services.json), tests.values())))
    routers = _lowered(_without(routers, tests), _http_default)
    return replace(block, routers=_members(routers), services=services)


def extra_in_file(extra: PassThrough) -> PassThrough:
    """Turn the pass-through configuration into the part that the file has."""
    top = _parsed(extra.top)
    tcp = _local(section(top, "tcp"))
    if "routers" in tcp:
        tcp["routers"] = _lowered(section(tcp, "routers"), _tcp_default)
    certificates = section(top, "tls").get("certificates")
    kept = {"tcp": tcp, "tls": {"certificates": certificates} if certificates else None}
    return replace(
        extra,
        middlewares=tuple(_members(_local(_parsed(some.json))) for some in extra.middlewares),
        routers=tuple(_members(_lowered(_parsed(some.json), _http_default)) for some in extra.routers),
        services=tuple(_members(_local(_parsed(some.json))) for some in extra.services),
        http_rest=_members(_local(_parsed(extra.http_rest))).json,
        top=_members({name: section for name, section in kept.items() if section}).json,
    )


def parts_of(content: JsonObject) -> PassThrough:
    """Take a whole document apart that another replica made, without its marker."""
    http = dict(section(content, "http"))
    middlewares = section(http, "middlewares")
    marker = next((name for name in middlewares if MARKER.fullmatch(name)), "")
    headers = section(section(section(middlewares, marker), "headers"), "customResponseHeaders")
    http["middlewares"] = _without(middlewares, (marker,))
    tests = _test_routes(section(http, "routers"))
    for kind, names in (("routers", tests.keys()), ("services", tests.values())):
        if kind in http:
            http[kind] = _without(section(http, kind), names)
    return render_pass_through({**content, "http": http}, str(headers.get("X-Bluegreen-Environment", "")))


def file_content(blocks: Sequence[Block], extra: PassThrough) -> bytes:
    """Compose the file of blocks and a rest that are converted already; its marker is that of the document.

    Traefik runs its files through Go's templates. Those begin with two braces, which a document has only in strings:
    there the second one is written as its escape.
    """
    return compose(blocks, extra).body.replace(b"{{", b"{\\u007b")


def refused(pass_through: JsonObject) -> tuple[str, ...]:
    """Return the sections that a document must not have beside a file.

    TLS options of one host that come from two providers are a conflict to Traefik, which then serves the host with its
    default ones; where two define the default ones, no router works; and a file without them serves without them.
    """
    return tuple(f"tls.options.{name}" for name in section(section(pass_through, "tls"), "options"))


def left_out(pass_through: JsonObject) -> tuple[str, ...]:
    """Return the sections that the file does not have.

    Only one provider may define the default store; UDP routers have no priority, and an entry point has room for one.
    """
    found = {"tls.stores": section(section(pass_through, "tls"), "stores"), "udp": section(pass_through, "udp")}
    return tuple(name for name, section in found.items() if section)


def _test_routes(routers: JsonObject) -> dict[str, str]:
    """Return the routers of test routes, each with its service: those beside a router whose rule they have and more."""
    found = {}
    for name in routers:
        router, main = section(routers, name), section(routers, name.removesuffix(TEST))
        service, rule = str(router.get("service")), f"({str(main.get('rule', '')).strip()}) && "
        if name.endswith(TEST) and TEST_SERVICE.search(service) and str(router.get("rule")).startswith(rule):
            found[name] = service
    return found


def _without(values: JsonObject, names: Iterable[str]) -> JsonObject:
    dropped = frozenset(names)
    return {name: body for name, body in values.items() if name not in dropped}


def _lowered(routers: JsonObject, default: Callable[[str], int]) -> dict[str, object]:
    """Give each router a priority one below that in the document; 0 means none to Traefik, so -1 follows 1."""
    lowered: dict[str, object] = {}
    for name in routers:
        router = section(routers, name)
        priority = _written(router) or default(str(router.get("rule", "")))
        lowered[name] = {**_local(router), "priority": max(priority - 1 or -1, LOWEST_PRIORITY)}
    return lowered


def _written(router: JsonObject) -> int:
    """Read a priority as Traefik does, which takes `"5"` and `5.0` as well; anything else it refuses by itself."""
    try:
        return int(router.get("priority") or 0)  # type: ignore[call-overload, no-any-return]  # anything but a number raises
    except (TypeError, ValueError):
        return 0


def _http_default(rule: str) -> int:
    return len(rule.encode())


def _tcp_default(rule: str) -> int:
    is_catch_all = re.sub(r"[\s()`\"']", "", rule).casefold() == "hostsni*"
    return CATCH_ALL_PRIORITY if is_catch_all else len(rule.encode())


def _local(values: JsonObject) -> dict[str, object]:
    """Refer to objects of the file: without a document there is no `x@http`."""
    return {key: _local_value(value, key) for key, value in values.items()}


def _local_value(value: object, key: str) -> object:
    match value:
        case str():
            return value.removesuffix(OURS) if key in REFERENCES else value
        case Mapping():
            return _local(value)
        case list():
            return [_local_value(inner, key) for inner in value]
        case _:
            return value


def _parsed(members: bytes) -> dict[str, object]:
    parsed: dict[str, object] = orjson.loads(b"{%b}" % members)
    return parsed


def _members(values: JsonObject) -> Members:
    return Members(orjson.dumps(values)[1:-1], len(values))
