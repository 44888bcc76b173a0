"""A document as Traefik takes it: no name twice, and nothing refers to what is not there."""

import json
from collections.abc import Iterator, Mapping
from typing import Any


def whole(body: str) -> dict[str, dict[str, Any]]:
    """Return the sections of a document that has every name once, and all that it refers to."""
    sections: dict[str, dict[str, Any]] = json.loads(body, object_pairs_hook=_once)
    for protocol in ("http", "tcp", "udp"):
        section = sections.get(protocol, {})
        middlewares, services = section.get("middlewares", {}), section.get("services", {})
        for name, kind in _referred(section):
            there = services if kind == "service" else middlewares
            assert "@" in name or name in there, f"{protocol}: there is no {kind} {name} in {body}"
        for balanced in services.values():
            for child in balanced.get("weighted", {}).get("services", ()):
                assert child["weight"] > 0, body
    return sections


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    assert len(found) == len(pairs), f"a name is twice among {[name for name, _ in pairs]}"
    return found


def _referred(section: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for router in section.get("routers", {}).values():
        yield router["service"], "service"
        for name in router.get("middlewares", ()):
            yield name, "middleware"
    for body in section.get("middlewares", {}).values():
        for name in body.get("chain", {}).get("middlewares", ()):
            yield name, "middleware"
        if "errors" in body:
            yield body["errors"]["service"], "service"
    for balanced in section.get("services", {}).values():
        for child in balanced.get("weighted", {}).get("services", ()):
            yield child["name"], "service"
