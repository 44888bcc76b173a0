"""Compose files put on top of each other, and services that extend others, as Docker Compose merges them.

Only what an import reads is merged as there: labels key by key, lists one behind the other.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from provider.cli.importing.found import Left

Config: TypeAlias = Mapping[str, Any]
Load: TypeAlias = Callable[[str], Config | None]
"""Reads the file that `extends` names; None where it cannot be read."""

DEPTH_MOST = 20
_PAIRS = frozenset({"labels", "environment"})
_NOT_INHERITED = frozenset({"depends_on", "links", "volumes_from", "extends"})


def merged(configs: Iterable[Config]) -> dict[str, Any]:
    """Return several files as one; a later one wins."""
    found: dict[str, Any] = {}
    for config in configs:
        for key, value in config.items():
            if key == "services":
                services = found.setdefault("services", {})
                for name, body in mapping(value).items():
                    services[name] = over(mapping(services.get(name)), mapping(body))
            elif isinstance(value, Mapping):
                found[key] = {**mapping(found.get(key)), **value}
            else:
                found[key] = value
    return found


def over(base: Config, body: Config) -> dict[str, Any]:
    """Return the body of a service on top of another."""
    found = dict(base)
    for key, value in body.items():
        below = found.get(key)
        if key in _PAIRS and below is not None:
            found[key] = [*_as_list(below), *_as_list(value)]
        elif isinstance(value, Mapping) and isinstance(below, Mapping):
            found[key] = over(below, value)
        elif isinstance(value, list) and isinstance(below, list):
            found[key] = [*below, *value]
        else:
            found[key] = value
    return found


def extended(config: Config, load: Load, where: str) -> tuple[dict[str, Any], list[Left]]:
    """Return a file whose services have what they extend, and what was left of that."""
    lefts: list[Left] = []
    services = mapping(config.get("services"))
    found = {name: _extended(str(name), services, load, where, lefts, 0) for name in services}
    return {**config, "services": found}, lefts


def _extended(name: str, services: Config, load: Load, where: str, lefts: list[Left], depth: int) -> dict[str, Any]:
    body = mapping(services.get(name))
    written = body.get("extends")
    if written is None:
        return dict(body)
    wanted = mapping(written)
    other, file = str(wanted.get("service", written)), wanted.get("file")
    there: Config | None = services if file is None else None
    if file is not None and (loaded := load(str(file))) is not None:
        there = mapping(loaded.get("services"))
    if there is None or other not in there or depth == DEPTH_MOST:
        what = f"extends: {other}{f' of {file}' if file is not None else ''}"
        lefts.append(Left(f"{where}, service {name}", what, "cannot be read", "import the whole project"))
        return dict(body)
    base = _extended(other, there, load, where, lefts, depth + 1)
    return over({key: value for key, value in base.items() if key not in _NOT_INHERITED}, body)


def mapping(value: object) -> Mapping[str, Any]:
    """Return a value where it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def _as_list(value: object) -> list[Any]:
    """Return pairs as a list of single ones, so that the later one wins whatever the form of each."""
    if isinstance(value, Mapping):
        return [{key: one} for key, one in value.items()]
    return list(value) if isinstance(value, list) else []
