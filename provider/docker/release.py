"""The release of a container: what it covers, and its id by the present and by former definitions (rule 40)."""

import hashlib
import json
from collections.abc import Iterable

from provider.docker.container import COMPOSE_CONFIG_HASH, Container
from provider.docker.inspected import digest
from provider.docker.labels import COMPOSE_SERVICE, VERSION
from provider.docker.traefik_labels.tree import routing_labels
from provider.model import Part

KIN = 2
"""How many of a release's parts are its image and version."""
LABEL = "label"
COMPOSE_SETTINGS = "settings of Compose's service"


def said_by(container: Container) -> tuple[Part, ...]:
    """Return what labels say of the routing, which is a part of the release (rule 40)."""
    return tuple(Part(LABEL, name, digest(value)) for name, value in sorted(routing_labels(container.labels).items()))


def on_any_engine(container: Container, parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """Return the parts of a release by what engines have in common: images built on each have ids of their own.

    Rule 38: the image by its digest in a repository, else by the version; where there is neither it is told apart.
    """
    image = Part("image", "", container.image_id) if untold(container) else Part("digest", "", container.digest or "")
    return (image, *parts[1:])


def untold(container: Container) -> str | None:
    """Say why it cannot be told whether containers of several engines are one release; None where it can."""
    if container.digest is not None or container.labels.get(VERSION):
        return None
    return (
        f"container {container.id}: its image has no digest of a repository, and the container no label {VERSION}, so "
        "that nothing tells whether other engines run the same"
    )


def release_id(parts: Iterable[Part]) -> str:
    """Return the release id of containers without Compose's hash, from all that they were created with.

    A moved tag or other settings change it, a restart does not.
    """
    return hashlib.sha256(json.dumps(list(parts)).encode()).hexdigest()[:8]


def former_id(container: Container) -> str:
    """Return the release id where Compose's hash covers the settings. It is stored and must not change.

    Containers without that hash once had it too, and it is stored for them as well (rule 40).
    """
    labels = container.labels
    parts = [container.image_id, labels.get(VERSION), labels.get(COMPOSE_CONFIG_HASH)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:8]


def parts_of(container: Container, ignored: frozenset[str]) -> tuple[Part, ...]:
    """Return what the release of a container covers, image and version first."""
    hashed = container.labels.get(COMPOSE_CONFIG_HASH)
    created = container.created.parts if container.created and hashed is None else ()
    return (
        Part("image", "", container.image_id),
        Part(VERSION, "", container.labels.get(VERSION, "")),
        *([] if hashed is None else [Part(COMPOSE_SETTINGS, container.labels.get(COMPOSE_SERVICE, ""), hashed)]),
        *(part for part in created if part.kind != "environment" or part.name not in ignored),
    )
