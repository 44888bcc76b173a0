"""Labels as a tree of names, as Traefik builds it: paerser's parser/labels_decode.go."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from provider.model.routing import Fault
from provider.model.text import clean

ROOT = "traefik"
FILTERS = ("traefik.http", "traefik.tcp", "traefik.udp", "traefik.tls.stores.default")
"""How labels begin that have routing; `traefik.enable` and `traefik.docker.*` have none."""
LABELS_MOST = 2000
NAME_MOST = 500
VALUE_MOST = 1 << 16
ALL_MOST = 1 << 17
"""All names and values together: a routing is stored in one piece, and etcd takes one of 1.5 MiB at most."""
DEPTH_MOST = 40
"""Traefik's own tables are 9 deep; only what a plugin reads may be deeper."""
SHOWN_MOST = 120


@dataclass(slots=True)
class Node:
    """One name of a tree, as first written, with the last value it got; `label` is the first that has it."""

    name: str
    label: str
    value: str = ""
    children: "list[Node]" = field(default_factory=list)
    _by_folded: "dict[str, Node]" = field(default_factory=dict, repr=False)

    def child(self, name: str, label: str) -> "Node":
        """Return the child of this name in any case, a new one where there is none."""
        folded = folded_name(name)
        if folded not in self._by_folded:
            self._by_folded[folded] = Node(name, label)
            self.children.append(self._by_folded[folded])
        return self._by_folded[folded]


def fault(label: str, value: str | None, message: str, fix: str, router: str | None = None) -> Fault:
    """Return a Fault whose texts have a length that a line can take."""
    shown = None if value is None else clean(value, SHOWN_MOST)
    return Fault(clean(label, 2 * SHOWN_MOST), shown, message, fix, router and clean(router, SHOWN_MOST))


def routing_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels that Traefik reads for routing, in the order in which it does: that of their bytes."""
    names = sorted(
        (name for name in labels if is_routing(name)), key=lambda name: name.encode("utf-8", "surrogatepass")
    )
    return {name: labels[name] for name in names}


def is_routing(name: str) -> bool:
    """Return whether Traefik reads a label of this name for routing."""
    return any(name[: len(one)].lower() == one and name[: len(one)].isascii() for one in FILTERS)


def build(labels: Mapping[str, str], faults: list[Fault]) -> Node:
    """Return the tree of routing labels; those that have no place in one are faults."""
    root = Node(ROOT, ROOT)
    for label, value in _bounded(labels, faults):
        parts = _parts(label, value, faults)
        if parts is None:
            continue
        node = root
        for part in parts[1:]:
            node = node.child(part, label)
        node.value = value
    return root


def folded_name(name: str) -> str:
    """Return a name folded as Go's strings.EqualFold compares names: letter by letter."""
    return name.lower() if name.isascii() else "".join(map(_folded, name))


def _folded(letter: str) -> str:
    return next((one for one in (letter.casefold(), letter.lower()) if len(one) == 1), letter)


def _bounded(labels: Mapping[str, str], faults: list[Fault]) -> Iterator[tuple[str, str]]:
    size = 0
    for number, (label, value) in enumerate(labels.items()):
        size += len(label) + len(value)
        if len(label) > NAME_MOST:
            faults.append(fault(label, value, f"the name is longer than {NAME_MOST} characters", "shorten it"))
        elif len(value) > VALUE_MOST:
            faults.append(fault(label, value, f"the value is longer than {VALUE_MOST} characters", "shorten it"))
        elif number == LABELS_MOST or size > ALL_MOST:
            message = f"the container has more than {LABELS_MOST} labels with routing, or {ALL_MOST} characters in them"
            faults.append(fault(label, value, message, "write fewer, or in the file"))
            return
        else:
            yield label, value


def _parts(label: str, value: str, faults: list[Fault]) -> list[str] | None:
    written = label.split(".")
    wrong = next(_wrong_parts(written), None)
    if wrong is not None:
        faults.append(fault(label, value, *wrong))
        return None
    parts: list[str] = []
    for part in written:
        name, bracket, index = part.partition("[")
        parts += [name, bracket + index] if part.endswith("]") else [part]
    return parts


def _wrong_parts(written: Iterable[str]) -> Iterator[tuple[str, str]]:
    for number, part in enumerate(written):
        if number == 0 and part != ROOT:
            yield f"the label begins with {part}, which Traefik takes in lower case only", f"begin it with {ROOT}"
        if not part:
            yield "there is nothing between two dots, or after the last", "write a name there, or remove the dot"
        elif part[0] == "[":
            yield "a name begins with a bracket, which is for the places of a list", "write it as name[0]"
        elif part[-1] == "]" and "[" not in part:
            message = "a bracket is closed that is not open, for which Traefik's provider panics, with all containers"
            yield message, "write it as name[0]"
        if number == DEPTH_MOST:
            yield f"the label has more than {DEPTH_MOST} parts", "remove some"
