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

from provider.model import Colour, Desired, JsonObject, Protocol
from provider.model.document import MARKER, section
from provider.traefik.document.render import Block, Members, PassThrough, Section, compose, render_pass_through
from provider.traefik.document.tcp import CATCH_ALL_PRIORITY, is_catch_all

LOWEST_PRIORITY = -(2**63)
OURS = "@http"
TEST = "-test"
TEST_SERVICE = re.compile(rf"-(?:{'|'.join(Colour)}){TEST}\Z")
REFERENCES = frozenset({"fallback", "middlewares", "name", "parentRefs", "service", "serversTransport"})
"""The keys under which an object of Traefik's names another one."""


def block_in_file(block: Block) -> Block:
    """Turn a block of the document into that of the file."""
    found = {name: _section_in_file(name, ours) for name, ours in block.sections.items() if name in IN_FILE}
    return replace(block, sections=found)


def _section_in_file(protocol: Protocol, ours: Section) -> Section:
    routers, services = _parsed(ours.routers.json), ours.services
    tests = _test_routes(routers) if protocol is Protocol.HTTP else {}
    if tests or f'{OURS}"'.encode() in services.json:
        services = _members(_local(_without(_parsed(services.json), tests.values())))
    middlewares = _members(_local(_parsed(ours.middlewares.json)))
    return Section(_members(_lowered(_without(routers, tests), DEFAULTS[protocol])), services, middlewares)


def extra_in_file(extra: PassThrough) -> PassThrough:
    """Turn the pass-through configuration into the part that the file has."""
    tls: JsonObject = orjson.loads(extra.others.get("tls", b"{}"))
    certificates = tls.get("certificates")
    return replace(
        extra,
        sections={
            protocol: {kind: _passed_in_file(protocol, kind, some) for kind, some in passed.items()}
            for protocol, passed in extra.sections.items()
            if protocol in IN_FILE
        },
        others={"tls": orjson.dumps({"certificates": certificates})} if certificates else {},
    )


def _passed_in_file(protocol: Protocol, kind: str, passed: Iterable[Members]) -> tuple[Members, ...]:
    each = (_parsed(some.json) for some in passed)
    if kind == "routers":
        return tuple(_members(_lowered(some, DEFAULTS[protocol])) for some in each)
    return tuple(_members(_local(some)) for some in each)


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


def left_out(desired: Desired) -> tuple[str, ...]:
    """Return the sections that the file does not have.

    Only one provider may define the default store; UDP routers have no priority, and an entry point has room for one.
    """
    passed, spoken = desired.pass_through, {one.protocol for of in desired.services.values() for one in of.endpoints}
    stores, is_udp = section(section(passed, "tls"), "stores"), Protocol.UDP in spoken or section(passed, Protocol.UDP)
    return (*(["tls.stores"] if stores else []), *(["udp"] if is_udp else []))


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
    return CATCH_ALL_PRIORITY if is_catch_all(rule) else len(rule.encode())


DEFAULTS: Mapping[Protocol, Callable[[str], int]] = {Protocol.HTTP: _http_default, Protocol.TCP: _tcp_default}
"""The priority that Traefik gives a router without one, by its rule."""
IN_FILE = frozenset(DEFAULTS)
"""The sections that the file has: UDP routers have no priority, so that those of the document could not win."""


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
