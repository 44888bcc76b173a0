"""Checks containers whose `traefik.*` labels are the routing of their service (rules 34 and 35)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from provider.cli.doctor.findings import Code, Finding
from provider.docker.labels import ENVIRONMENT
from provider.docker.sighting import Sighting
from provider.docker.traefik_labels.tree import routing_labels
from provider.model import Colour, Desired, Protocol, Service
from provider.model.desired import LabelRouting
from provider.model.routing import Routing
from provider.model.traefik_rule import named_hosts

FAULTS_SHOWN, DIFFER_SHOWN = 3, 3


@dataclass(frozen=True, slots=True)
class Read:
    """One container of a service: its place in messages, its labels, and what the daemon makes of it."""

    where: str
    labels: Mapping[str, str]
    sighting: Sighting

    @property
    def routing(self) -> Routing | None:
        """What its labels say of the routing."""
        labelled = self.sighting.servers[0].labelled if self.sighting.servers else None
        return labelled.routing if labelled is not None else None


def check(found: Sequence[Read], desired: Desired | None) -> Iterator[Finding]:
    """Yield what is wrong with labels, each container by itself and together with others."""
    for one in found:
        yield from _refused(one)
    yield from _differing(found)
    yield from _hosts(found, desired)


def services(found: Iterable[Read]) -> tuple[Service, ...]:
    """Return each service as its containers' labels describe it; a service once per routing."""
    described = {
        (one.sighting.service, id(one.routing)): Service(
            one.sighting.service,
            one.routing.routers,
            endpoints=one.routing.endpoints,
            middlewares=one.routing.middlewares,
            labels=LabelRouting(),
        )
        for one in found
        if one.routing is not None
    }
    return tuple(described.values())


def why_ignored(labels: Mapping[str, str], sighting: Sighting, desired: Desired | None) -> Code:
    """Return the code for a container that the daemon ignores."""
    if desired is not None and desired.auto is not None and ENVIRONMENT not in labels:
        return Code.ENVIRONMENT_LABEL_MISSING
    if any((sighting.warning or "").startswith(f"ignored: {label}: the service has no") for label in labels):
        return Code.ENDPOINT_UNKNOWN
    return Code.CONTAINER_IGNORED


def routers(service: Service, where: str) -> Iterator[Finding]:
    """Yield routers of labels that Traefik refuses; those of a file are refused before."""
    protocols = {endpoint.name: endpoint.protocol for endpoint in service.endpoints}
    for router in service.routers:
        hosts = named_hosts(router.rule) - {"*"}
        if protocols.get(router.endpoint) is Protocol.TCP and hosts and "tls" not in router.body:
            what = f"router {router.name} of {service.name} has the rule {router.rule} and no TLS: Traefik refuses it"
            label = f"traefik.tcp.routers.{router.name}"
            fix = f"add {label}.tls=true or {label}.tls.passthrough=true, or write HostSNI(`*`)"
            yield Finding(Code.HOST_SNI_WITHOUT_TLS, where, what, fix)


def _refused(one: Read) -> Iterator[Finding]:
    labelled = one.sighting.servers[0].labelled if one.sighting.servers else None
    if labelled is not None and labelled.faults:
        more = f"; and {len(labelled.faults) - FAULTS_SHOWN} more" if len(labelled.faults) > FAULTS_SHOWN else ""
        what = f"its labels cannot be taken: {'; '.join(labelled.faults[:FAULTS_SHOWN])}{more}"
        fix = "correct them where the container is started; until then its release gets no traffic"
        yield Finding(Code.LABELS_REFUSED, one.where, what, fix)


def _differing(found: Sequence[Read]) -> Iterator[Finding]:
    """Find colours whose containers have different labels: the colour is mixed."""
    colours: dict[tuple[str, Colour | None], list[Read]] = {}
    for one in found:
        if one.sighting.servers and one.sighting.servers[0].labelled is not None:
            colours.setdefault((one.sighting.service, one.sighting.colour), []).append(one)
    for (service, colour), some in colours.items():
        first = routing_labels(some[0].labels)
        for other in some[1:]:
            labels = routing_labels(other.labels)
            differ = sorted(name for name in first.keys() | labels.keys() if first.get(name) != labels.get(name))
            if differ:
                what = f"their labels differ in {', '.join(differ[:DIFFER_SHOWN])}, so {colour} of {service} is mixed"
                fix = "start all containers of a colour with the same traefik labels"
                yield Finding(Code.LABELS_DIFFER, f"{some[0].where} and {other.where}", what, fix)
                break


def _hosts(found: Iterable[Read], desired: Desired | None) -> Iterator[Finding]:
    """Find hosts that a label names and another service has: nobody takes another's traffic."""
    named: dict[str, dict[str, str]] = {}
    for one in found:
        for router in one.routing.routers if one.routing is not None else ():
            for host in named_hosts(router.rule) - {"*"}:
                named.setdefault(host, {}).setdefault(one.sighting.service, one.where)
    in_file = {
        host: service.name
        for service in (desired.services.values() if desired is not None else ())
        for router in service.routers
        for host in named_hosts(router.rule) - {"*"}
    }
    for host, by in named.items():
        fix = "name another host in the label, or write both routes in the file, in one service"
        owner = in_file.get(host)
        if owner is not None:
            for service, where in by.items():
                if service != owner:
                    what = f"a label of {service} names the host {host}, which service {owner} has in the file"
                    yield Finding(Code.HOST_TAKEN, where, what, fix)
        elif len(by) > 1:
            what = f"labels of {' and '.join(sorted(by))} name the host {host}: only the first that had it is served"
            yield Finding(Code.HOST_TAKEN, " and ".join(by.values()), what, fix)
