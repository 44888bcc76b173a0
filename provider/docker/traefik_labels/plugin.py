"""What a plugin reads: nested maps and lists of texts, by paerser's rules for maps of anything."""

from provider.docker.traefik_labels.tree import Node, fault
from provider.model.routing import Fault


def plugins(node: Node, faults: list[Fault]) -> dict[str, object]:
    """Return the configuration of each plugin by its name."""
    return {child.name: _plugin(child, faults) for child in node.children}


def _plugin(node: Node, faults: list[Fault]) -> dict[str, object]:
    read: dict[str, object] = {}
    for child in node.children:
        raw: dict[str, object] = {}
        _squash(child, raw, is_root=True)
        if child.name in raw:
            read |= raw  # a leaf, a list, or a map with a key of its own name: Traefik writes that one level up
            continue
        _refuse_typed(child, faults)
        read[child.name] = raw
    return read


def _squash(node: Node, into: dict[str, object], *, is_root: bool) -> None:
    if not node.children:
        into[node.name] = node.value
    elif _is_place(node.children[0].name):
        items: list[object] = []
        for child in node.children:
            item: dict[str, object] = {}
            _squash(child, item, is_root=False)
            items.append(item.get(child.name))
        into[node.name] = items
    else:
        inner = into if is_root else into.setdefault(node.name, {})
        if isinstance(inner, dict):
            for child in node.children:
                _squash(child, inner, is_root=False)


def _refuse_typed(node: Node, faults: list[Fault]) -> None:
    """Refuse a text below a map that begins with a comma: Traefik reads it as a list with the type of its values."""
    if not node.children and node.value.startswith(","):
        message = "Traefik fails at a text of a plugin that begins with a comma, and drops the container"
        faults.append(fault(node.label, node.value, message, "begin it with another character"))
    if not node.children or not _is_place(node.children[0].name):
        for child in node.children:
            _refuse_typed(child, faults)


def _is_place(name: str) -> bool:
    return name[0] == "[" and name[-1] == "]"
