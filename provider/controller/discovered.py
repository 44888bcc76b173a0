"""Services that the file does not name, and that containers do: each becomes one by its label (rule 35)."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from provider.model import Desired, Service, ServiceState

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}")
"""What may be a name: that of a service in the file, as it stands in Traefik, in URLs and in metrics."""


def with_discovered(written: Desired, named: Iterable[str], states: Mapping[str, ServiceState]) -> Desired:
    """Return a desired state with a service for each name that containers have, or that was routed before.

    One without containers stays until it is forgotten.
    """
    if written.auto is None:
        return written
    kept = (name for name, state in states.items() if state.routing is not None)
    names = {name for name in (*named, *kept) if NAME.fullmatch(name)} - written.services.keys()
    found: dict[str, Service] = {name: replace(written.auto, name=name, is_discovered=True) for name in sorted(names)}
    return replace(written, services={**written.services, **found}) if found else written
