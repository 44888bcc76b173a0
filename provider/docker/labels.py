"""The labels of containers, and what they say by themselves: environment, colour, scheme and ports."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from provider.model import Colour, Desired, Endpoint, Engine, Service
from provider.model.desired import DEFAULT_ENDPOINT
from provider.model.errors import BluegreenError
from provider.model.text import clean

SERVICE = "bluegreen.service"
COLOUR = "bluegreen.colour"
COLOR = "bluegreen.color"
PORT = "bluegreen.port"
SCHEME = "bluegreen.scheme"
NETWORK = "bluegreen.network"
VERSION = "bluegreen.version"
ENVIRONMENT = "bluegreen.environment"
USE_BIND_PORT = "bluegreen.use-bind-port"
KNOWN = frozenset({SERVICE, COLOUR, COLOR, PORT, SCHEME, NETWORK, VERSION, ENVIRONMENT, USE_BIND_PORT})
OF_ENDPOINT = f"{PORT}."
"""The label of the port of an endpoint other than `default` begins so (rule 31)."""
PREFIX = "bluegreen"
"""Every label of ours begins so; one that is not known is a typing mistake."""
COMPOSE_PROJECT = "com.docker.compose.project"
COMPOSE_SERVICE = "com.docker.compose.service"
COMPOSE_COLOUR = re.compile(r"(?:^|[-_])(blue|green)$")
SCHEMES = ("http", "https", "h2c")
ALLOW_INSPECT = "let the proxy before Docker's socket pass GET /containers/ID/json"
NOT_INSPECTED = (
    "what it was created with cannot be read, so its command, environment and mounts make no other release: "
    f"{ALLOW_INSPECT}"
)
PORT_DIGITS = 20
SHOWN_MOST = 80
"""Maximum number of characters quoted of a label's value."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Which environment's containers are used; `required` refuses those that do not name one.

    `ignored` are the variables of a container's environment that do not change its release. `endpoints` are those of
    each service for which the file has some. `labelled` are the services whose routing is that of their labels, and
    `auto` what those are like that the file does not name, where they are services. `engines` are those of the file.
    Of one engine alone: containers are reached by their published ports at `address`, where there is one, and `is_one`
    of several, whose releases are told by what all of them have in common.
    """

    environment: str
    required: bool = False
    ignored: frozenset[str] = frozenset()
    endpoints: Mapping[str, tuple[Endpoint, ...]] = field(default_factory=dict)
    labelled: Mapping[str, Service] = field(default_factory=dict)
    auto: Service | None = None
    named: frozenset[str] = frozenset()
    engines: tuple[Engine, ...] = ()
    address: str | None = None
    is_one: bool = False

    @classmethod
    def of(cls, desired: Desired, environment: str | None = None) -> Self:
        """Return what a desired state asks Docker for; `environment` stands in place of its own."""
        return cls(
            environment or desired.environment,
            desired.require_environment_label,
            desired.ignored_environment,
            {name: service.endpoints for name, service in desired.services.items() if _are_written(service.endpoints)},
            {name: service for name, service in desired.services.items() if service.labels is not None},
            desired.auto,
            frozenset(desired.services) if desired.auto is not None else frozenset(),
            desired.engines,
        )

    def labelled_as(self, service: str) -> Service | None:
        """Return what the file says of a service whose routing is that of its labels; None for any other."""
        return self.labelled.get(service) or (None if service in self.named else self.auto)

    def endpoints_of(self, service: str) -> tuple[Endpoint, ...]:
        """Return the endpoints of a service; one of HTTP where the file says nothing of them."""
        return self.endpoints.get(service, ONLY_HTTP)


ONLY_HTTP = (Endpoint(),)


def _are_written(endpoints: tuple[Endpoint, ...]) -> bool:
    """Return whether endpoints say anything about containers that one of HTTP does not."""
    only = endpoints[0]
    return len(endpoints) > 1 or replace(only, load_balancer={}, health_check=ONLY_HTTP[0].health_check) != ONLY_HTTP[0]


def is_known(label: str) -> bool:
    """Return whether a label is one of ours."""
    return label in KNOWN or label.startswith(OF_ENDPOINT)


class Ignored(BluegreenError):  # noqa: N818  the state of a container or task, not an error of ours
    """What is labelled is ignored: what is wrong with it, and which label or setting to change."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(f"{what}: {fix}")
        self.fix = fix


def check_scope(labels: Mapping[str, str], scope: Scope) -> None:
    """Raise Ignored where the labels name no service, or not the environment that is required."""
    if scope.required and ENVIRONMENT not in labels:
        label = f"{ENVIRONMENT}={scope.environment}"
        raise Ignored(f"no label {ENVIRONMENT}, which the desired state requires", f"add {label}")
    if not labels[SERVICE]:
        raise Ignored(f"{SERVICE} is empty", "name a service of the desired state")


def colour_of(labels: Mapping[str, str]) -> Colour:
    """Return the colour of the labels: else the last word of the Compose project, as in shop-blue (rule 36).

    Raises Ignored where they name none, or another.
    """
    written = {label: labels[label] for label in (COLOUR, COLOR) if label in labels}
    match sorted(set(written.values())):
        case []:
            colour = COMPOSE_COLOUR.search(labels.get(COMPOSE_PROJECT, ""))
            if colour is None:
                raise Ignored(f"no label {COLOUR}", f"add {COLOUR}=blue or {COLOUR}=green")
            return Colour(colour[1])
        case ["blue"]:
            return Colour.BLUE
        case ["green"]:
            return Colour.GREEN
        case _:
            found = " and ".join(f"{label}={clean(value, SHOWN_MOST)}" for label, value in written.items())
            raise Ignored(found, "the colour must be blue or green")


def scheme_of(labels: Mapping[str, str]) -> str:
    """Return the scheme of a label, http without one. Raises Ignored for an unknown one."""
    scheme = labels.get(SCHEME, "http")
    if scheme not in SCHEMES:
        raise Ignored(f"{SCHEME}={clean(scheme, SHOWN_MOST)}", f"the scheme must be one of {', '.join(SCHEMES)}")
    return scheme


def port_label(endpoint: str) -> str:
    """Return the label that has the port of an endpoint."""
    return PORT if endpoint == DEFAULT_ENDPOINT else f"{OF_ENDPOINT}{endpoint}"


def written_port(labels: Mapping[str, str], endpoint: str = DEFAULT_ENDPOINT) -> int | None:
    """Return the port of a label, None without one. Raises Ignored for one that is no port."""
    label = port_label(endpoint)
    written = labels.get(label)
    if written is None:
        return None
    # Python refuses an integer of thousands of digits, which would fail the whole list.
    port = int(written) if written.isascii() and written.isdigit() and len(written) <= PORT_DIGITS else 0
    if not 0 < port < 65536:
        raise Ignored(f"{label}={clean(written, SHOWN_MOST)}", "the port must be a number from 1 to 65535")
    return port


def uses_bind_port(labels: Mapping[str, str]) -> bool:
    """Return whether a server is reached on its published port. Raises Ignored for another value than true or false."""
    written = labels.get(USE_BIND_PORT, "false")
    if written not in {"true", "false"}:
        raise Ignored(f"{USE_BIND_PORT}={clean(written, SHOWN_MOST)}", "it must be true or false")
    return written == "true"
