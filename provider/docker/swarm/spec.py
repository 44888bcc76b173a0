"""What the release of a task covers: its ContainerSpec (rule 68).

Placement, resources, networks and ForceUpdate are not in it: a task that Swarm moves or starts again is the same
release.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from provider.docker.labels import PREFIX, VERSION
from provider.model import Part
from provider.model.text import NAME_MOST, clean

ENVIRONMENT = "environment"
_MANY: Mapping[str, tuple[str, Callable[[Any], str]]] = {
    "Env": (ENVIRONMENT, lambda variable: str(variable).partition("=")[0]),
    "Mounts": ("mount", lambda mount: mount.get("Target") or ""),
    "Secrets": ("secret", lambda secret: secret["SecretName"]),
    "Configs": ("config", lambda config: config["ConfigName"]),
}
"""What there may be several of: what one is called, and its name."""
_DOCKERS = "com.docker."


def parts_of(spec: Mapping[str, Any]) -> tuple[Part, ...]:
    """Return what a ContainerSpec covers, the image first; raises one of UNREADABLE for an invalid one.

    What is empty or false is left out: an engine may begin to list it at an upgrade.
    """
    return (Part("image", "", _digest(spec["Image"])), *sorted(_others(spec)))


def _others(spec: Mapping[str, Any]) -> Iterator[Part]:
    for key, value in spec.items():
        if key in _MANY:
            kind, name_of = _MANY[key]
            for one in value or ():
                yield Part(kind, _name(name_of(one)), _digest(one))
        elif key == "Labels":
            for label, text in (value or {}).items():
                if label == VERSION or not label.startswith((f"{PREFIX}.", _DOCKERS)):
                    yield Part("container label", _name(label), _digest(text))
        elif key != "Image" and not _is_empty(value):
            yield Part("setting", _name(key), _digest(value))


def _is_empty(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(map(_is_empty, value.values()))
    return not value


def _name(name: str) -> str:
    return clean(name, NAME_MOST)


def _digest(value: object) -> str:
    """Return a hash in place of a value that may be secret, or long."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
