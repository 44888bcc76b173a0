"""The digests by which images are known in repositories: the same on every engine that pulled one (rule 38)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from docker.errors import APIError, NotFound

from provider.docker.container import UNREADABLE, Container
from provider.docker.engine import Client
from provider.model.text import NAME_MOST, clean

IMAGES_MOST = 1000
FORBIDDEN = frozenset({401, 403, 405})
HUB = ("docker.io/library/", "docker.io/")


class Digests:
    """Inspects each image once. The requests run in a thread, as those of a list."""

    def __init__(self) -> None:
        self.are_wanted = False
        self._known: dict[str, tuple[str, ...]] = {}

    def added(self, client: Client, entry: Mapping[str, Any], container: Container) -> Container:
        """Add the digest of its image to a container; it has none where it was built there, or that is forbidden."""
        if not self.are_wanted:
            return container
        if container.image_id not in self._known:
            if len(self._known) >= IMAGES_MOST:
                self._known.clear()
            self._known[container.image_id] = _of_image(client, container.image_id)
        return replace(container, digest=chosen(self._known[container.image_id], str(entry.get("Image") or "")))


def chosen(digests: tuple[str, ...], image: str) -> str | None:
    """Return the digest of an image in the repository that a container was started from, else the first of all."""
    repository = _repository(image)
    there = [digest for digest in digests if _repository(digest) == repository]
    found = min((digest.rpartition("@")[2] for digest in there or digests), default="")
    return found or None


def _of_image(client: Client, image_id: str) -> tuple[str, ...]:
    try:
        inspected: Mapping[str, Any] = client.inspect_image(image_id)  # type: ignore[no-untyped-call]
        written = inspected.get("RepoDigests") or ()
        return tuple(clean(str(digest), NAME_MOST) for digest in written if "@sha256:" in str(digest))
    except (NotFound, *UNREADABLE):
        return ()
    except APIError as error:
        if error.status_code not in FORBIDDEN:
            raise
        return ()


def _repository(image: str) -> str:
    """Return the repository of `REPOSITORY:TAG` or `REPOSITORY@DIGEST`, as short as Docker writes it."""
    name = image.partition("@")[0]
    host, slash, rest = name.rpartition("/")
    name = f"{host}{slash}{rest.partition(':')[0]}"
    return next((name.removeprefix(prefix) for prefix in HUB if name.startswith(prefix)), name)
