"""The `traefik.*` labels of a container as Traefik's Docker provider decodes them (rule 34), and their routing. Pure.

`decode` is Traefik's own way: `tree` builds a tree of the names, `reader` gives it the types of
`model.traefik_schema.labels`, with `plugin` for what has none, and `implicit` adds what Traefik adds, with the
`default_rule`. Where Traefik logs the first error and drops the container, here are all of them, each with its label.
tests/integration/test_traefik_labels.py compares all this with a real Traefik.

`routing` goes on from there to what a blue-green service can have: `endpoints` from its services, their `health`, and
middlewares with names of their own; it refuses the `texts` that a document cannot carry.

Labels are untrusted text: they have bounds, and no text fails here. This package knows no colour and no phase.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from provider.docker.traefik_labels import tree
from provider.docker.traefik_labels.default_rule import DEFAULT_RULE
from provider.docker.traefik_labels.implicit import PROTOCOLS, Completion, ContainerFacts, Section
from provider.docker.traefik_labels.reader import Reader
from provider.model import JsonObject
from provider.model.routing import Fault
from provider.model.traefik_schema.labels import LABELS

__all__ = ["DEFAULT_RULE", "ContainerFacts", "Decoded", "decode", "has_routing"]


@dataclass(frozen=True, slots=True)
class Decoded:
    """A configuration: its sections `http`, `tcp`, `udp` and `tls`, each absent where it has nothing.

    A load balancer has one `server` in place of `servers`, with `port` and `scheme` where labels name them; else the
    port is the lowest of the container's. With a fault that is not of a
    single router there are no sections: Traefik drops the container. `ignored` are labels without effect.
    """

    sections: JsonObject
    faults: tuple[Fault, ...] = ()
    ignored: tuple[str, ...] = ()


def has_routing(labels: Mapping[str, str]) -> bool:
    """Return whether any label is one that Traefik reads for routing."""
    return bool(tree.routing_labels(labels))


def decode(labels: Mapping[str, str], facts: ContainerFacts) -> Decoded:
    """Return what Traefik's Docker provider makes of a container's labels."""
    faults: list[Fault] = []
    reader = Reader(faults)
    root = tree.build(tree.routing_labels(labels), faults)
    read = reader.struct(LABELS, root)
    sections: dict[str, Section] = {protocol: _section(read, protocol) for protocol in (*PROTOCOLS, "tls")}
    if not faults:
        Completion(facts, labels, faults).complete(sections)
    drops = any(fault.router is None for fault in faults)
    kept = {} if drops else {name: section for name, section in sections.items() if any(section.values())}
    return Decoded(kept, tuple(faults), tuple(reader.ignored))


def _section(read: dict[str, object], name: str) -> Section:
    section = read.get(name)
    return dict(section) if isinstance(section, dict) else {}
