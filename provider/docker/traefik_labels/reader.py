"""A tree of labels as a configuration: paerser's parser/nodes_metadata.go and parser/element_fill.go.

The result has the keys of a file, but one `server` in place of `servers`, with `port` and `scheme` of labels. What
Traefik's types have as defaults is left out: they are the same for a file.
"""

from collections.abc import Iterator
from typing import assert_never

from provider.docker.traefik_labels.plugin import plugins
from provider.docker.traefik_labels.tree import Node, fault
from provider.model.routing import Fault
from provider.model.traefik_schema import TEXTS, Anything, Field, Kind, Many, Named, Scalar, Struct
from provider.model.traefik_schema.labels import is_ignored
from provider.model.traefik_schema.scalars import read_bool, read_duration, read_int, split

DROPS = "Traefik drops every router and service of the container for it"


class Reader:
    """Collects every fault where Traefik stops at the first."""

    def __init__(self, faults: list[Fault]) -> None:
        self.ignored: list[str] = []
        """The labels that Traefik takes and ignores."""
        self._faults = faults

    def struct(self, struct: Struct, node: Node, *, is_off: bool = False) -> dict[str, object]:
        """Read the children of a node as the keys of a struct; with `is_off` only to find unknown ones."""
        read: dict[str, object] = {}
        off: dict[str, object] = {}
        for child in node.children:
            key = struct.key(child.name)
            if key is None:
                self._found(child, f"{child.name!r} is no key of Traefik's {struct.name}; {DROPS}", _keys(struct))
                continue
            field = struct.fields[key]
            if is_ignored(struct, key):
                self.ignored.append(child.label)
                self._value(field.kind, child, is_off=True)
            elif _is_disabled(field, child):
                self._value(field.kind, child, is_off=True)
                off[key] = False
            elif isinstance(field.kind, Struct | Named | Anything) and not child.children and not field.may_be_empty:
                message = f"{child.name!r} is one of Traefik's objects and cannot stand alone; {DROPS}"
                self._found(child, message, "write one of its keys behind it, or remove the label")
            else:
                read[key] = self._value(field.kind, child, is_off=is_off)
        # A struct of a file may not be empty; with a key that is off it is what the labels say.
        return read or off

    def _value(self, kind: Kind, node: Node, *, is_off: bool) -> object:
        match kind:
            case Scalar():
                return self._scalar(kind, node, is_off=is_off)
            case Struct():
                return self.struct(kind, node, is_off=is_off)
            case Many():
                return self._many(kind, node, is_off=is_off)
            case Named():
                return self._named(kind, node, is_off=is_off)
            case Anything():
                return plugins(node, self._faults)
        assert_never(kind)

    def _many(self, kind: Many, node: Node, *, is_off: bool) -> list[object]:
        if isinstance(kind.item, Struct):
            return [self.struct(kind.item, child, is_off=is_off) for child in node.children]
        for child in node.children:
            self._no_parts(child)
        return list(split(node.value))  # Traefik ignores `entrypoints[0]`: its list has the value of `entrypoints`

    def _named(self, kind: Named, node: Node, *, is_off: bool) -> dict[str, object]:
        if isinstance(kind.value, Struct):
            return {child.name: self.struct(kind.value, child, is_off=is_off) for child in node.children}
        if kind.value in TEXTS:
            return {name: text for child in node.children for name, text in _leaves(child, child.name)}
        return {child.name: self._convert(kind.value, child, is_off=is_off) for child in node.children}

    def _scalar(self, kind: Scalar, node: Node, *, is_off: bool) -> object:
        self._no_parts(node)
        return self._convert(kind, node, is_off=is_off)

    def _convert(self, kind: Scalar, node: Node, *, is_off: bool) -> object:
        read = _converted(kind, node.value)
        if read is None and not is_off:
            self._found(node, f"{kind.value} has to be here; {DROPS}", f"write {_EXAMPLES[kind]}")
        return read

    def _no_parts(self, node: Node) -> None:
        for child in node.children:
            self._found(child, f"{node.name!r} is a value and has no parts; {DROPS}", f"remove {child.name!r}")

    def _found(self, node: Node, message: str, fix: str) -> None:
        self._faults.append(fault(node.label, node.value, message, fix))


_EXAMPLES = {Scalar.BOOL: "true or false", Scalar.INT: "a number such as 8", Scalar.DURATION: "one such as 5s or 1m30s"}


def _converted(kind: Scalar, text: str) -> object:
    match kind:
        case Scalar.BOOL:
            return read_bool(text)
        case Scalar.INT:
            return read_int(text)
        case Scalar.DURATION:
            return read_duration(text)
        case Scalar.TEXT | Scalar.HOST | Scalar.RULE | Scalar.USER | Scalar.FREE:
            return text
    assert_never(kind)


def _leaves(node: Node, name: str) -> Iterator[tuple[str, str]]:
    """Yield the names of a map of texts, which may have dots, with their values: no name begins another."""
    if not node.children:
        yield name, node.value
    for child in node.children:
        yield from _leaves(child, f"{name}.{child.name}")


def _is_disabled(field: Field, node: Node) -> bool:
    """Return whether an object that may be empty is off: with any value but `true`."""
    return field.may_be_empty and node.value != "" and node.value.lower() != "true"


def _keys(struct: Struct) -> str:
    return f"write one of {', '.join(sorted(struct.fields))}, or remove the label"
