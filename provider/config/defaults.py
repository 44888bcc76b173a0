"""How a service takes the values of `defaults`: its own key wins, and some objects are merged key by key."""

from collections.abc import Mapping
from typing import Any

MERGED = frozenset({"healthCheck", "deadlines", "loadBalancer", "canary", "analysis"})


def merged(key: str, own: Any, common: Any) -> Any:
    """Return the value of a key that a service has of its own, with what the defaults add to it."""
    if key in MERGED and isinstance(own, dict) and isinstance(common, dict):
        return {**common, **own}
    return own


def effective(keys: Mapping[str, Any], defaults: Mapping[str, Any], key: str) -> Any:
    """Return what a key of a service comes to; None where neither the service nor the defaults have it."""
    return merged(key, keys[key], defaults.get(key)) if key in keys else defaults.get(key)
