"""The places in a file of what it may be sorry for."""

from typing import Any

from provider.config import yaml
from provider.config.tree import KeyPath
from provider.model import Desired
from provider.model.advice import Advice, Concern, advice
from provider.model.errors import Problem

UNSEEN = frozenset({Concern.CLIENTS_BY_ADDRESS})
"""What a file alone does not show: the doctor looks at Traefik, too."""


def warnings(desired: Desired, text: str, file: str) -> tuple[Problem, ...]:
    """Return what to think over in a file that is valid, in its order; what the defaults cause is said once."""
    found = [one for one in advice(desired) if one.concern not in UNSEEN]
    if not found:
        return ()
    tree = yaml.read(text, file)
    try:
        places = ((_path(one, tree.value), f"{one.what}; {one.fix}") for one in found)
        problems = [tree.problem(tree.offset(path, of_key=False), path, message) for path, message in places]
    finally:
        tree.free()
    return tuple(sorted(set(problems)))


def _path(one: Advice, value: Any) -> KeyPath:
    """Return where the key is written: in the service, or in the defaults."""
    own: KeyPath = ("services", one.service, *one.path)
    here = value
    for key in own:
        inner = here.get(key) if isinstance(here, dict) and isinstance(key, str) else None
        if isinstance(here, list) and isinstance(key, int) and key < len(here):
            inner = here[key]
        if inner is None:
            return ("defaults", *one.path)
        here = inner
    return own
