"""What may become a service of a desired state, and what was left of it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from provider.docker.traefik_labels import has_routing
from provider.docker.traefik_labels.tree import routing_labels
from provider.model.routing import Fault

DIFFERING_MOST = 200


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


def one_each(founds: Iterable[Found], lefts: list[Left]) -> tuple[Found, ...]:
    """Return the first of each service that has routing, else the first; `lefts` get how the others differ from it."""
    services: dict[str, list[Found]] = {}
    for found in founds:
        services.setdefault(found.name, []).append(found)
    kept = []
    for every in services.values():
        first = next((one for one in every if has_routing(one.labels)), every[0])
        kept.append(first)
        for other in every:
            lefts += _differences(first, other) if has_routing(other.labels) else ()
    return tuple(kept)


def _differences(first: Found, other: Found) -> Iterator[Left]:
    ours, theirs = routing_labels(first.labels), routing_labels(other.labels)
    differing = sorted(label for label in theirs | ours if theirs.get(label) != ours.get(label))
    if differing:
        message = f"differs from that of {first.where}, which was taken"
        what = ", ".join(differing)[:DIFFERING_MOST]
        yield Left(other.where, what, message, "check which of them is right")
