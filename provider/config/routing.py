"""The keys by which routing is taken from the labels of containers (rules 34 and 35), and which services do."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Required

from pydantic import Field, with_config
from typing_extensions import TypedDict  # pydantic takes typing's own only from Python 3.12 on

from provider.config.traefik_objects import STRICT
from provider.config.types import HostPattern, Template, Text, doc

ROUTING, LABELS = "routing", "labels"
AUTO, EVERY_OTHER = "auto", "*"
"""What stands under `services` for every service that containers name and the file does not: `services: auto`, or
beside others `"*": auto`."""


@with_config(STRICT)
class RoutingKeys(TypedDict, total=False):
    """Takes routers, middlewares and load balancers from the `traefik.*` labels of the containers.

    They are those of the active colour. Without `hosts` and `entryPoints` a router needs a host in its rule, and its
    priority does not count.
    """

    labels: Required[Annotated[Literal[True], doc("true, as `routing: labels`.")]]
    hosts: Annotated[
        list[HostPattern],
        Field(min_length=1),
        doc(
            "The only hosts that rules may name, `*.example.com` for all below one; any that is not another service's "
            "where not written.",
            example=["shop.example.com", "*.shop.example.com"],
        ),
    ]
    entryPoints: Annotated[
        list[Text],
        Field(min_length=1),
        doc("Entry points on which a rule needs no host.", example=["mqtt"]),
    ]
    defaultRule: Annotated[
        Template,
        doc(
            "The rule of routers without one, as Traefik's Docker provider has it.",
            example="Host(`{{ normalize .Name }}.example.com`)",
        ),
    ]


def is_by_labels(keys: Mapping[str, Any], defaults: Mapping[str, Any]) -> bool:
    """Return whether a service takes its routing from labels, by its own keys or by the defaults."""
    found = keys[ROUTING] if ROUTING in keys else defaults.get(ROUTING)
    return isinstance(found, str | dict)


def is_auto(services: object) -> bool:
    """Return whether every service that containers name is one, where the file does not write it."""
    return services == AUTO or (isinstance(services, dict) and services.get(EVERY_OTHER) == AUTO)


def written(services: object) -> object:
    """Return the services that the file writes by their names."""
    if services == AUTO:
        return {}
    if is_auto(services) and isinstance(services, dict):
        return {name: keys for name, keys in services.items() if name != EVERY_OTHER}
    return services
