"""The mode of a health check, and which of its keys have a meaning there (rule 33)."""

from collections.abc import Iterator, Mapping

from provider.config.messages import Finding
from provider.config.tree import KeyPath

_MODES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("path", "method", "status", "followRedirects"), ("http",)),
    **dict.fromkeys(("scheme", "hostname", "headers", "insecureSkipVerify"), ("http", "grpc")),
    "service": ("grpc",),
    "send": ("tcp",),
    "expect": ("tcp",),
}
"""The modes in which a key has a meaning; the others have one in every mode."""
_KNOWN = frozenset({None, "http", "grpc", "tcp", "docker"})


def mode_of(check: Mapping[str, object]) -> str | None:
    """Return the mode of a check: what is written, else the one that its keys need; None where they need none.

    Mode grpc is always written.
    """
    if "mode" in check:
        return str(check["mode"])
    needed = (modes[0] for key, modes in _MODES.items() if key in check)
    return next((mode for mode in needed if mode != "grpc"), None)


def findings(path: KeyPath, check: Mapping[str, object], defaults: Mapping[str, object]) -> Iterator[Finding]:
    """Yield the keys of a check that have no meaning in its mode; `defaults` are those that it is merged with."""
    mode = mode_of({**defaults, **check})
    for key in check:
        modes = _MODES.get(key, ())
        if modes and mode not in modes and mode in _KNOWN:
            where = "without" if mode is None else f"with mode {mode}: remove it, or write"
            yield Finding((*path, key), f"has no meaning {where} mode: {' or '.join(modes)}", on_key=True)
