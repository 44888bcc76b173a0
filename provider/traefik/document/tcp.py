"""What one service is in Traefik's section `tcp` (rule 32)."""

import re

from provider.model import JsonObject, Protocol, Router, Served
from provider.traefik.document import parts, sockets

CATCH_ALL_PRIORITY = -1
"""What Traefik gives a router of HostSNI(`*`) without a priority (pkg/muxer/tcp/mux.go, GetRulePriority)."""


def services(served: Served) -> dict[str, JsonObject]:
    """Return the services: how the colours share new connections, and the servers of each colour in use."""
    return sockets.services(served, Protocol.TCP)


def routers(served: Served) -> dict[str, JsonObject]:
    """Return the routers.

    One of HostSNI(`*`) keeps Traefik's own priority, below all others: an explicit one of ours would win over ALPN.
    """
    service, mine = served.service, served.service.routers_of(Protocol.TCP)
    found: dict[str, JsonObject] = {}
    for router in mine:
        is_last = is_catch_all(router.rule) and not parts.written_priority(router)
        target = service.weighted_in_traefik(router.endpoint)
        found[router.name] = parts.router(router.body, target, None if is_last else _priority(router))
    return found | parts.preview(served, Protocol.TCP, mine, _priority)


def is_catch_all(rule: str) -> bool:
    """Return whether a rule is HostSNI(`*`) and no more, however that is written."""
    return re.sub(r"[\s()`\"']", "", rule).casefold() == "hostsni*"


def _priority(router: Router) -> int:
    if is_catch_all(router.rule):
        return parts.written_priority(router) or CATCH_ALL_PRIORITY
    return parts.priority(router)
