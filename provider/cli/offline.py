"""The document that a desired-state file would give, as far as the file alone determines it."""

from collections.abc import Iterator
from sys import maxsize

from provider.model import ByColour, Colour, Desired, Member, Observed, Protocol, Service, ServiceState
from provider.model.document import Document
from provider.model.observed import fixed_servers
from provider.rollout.reconcile import first_sight
from provider.rollout.serving import serve
from provider.traefik.document.render import assemble, render_pass_through, render_service


def document(desired: Desired) -> tuple[Document, tuple[str, ...]]:
    """Render a file without a daemon; return the document and what had to be assumed, a line each.

    Servers that Docker provides are not known here, so their services are rendered with none; a service whose active
    colour is not settled by the file is rendered with blue. A generated certificate is left out: only a daemon has it.
    """
    fragments, assumed = [], []
    if desired.generate_certificate:
        assumed.append("traefik: the default certificate is kept by the daemon that generates it; none is shown")
    if desired.auto is not None:
        assumed.append("services: those that only containers name are not known here; none are shown")
    for name in sorted(desired.services):
        member, lines = _assume(desired.services[name])
        assumed += lines
        served = serve(member)
        if served is not None:
            fragments.append(render_service(served))
    extra = render_pass_through(desired.pass_through, desired.environment)
    return assemble(fragments, extra, split_above=maxsize), tuple(assumed)


def _assume(service: Service) -> tuple[Member, list[str]]:
    written = (fixed_servers(each) for _, each in service.servers.items())
    observed = (Observed(known=True, servers=servers, from_docker=False) for servers in written)
    member = Member(service, ServiceState(), ByColour(*observed), {})
    found = first_sight(member)
    active = found[0] if found else Colour.BLUE
    assumed = [] if found else [f"{service.name}: the file alone does not settle the active colour; blue is shown"]
    if service.labels is not None:
        assumed.append(f"{service.name}: its routers come from the labels of its containers; none are shown")
    if not any(fixed for _, fixed in service.servers.items()):
        assumed.append(f"{service.name}: the servers of {active} come from Docker; none are shown")
    else:
        assumed += _without_servers(service, active, member.observed[active])
    return Member(service, ServiceState(active=active), member.observed, {}), assumed


def _without_servers(service: Service, active: Colour, seen: Observed) -> Iterator[str]:
    there = {server.endpoint for server in seen.servers}
    for endpoint in service.endpoints:
        if endpoint.name not in there:
            what = (
                "requests would be answered with 503" if endpoint.protocol is Protocol.HTTP else "nobody would answer"
            )
            at = service.at(endpoint.name)
            yield f"{service.name}: the file has no servers for {active}{at}; {what}"
