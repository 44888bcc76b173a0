"""The validated keys for a release in steps -> `model.desired`."""

from collections.abc import Iterable, Mapping
from typing import Any

from provider.config.defaults import effective
from provider.model import Affinity
from provider.model.progressive import Analysis, Canary, CandidateRoute, Errors, Limits, Prometheus, Query, Slow, Step
from provider.model.traefik_schema import Later
from provider.model.traefik_schema.sections import SERVICE

METRICS_PATH = "/metrics"
TESTS = ("errors", "slow", "queries")
"""The keys of an analysis that can fail a release."""
HASHED = "highestRandomWeight"
"""The kind of service in Traefik by which a client stays at a colour by its address."""


def fields(keys: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of `model.Service` that these keys make of those of a service or of the defaults."""
    found: dict[str, Any] = {}
    if "canary" in keys:
        found["canary"] = _canary(keys["canary"])
    if "analysis" in keys:
        found["analysis"] = _analysis(keys["analysis"])
    if "testRoute" in keys:
        found["test_route"] = _test_route(keys["testRoute"])
    return found


def _canary(keys: Mapping[str, Any] | bool) -> Canary | None:
    """Return the steps of a service; None without any: defaults may have an affinity alone."""
    if isinstance(keys, bool) or "steps" not in keys:
        return None
    steps = tuple(_step(step) for step in keys["steps"])
    return Canary(steps, Affinity(keys["affinity"])) if "affinity" in keys else Canary(steps)


def _step(keys: Mapping[str, Any]) -> Step:
    return Step(keys["weight"], keys.get("for_", 0.0), keys.get("approval") == "manual")


def _analysis(keys: Mapping[str, Any] | bool) -> Analysis | None:
    """Return the analysis of a service; None where it tests nothing: defaults may have a source alone."""
    if isinstance(keys, bool) or not any(keys.get(test) for test in TESTS):
        return None
    names = {"every": "every_s", "warmup": "warmup_s", "minRequests": "min_requests"}
    written: dict[str, Any] = {names[key]: value for key, value in keys.items() if key in names}
    if isinstance(keys.get("source"), dict):
        written["prometheus"] = _prometheus(keys["source"]["prometheus"])
    if "prometheus" in keys:
        written["queried"] = _prometheus(keys["prometheus"])
    if "errors" in keys:
        statuses = {"statuses": keys["errors"]["status"]} if "status" in keys["errors"] else {}
        written["errors"] = Errors(**statuses, limits=_limits(keys["errors"]))
    if "slow" in keys:
        written["slow"] = Slow(keys["slow"]["over"], _limits(keys["slow"]))
    every = {"every": keys["every"]} if "every" in keys else {}
    written["queries"] = tuple(_query({**every, **query}) for query in keys.get("queries", ()))
    return Analysis(no_data_passes=keys.get("noData") == "pass", **written)


def _limits(keys: Mapping[str, Any]) -> Limits:
    return Limits(keys.get("worseThanActive"), keys.get("max"))


def _prometheus(keys: Mapping[str, Any]) -> Prometheus:
    headers = tuple(keys.get("headers", {}).items())
    return Prometheus(keys["url"].rstrip("/"), headers, keys.get("insecureSkipVerify", False))


def _query(keys: Mapping[str, Any]) -> Query:
    names = {"query": "text", "max": "most", "min": "least", "every": "every_s"}
    return Query(**{names.get(key, key): value for key, value in keys.items()})


def _test_route(keys: Mapping[str, Any] | bool) -> CandidateRoute | None:
    """Return the test route of a service; None where the file with its value cannot be read."""
    if isinstance(keys, bool):
        return None
    kind = "cookie" if "cookie" in keys else "header"
    if "value" not in keys[kind]:
        return None
    return CandidateRoute(keys[kind]["name"], keys[kind]["value"], kind == "cookie", "valueFile" in keys[kind])


def metrics(urls: Iterable[str]) -> tuple[str, ...]:
    """Return the addresses of Traefik's metrics, each with its path."""
    return tuple(url if "/" in url.partition("//")[2].rstrip("/") else url.rstrip("/") + METRICS_PATH for url in urls)


def later_keys(services: Mapping[str, Mapping[str, Any]], defaults: Mapping[str, Any]) -> tuple[Later, ...]:
    """Return the keys for which the document needs a later Traefik than 3.0 (rule 21)."""
    found = []
    for name, keys in services.items():
        steps = effective(keys, defaults, "canary")
        is_in_steps = isinstance(steps, dict) and "steps" in steps and not effective(keys, defaults, "sticky")
        if is_in_steps and steps.get("affinity") == "client":
            has_own = isinstance(keys.get("canary"), dict) and "affinity" in keys["canary"]
            where = f"services.{name}" if has_own else "defaults"
            found.append(Later(f"{where}.canary.affinity", SERVICE.fields[HASHED].since))
    return tuple(dict.fromkeys(found))
