"""Services whose routing is that of the labels of their containers (rule 34).

The routing of the active colour is decided, like the colour: it is committed with the switch, and stays without
containers. What runs in the other colour says only where its own servers are reached and checked, until it is active.
"""

from dataclasses import replace

from provider.model import Colour, Member, Observed, Server, Service
from provider.model.observed import Labelled
from provider.model.routing import Routing

FAULTS_SHOWN = 3


def described(service: Service, routing: Routing | None) -> Service:
    """Return a service as a routing describes it; one that takes none from labels is as the file has it.

    Without a routing it has no routers, and is not in the document.
    """
    if service.labels is None:
        return service
    if routing is None:
        return replace(service, routers=(), middlewares={})
    return replace(service, routers=routing.routers, endpoints=routing.endpoints, middlewares=routing.middlewares)


def of_server(member: Member, server: Server) -> Service:
    """Return the service as the labels of one server's container describe it."""
    routing = server.labelled.routing if server.labelled is not None else None
    return member.service if routing is None else described(member.service, routing)


def of_colour(member: Member, colour: Colour) -> Service:
    """Return the service as it is where this colour is active."""
    if member.service.labels is None or colour is member.state.active:
        return member.service
    found = labels_of(member.observed[colour])
    return member.service if found is None or found.routing is None else described(member.service, found.routing)


def labels_of(observed: Observed) -> Labelled | None:
    """Return what the labels of a colour say; None where they are not known, or where its containers differ."""
    found = [server.labelled for server in observed.staying or observed.servers]
    first = found[0] if found else None
    return first if first is not None and all(one is first or one == first for one in found) else None


def routing_of(observed: Observed) -> Routing | None:
    """Return the routing of a colour; None where its labels have none that can be taken."""
    found = labels_of(observed)
    return found.routing if found is not None else None


def refused(member: Member, colour: Colour) -> str | None:
    """Say why the labels of a colour cannot be taken; None where they can, or where there are none to take."""
    observed = member.observed[colour]
    if member.service.labels is None or not observed.servers or not observed.from_docker:
        return None
    faulty = [server for server in observed.servers if server.labelled is not None and server.labelled.faults]
    if faulty:
        faults = faulty[0].labelled.faults if faulty[0].labelled is not None else ()
        more = f"; and {len(faults) - FAULTS_SHOWN} more" if len(faults) > FAULTS_SHOWN else ""
        return f"container {faulty[0].container}: {'; '.join(faults[:FAULTS_SHOWN])}{more}"
    if labels_of(observed) is None and any(server.labelled is not None for server in observed.servers):
        return "its containers have different traefik labels"
    return None
