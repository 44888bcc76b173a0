"""What one service is in Traefik's section `udp` (rule 32).

A router there has neither a rule nor a priority: Traefik refuses a whole document in which one has.
"""

from provider.model import JsonObject, Protocol, Served
from provider.traefik.document import parts, sockets


def services(served: Served) -> dict[str, JsonObject]:
    """Return the services: how the colours share new sessions, and the servers of each colour in use."""
    return sockets.services(served, Protocol.UDP)


def routers(served: Served) -> dict[str, JsonObject]:
    """Return the routers; a preview has an entry point of its own."""
    service, found = served.service, dict[str, JsonObject]()
    for router in service.routers_of(Protocol.UDP):
        found[router.name] = parts.router(router.body, service.weighted_in_traefik(router.endpoint), None)
    preview = service.preview_of(Protocol.UDP)
    if served.preview is not None and preview is not None:
        target = service.preview_in_traefik(served.preview, preview.endpoint)
        found[preview.name] = parts.router(preview.body, target, None)
    return found
