"""What another text of the desired state changes, by service and by the paths of its keys; never a value.

A service counts as changed by what it comes to, defaults included: a comment or `1m` in place of `60s` changes nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice

from provider.config import yaml
from provider.config.diff import Edit
from provider.config.routing import AUTO, EVERY_OTHER, is_auto
from provider.config.tree import KeyPath, Tree, dotted
from provider.model import Desired
from provider.model.errors import DesiredStateError
from provider.model.vocabulary import ChangeKind
from provider.runtime.timeslice import uncollected

PATHS_MOST = 50
"""Of one service; that it changed is said of every one."""
APART = frozenset({"services", "defaults"})


@dataclass(frozen=True, slots=True)
class Changed:
    """One service that changes, or with `service` None all that belongs to none; `paths` are keys that differ."""

    service: str | None
    kind: ChangeKind
    paths: tuple[str, ...] = ()


def changes(before: Desired | None, before_text: str | None, edited: Edit, text: str) -> tuple[Changed, ...]:
    """Return what an edit changes, the rest first and then by the names of services.

    Reads both texts again: 10,000 services take a second, so call it in a thread.
    """
    has_rest = before is None or replace(before, services={}) != replace(edited.desired, services={})
    if not (has_rest or edited.changed or edited.gone):
        return ()
    old, new = _read(before_text or ""), _read(text)
    try:
        return tuple(_changes(before, _mapping(old.value), edited, _mapping(new.value), has_rest=has_rest))
    finally:
        old.free()
        new.free()


def _changes(
    before: Desired | None, old: Mapping[str, object], edited: Edit, new: Mapping[str, object], *, has_rest: bool
) -> Iterator[Changed]:
    if has_rest:
        paths = _shown(_paths(_rest(old), _rest(new)))
        was_found, found = before.auto if before is not None else None, edited.desired.auto
        if was_found != found and is_auto(old.get("services")) and is_auto(new.get("services")):
            paths = (*paths, *_shown(_paths(old.get("defaults"), new.get("defaults"), ("defaults",))))[:PATHS_MOST]
        yield Changed(None, ChangeKind.CHANGED if before is not None else ChangeKind.ADDED, paths)
    defaults = _shown(_paths(old.get("defaults"), new.get("defaults"), ("defaults",)))
    old_services, new_services = _mapping(old.get("services")), _mapping(new.get("services"))
    for name in sorted(edited.changed | edited.gone):
        if name in edited.gone:
            yield Changed(name, ChangeKind.REMOVED)
        elif name in edited.new:
            yield Changed(name, ChangeKind.ADDED)
        else:
            own = _shown(_paths(old_services.get(name), new_services.get(name)))
            yield Changed(name, ChangeKind.CHANGED, (*own, *defaults)[:PATHS_MOST])


def _read(text: str) -> Tree:
    """Read the values of a text, none of one that cannot be read: newer rules may refuse one that is in force."""
    try:
        with uncollected():
            return yaml.read(text, "")
    except DesiredStateError:
        return Tree("", "")


def _rest(values: Mapping[str, object]) -> dict[str, object]:
    """Return what belongs to no service that is written; those that containers name are one key."""
    others = {"services": {EVERY_OTHER: AUTO}} if is_auto(values.get("services")) else {"services": {}}
    return {key: value for key, value in values.items() if key not in APART} | others


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _shown(paths: Iterator[KeyPath]) -> tuple[str, ...]:
    return tuple(dotted(path) for path in islice(paths, PATHS_MOST))


def _paths(old: object, new: object, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Yield the shortest paths at which two values differ; a list counts as one value."""
    if type(old) is type(new) and old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys((*old, *new)):
            if key in old and key in new:
                yield from _paths(old[key], new[key], (*path, key))
            else:
                yield (*path, key)
    elif path:
        yield path
