"""What may become a service of a desired state, and what was left of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from provider.model.routing import Fault


@dataclass(frozen=True, slots=True)
class Left:
    """What was not taken as it is: where it is written, as `LABEL=VALUE`, what is wrong with it, and what to do."""

    where: str
    what: str
    message: str
    fix: str = ""

    def __str__(self) -> str:
        return ": ".join(filter(None, (self.where, self.what, self.message, self.fix)))


def left_of(where: str, fault: Fault) -> Left:
    """Return what was left for a label that cannot be taken."""
    written = fault.label if fault.value is None else f"{fault.label}={fault.value}"
    return Left(where, written, fault.message, fault.fix)


@dataclass(frozen=True, slots=True)
class Found:
    """A service of a compose file, or a container that runs.

    `name` is that of its service in the desired state, `traefik_name` the one that Traefik's default rule makes a host
    of. `missing` are labels with variables that have no value. `obstacles` are left even where the service is taken.
    """

    where: str
    name: str
    traefik_name: str
    container_name: str
    labels: Mapping[str, str]
    ports: tuple[int, ...]
    missing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    obstacles: tuple[Left, ...] = ()
