"""Checks across the keys for a release in steps, of each service with what the defaults add to it.

Like `cross_checks` they read the raw values, and skip shapes that the schema reports.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from provider.config import endpoints
from provider.config.defaults import effective
from provider.config.messages import Finding
from provider.config.progressive import COUNTED_TESTS
from provider.config.progressive_build import TESTS
from provider.config.routing import EVERY_OTHER, is_auto
from provider.config.tree import KeyPath
from provider.config.types import shown
from provider.model import Affinity, Protocol, listed
from provider.model.durations import parse_duration
from provider.model.text import clean

BUCKETS_S: tuple[float, ...] = (0.1, 0.3, 1.2, 5.0)
"""The bounds of Traefik's histogram where its static configuration names none (docs of metrics.prometheus.buckets)."""
NO_MATCH = {
    "host": "Traefik keeps it apart from the other headers",
    "cookie": "write testRoute.cookie for a cookie",
}
"""Headers that the matcher Header sees nothing of, or only as a whole."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Something with the keys of a service: one, or the defaults. `defaults` are what is added to its own keys."""

    path: KeyPath
    keys: Mapping[str, Any]
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def all_of(self, key: str) -> dict[str, Any]:
        """Return an object with what the defaults add; empty where there is none."""
        found = effective(self.keys, self.defaults, key)
        return found if isinstance(found, dict) else {}

    def has(self, key: str) -> bool:
        """Return whether an object is written here."""
        return isinstance(self.keys.get(key), dict)

    def own(self, key: str) -> dict[str, Any]:
        """Return an object as it is written here; empty where there is none."""
        found = self.keys.get(key)
        return found if isinstance(found, dict) else {}

    def path_of(self, *keys: str) -> KeyPath:
        """Return where a key that this has is written: here, or in the defaults."""
        value: Any = self.keys
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return (*self.path, *keys) if value is not None else ("defaults", *keys)

    @property
    def is_in_steps(self) -> bool:
        """Whether its releases go step by step."""
        return bool(self.all_of("canary").get("steps"))


def findings(value: object) -> Iterator[Finding]:
    """Yield what is wrong with the steps, analyses and test routes of a file."""
    if not isinstance(value, dict):
        return
    defaults = Holder(("defaults",), _mapping(value.get("defaults")))
    services = [
        Holder(("services", name), keys, defaults.keys)
        for name, keys in _mapping(value.get("services")).items()
        if isinstance(keys, dict)
    ]
    if is_auto(value.get("services")):
        services.append(Holder(("services", EVERY_OTHER), {}, defaults.keys))
    traefik = _mapping(value.get("traefik"))
    yield from _rising_buckets(traefik)
    bounds_s = _buckets(traefik)
    for one in (defaults, *services):
        yield from _steps(one)
        yield from _limits(one)
        yield from _bucket(one, bounds_s)
        yield from _queries(one)
        yield from _route(one)
    found = dict.fromkeys(finding for one in services for finding in _whole(one, traefik))
    yield from found  # what the defaults alone are to blame for, once
    yield from _unused(defaults, services)
    yield from _groups(services)


