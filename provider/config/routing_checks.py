"""Checks of services that take their routing from labels (rules 34 and 35)."""

from collections.abc import Iterator
from typing import Any

from provider.config.messages import Finding
from provider.config.routing import EVERY_OTHER, ROUTING, is_auto, is_by_labels

_FROM_LABELS = {
    "router": "its routers come from the labels of its containers",
    "routers": "its routers come from the labels of its containers",
    "loadBalancer": "its load balancers come from the labels of its containers",
    "endpoints": "its endpoints come from the labels of its containers, one for each service there",
    "servers": "fixed servers have no labels to take it from",
}


def findings(value: object) -> Iterator[Finding]:
    """Yield what stands beside routing by labels, and cannot."""
    file = _mapping(value)
    defaults, services = _mapping(file.get("defaults")), file.get("services")
    for name, keys in _mapping(services).items():
        if isinstance(keys, dict) and is_by_labels(keys, defaults):
            where = "here" if ROUTING in keys else "in defaults"
            way_out = "remove that one" if ROUTING in keys else "write routing: false"
            for key in (key for key in _FROM_LABELS if key in keys):
                message = f"does not go with 'routing' {where}: {_FROM_LABELS[key]}; remove this key, or {way_out}"
                yield Finding(("services", name, key), message, on_key=True)
            preview = keys.get("preview")
            if isinstance(preview, dict) and "rule" not in preview:
                message = "required key is missing: What the router matches, such as Host(`next.shop.example.com`)"
                yield Finding(("services", name, "preview", "rule"), message, on_key=True)
    yield from _auto(file, defaults, services)


def _auto(file: dict[str, Any], defaults: dict[str, Any], services: object) -> Iterator[Finding]:
    if EVERY_OTHER in _mapping(services) and not is_auto(services):
        message = "stands for every service that containers name: write auto, and what they have in common in defaults"
        yield Finding(("services", EVERY_OTHER), message)
    if not is_auto(services):
        return
    if defaults.get(ROUTING) is False:
        message = "does not go with 'services: auto', whose services take their routing from labels: remove it"
        yield Finding(("defaults", ROUTING), message)
    if file.get("requireEnvironmentLabel") is False:
        message = "must be true with 'services: auto', or two daemons on one engine would both route a container"
        yield Finding(("requireEnvironmentLabel",), f"{message}: remove it")


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