def _whole(one: Holder, traefik: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what is wrong with the keys of a service together with those of the defaults."""
    if one.has("canary") and not one.is_in_steps and "steps" not in one.own("canary"):
        message = "has no steps: write steps: [{weight: 5, for: 5m}], or false for one switch"
        yield Finding((*one.path, "canary"), message, on_key=True)
    analysis = one.all_of("analysis")
    tests = [test for test in TESTS if analysis.get(test)]
    if one.has("analysis") and not tests and not any(test in one.own("analysis") for test in COUNTED_TESTS):
        message = "tests nothing: write errors, slow or queries, such as errors: {worseThanActive: 0.99}"
        yield Finding((*one.path, "analysis"), message, on_key=True)
    is_traefiks = analysis.get("source", "traefik") == "traefik"
    if analysis.get("prometheus") and not analysis.get("queries"):
        message = "is for queries, and there are none: to count requests by it, write source: {prometheus: {url: ...}}"
        yield Finding(one.path_of("analysis", "prometheus"), message, on_key=True)
    if (
        is_traefiks
        and any(test in tests for test in COUNTED_TESTS)
        and not (traefik.get("api") or traefik.get("metrics"))
    ):
        message = "counts requests at Traefik, and neither traefik.api nor traefik.metrics says where one is: write one"
        yield Finding(one.path_of("analysis"), f"{message} of them, or a source", on_key=True)
    yield from _same_cookie(one)
    yield from _rule_syntax(one)


def _same_cookie(one: Holder) -> Iterator[Finding]:
    """Yield where a client cannot have both the cookie of the test route and that of its session."""
    name = _mapping(one.all_of("testRoute").get("cookie")).get("name")
    sessions = {
        "sticky": one.all_of("sticky"),
        "loadBalancer.sticky": _mapping(one.all_of("loadBalancer").get("sticky")),
    }
    for key, sticky in sessions.items():
        if name and _mapping(sticky.get("cookie")).get("name") == name:
            message = f"{shown(name)} is the cookie of {key}, too, and a client has one of a name: give each its own"
            yield Finding(one.path_of("testRoute", "cookie", "name"), message)


def _rule_syntax(one: Holder) -> Iterator[Finding]:
    """Rules 21 and 24: such a rule gets a matcher of Traefik 3's besides, which version 2 reads otherwise."""
    if one.all_of("testRoute"):
        why = "testRoute adds a matcher to its rule"
    elif one.is_in_steps and one.all_of("sticky"):
        why = "sticky with steps adds a matcher for its sessions to the rule"
    else:
        return
    common, known = _mapping(one.defaults.get("router")), endpoints.protocols(one.keys, one.defaults)
    for router in endpoints.routers("", one.keys):
        is_http = endpoints.protocol_of(router.body, known) is Protocol.HTTP
        if is_http and not router.is_preview and {**common, **router.body}.get("ruleSyntax") == "v2":
            where = (*one.path, *router.path) if "ruleSyntax" in router.body else ("defaults", "router")
            message = f"v2 is not possible here: {why}, in the syntax of v3; write the rule for v3"
            yield Finding((*where, "ruleSyntax"), f"{message}, and remove this key")


def _steps(one: Holder) -> Iterator[Finding]:
    before: int | None = None
    for index, step in enumerate(_list(one.own("canary").get("steps"))):
        weight = _mapping(step).get("weight")
        if not isinstance(weight, int) or isinstance(weight, bool) or not 1 <= weight <= 99:
            continue
        if before is not None and weight <= before:
            message = f"{weight} is not more than the {before} of the step before: weights rise from step to step"
            yield Finding((*one.path, "canary", "steps", index, "weight"), f"{message}; put them in order")
        before = weight


def _limits(one: Holder) -> Iterator[Finding]:
    for test in COUNTED_TESTS:
        keys = one.own("analysis").get(test)
        if isinstance(keys, dict) and not {"worseThanActive", "max"} & keys.keys():
            yield Finding(
                (*one.path, "analysis", test), "tests nothing: write worseThanActive: 0.99, or max: 5%", on_key=True
            )


def _bucket(one: Holder, bounds_s: tuple[float, ...] | None) -> Iterator[Finding]:
    """Rule 23: how many requests took longer is known for the bounds of Traefik's buckets only."""
    over = _mapping(one.own("analysis").get("slow")).get("over")
    over_s = _seconds(over)
    if bounds_s is not None and over_s and over_s not in bounds_s:
        known = ", ".join(f"{bound:g}s" for bound in bounds_s)
        message = f"{shown(over)} is no bound of a bucket of Traefik's histogram, which counts requests up to {known}"
        way_out = "write one of these, or in traefik.buckets those of Traefik's metrics.prometheus.buckets"
        yield Finding((*one.path, "analysis", "slow", "over"), f"{message}: {way_out}")


def _rising_buckets(traefik: Mapping[str, Any]) -> Iterator[Finding]:
    before_s = 0.0
    for index, bound in enumerate(_list(traefik.get("buckets"))):
        bound_s = _seconds(bound)
        if bound_s and bound_s <= before_s:
            message = f"{shown(bound)} is not more than the bound before: bounds of a histogram rise; put them in order"
            yield Finding(("traefik", "buckets", index), message)
        before_s = max(bound_s or 0.0, before_s)


def _buckets(traefik: Mapping[str, Any]) -> tuple[float, ...] | None:
    """Return the bounds of Traefik's histogram; None where those of the file are wrong."""
    if "buckets" not in traefik:
        return BUCKETS_S
    found = [_seconds(bound) for bound in _list(traefik["buckets"])]
    known = tuple(bound for bound in found if bound)
    return known if known and len(known) == len(found) else None


def _queries(one: Holder) -> Iterator[Finding]:
    names = set[str]()
    for index, query in enumerate(_list(one.own("analysis").get("queries"))):
        path, keys = (*one.path, "analysis", "queries", index), _mapping(query)
        name, least, most = keys.get("name"), keys.get("min"), keys.get("max")
        if isinstance(name, str) and name in names:
            yield Finding((*path, "name"), f"{shown(name)} is the name of an earlier query: give each its own")
        names.update([name] if isinstance(name, str) else [])
        if keys and least is None and most is None:
            yield Finding(path, "can never fail: write max, min or both, between which its result must be")
        if isinstance(least, int | float) and isinstance(most, int | float) and least > most:
            message = f"{shown(least)} is more than max, {shown(most)}: no result is between them; exchange them"
            yield Finding((*path, "min"), message)


def _route(one: Holder) -> Iterator[Finding]:
    if not isinstance(route := one.keys.get("testRoute"), dict):
        return
    path = (*one.path, "testRoute")
    if ("header" in route) == ("cookie" in route):
        wrong = "has both a header and a cookie" if "header" in route else "has neither a header nor a cookie"
        yield Finding(path, f"{wrong}: write one of them, such as header: {{name: ..., value: ...}}", on_key=True)
    for kind in ("header", "cookie"):
        if not isinstance(keys := route.get(kind), dict):
            continue
        if ("value" in keys) == ("valueFile" in keys):
            wrong = "has both 'value' and 'valueFile'" if "value" in keys else "has neither 'value' nor 'valueFile'"
            yield Finding((*path, kind), f"{wrong}: write one of them", on_key=True)
        name = keys.get("name")
        if kind == "header" and isinstance(name, str) and (why := NO_MATCH.get(name.lower())) is not None:
            yield Finding((*path, kind, "name"), f"{shown(name)} cannot be matched as a header: {why}; use another")


def _unused(defaults: Holder, services: list[Holder]) -> Iterator[Finding]:
    """Yield an object of the defaults that does nothing by itself and that no service adds to."""
    is_in_steps = "steps" in defaults.own("canary") or any(one.has("canary") for one in services)
    if defaults.has("canary") and not is_in_steps:
        message = "has no steps, and no service has any: write steps: [{weight: 5, for: 5m}], or remove it"
        yield Finding(("defaults", "canary"), message, on_key=True)
    is_tested = any(test in one.all_of("analysis") for one in (defaults, *services) for test in TESTS)
    if defaults.has("analysis") and not is_tested:
        message = "tests nothing, nor does any service: write errors, slow or queries, or remove it"
        yield Finding(("defaults", "analysis"), message, on_key=True)


def _groups(services: list[Holder]) -> Iterator[Finding]:
    """Rule 19: a group moves in the same steps."""
    groups: dict[str, list[Holder]] = {}
    for one in services:
        group = effective(one.keys, one.defaults, "group")
        if isinstance(group, str) and group:
            groups.setdefault(group, []).append(one)
    for group, members in groups.items():
        alike: dict[object, list[Holder]] = {}
        for one in members:
            alike.setdefault(_plan(one), []).append(one)
        if len(alike) < 2:
            continue
        other = min(alike.values(), key=len)
        sides = "; ".join(f"{_drawn(some[0])}: {listed(str(one.path[1]) for one in some)}" for some in alike.values())
        message = (
            f"members of group {shown(group)} do not agree on canary ({sides}), and a group moves in the same steps"
        )
        at = (*other[0].path, "canary") if "canary" in other[0].keys else other[0].path
        yield Finding(at, f"{message}: write the same for all of them, in defaults or in each", on_key=True)


def _plan(one: Holder) -> object:
    """Return what members of a group must agree on, None for one switch."""
    if not one.is_in_steps:
        return None
    canary = one.all_of("canary")
    steps = [_mapping(step) for step in _list(canary["steps"])]
    return str(canary.get("affinity", Affinity.NONE)), tuple(
        (str(step.get("weight")), _seconds(step.get("for", "0s")), step.get("approval") == "manual") for step in steps
    )


def _drawn(one: Holder) -> str:
    if not one.is_in_steps:
        return "one switch"
    canary = one.all_of("canary")
    steps = [_mapping(step) for step in _list(canary["steps"])]
    drawn = (
        f"{_word(step.get('weight'))} % for {_word(step.get('for', '0s'))}"
        f"{' and approval' * (step.get('approval') == 'manual')}"
        for step in steps
    )
    affinity = canary.get("affinity", Affinity.NONE)
    return listed(drawn) + (f" by {_word(affinity)}" if affinity != Affinity.NONE else "")


def _word(value: object) -> str:
    return clean(value, 20)


def _seconds(value: object) -> float | None:
    try:
        return parse_duration(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
