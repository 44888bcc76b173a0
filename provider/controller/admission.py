"""Which routing of labels may be taken: nobody takes another's traffic by starting a container (rules 34 and 35).

A host, a name in Traefik and an entry point of UDP belong to one service: to one of the file, else to the one whose
routing was decided first, else to the first by name of those that are new. What a service `claims` is kept by its
`Rank`, so that a change looks at nobody else than those who claim the same.

A middleware of another service is copied with all that it refers to: the routing that is decided has it then, whatever
that service takes out or wherever it goes (P4).
"""

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace
from typing import NamedTuple

from provider.config.secrets import secrets_within
from provider.controller.claims import THE_FILE, Claimed, Rank, of_service, passed
from provider.controller.servable import pages, servable
from provider.model import ByColour, Desired, Protocol, Server, Service, ServiceState
from provider.model.desired import LabelRouting
from provider.model.observed import Labelled
from provider.model.routing import DOCKER, Claim, Reference, Refers, Routing, chained, renamed_middleware
from provider.rollout.labelled import described

OF_ROLLOUT = re.compile(r"(.+)-(?:blue|green)-r\d+")
"""A name that a rollout of the service before it may give to its candidate (rule 21)."""


class _Middleware(NamedTuple):
    """A middleware that labels define, by its name in the document."""

    owner: str
    protocol: Protocol
    name: str


class Admission:
    """Keeps who claims what, and admits routings. It `is_on` while any service takes its routing from labels.

    With not `is_private` everybody can read the document, so none has secrets of labels. `in_docker` is what Traefik's
    Docker provider has; None where that is not known. `waiting` are the services that refer to what nobody has yet.
    """

    def __init__(self) -> None:
        self.is_on, self.is_private = False, True
        self.in_docker: frozenset[Reference] | None = None
        self.waiting: set[str] = set()
        self._holders: dict[Claimed, set[tuple[Rank, str]]] = {}
        self._claims: dict[tuple[Rank, str], frozenset[Claimed]] = {}
        self._decided: dict[str, Routing] = {}
        self._written: Mapping[str, Service] = {}
        self._defined: dict[Reference, set[str]] = {}
        self._referring: dict[str, list[Routing]] = {}
        self._referrers: dict[Reference, set[str]] = {}
        self._reserved: set[str] = set()

    # --- who claims what --------------------------------------------------------------------------------------------

    def load(self, desired: Desired, states: Mapping[str, ServiceState]) -> None:
        """Take a new desired state, and what was decided before."""
        self.is_on = desired.auto is not None or any(one.labels for one in desired.services.values())
        self._holders, self._claims, self._decided = {}, {}, {}
        self._defined, self._referring, self._referrers = {}, {}, {}
        self._written = desired.services
        if not self.is_on:
            return
        self._put(Rank.FILE, THE_FILE, passed(desired))
        for name, service in desired.services.items():
            state = states.get(name)
            if not service.is_discovered:
                self._put(Rank.FILE, name, of_service(service))
            if service.labels is not None and state is not None and state.routing is not None:
                self.decide(name, state.routing)

    def decide(self, name: str, routing: Routing | None) -> set[str]:
        """Take a routing that was decided; return the other services that have to be looked at again."""
        if not self.is_on:
            return set()
        before = self._decided.pop(name, None)
        if routing is not None:
            self._decided[name] = routing
        self._reserved.discard(name)
        touched = self._put(Rank.DECIDED, name, self._of(name, routing) if routing is not None else frozenset())
        was, now = _definitions(name, before), _definitions(name, routing)
        _index(self._defined, name, was.keys(), now.keys())
        if was != now:
            touched |= {one for each in (*was, *now) for one in self._referrers.get(each, ())}
        return touched - {name}

    def reserve(self, name: str, routing: Routing | None) -> set[str]:
        """Take a routing that is about to be decided, beside the one before; return the others to look at again."""
        before = self._decided.get(name)
        if not self.is_on or (routing is before and name not in self._reserved):
            return set()
        claims = {claim for each in (before, routing) if each is not None for claim in self._of(name, each)}
        self._reserved.add(name)
        return self._put(Rank.DECIDED, name, frozenset(claims)) - {name}

    def servable(self, name: str, routing: Routing) -> Routing:
        """Return what may be served of a decided routing: an edit of the file may have given its names to another."""
        lost = self._lost(name, routing)
        if not lost and not any(map(self._is_gone, pages(routing))):
            return routing
        return servable(routing, lost, name, self._is_gone)

    def _lost(self, name: str, routing: Routing) -> set[Claimed]:
        claims = (claim for claim in self._of(name, routing) if claim.kind != "host")
        return {claim for claim in claims if self._owner(claim, (Rank.DECIDED, name))[1] != name}

    def _is_gone(self, service: str) -> bool:
        """Return whether a service is in no document; of labels it is not, either, where it has lost every router."""
        holders = self._holders.get(Claimed("service", service, Protocol.HTTP), set())
        rank, name = min(holders, default=(Rank.SEEN, ""))
        decided = self._decided.get(name)
        if "@" in service or rank is Rank.SEEN or decided is None:
            return "@" not in service and rank is Rank.SEEN
        lost = self._lost(name, decided)
        return bool(lost) and not servable(decided, lost, name, lambda _: False).routers

    def see(self, name: str, colours: ByColour[tuple[Server, ...]]) -> set[str]:
        """Take the routings of containers; return the other services that have to be looked at again."""
        routings = {
            id(one.labelled): one.labelled.routing for _, some in colours.items() for one in some if one.labelled
        }
        found = [routing for routing in routings.values() if routing is not None]
        before = {each for routing in self._referring.pop(name, ()) for each in routing.references}
        references = {each for routing in found for each in routing.references}
        _index(self._referrers, name, before, references)
        if references:
            self._referring[name] = found
        claims = frozenset(claim for routing in found for claim in self._of(name, routing))
        return self._put(Rank.SEEN, name, claims) - {name}

    def traefik_has(self, in_docker: frozenset[Reference] | None) -> set[str]:
        """Take what Traefik's Docker provider has; return the services that have to be looked at again."""
        if in_docker == self.in_docker:
            return set()
        self.in_docker = in_docker
        return set(self._referring)

    def _put(self, rank: Rank, name: str, claims: frozenset[Claimed]) -> set[str]:
        """Replace what a service claims by a rank; return all that claim anything of what has changed."""
        who, before = (rank, name), self._claims.get((rank, name), frozenset())
        touched: set[str] = set()
        for claim in before ^ claims:
            holders = self._holders.setdefault(claim, set())
            (holders.add if claim in claims else holders.discard)(who)
            touched |= {other for _, other in holders}
            if not holders:
                del self._holders[claim]
        self._claims[who] = claims
        return touched

    def _of(self, name: str, routing: Routing) -> frozenset[Claimed]:
        """Return what a service claims by a routing, its preview and test route included."""
        return of_service(self._described(name, routing))

    def _described(self, name: str, routing: Routing) -> Service:
        return described(self._written.get(name) or Service(name, (), labels=LabelRouting()), routing)

    def _owner(self, claim: Claimed, of: tuple[Rank, str]) -> tuple[Rank, str]:
        """Return whose something is, of those that claim it and of one more."""
        return min(self._holders.get(claim, set()) | {of})

    # --- what may be taken ------------------------------------------------------------------------------------------

    def admit(self, name: str, rule: LabelRouting, labelled: Labelled) -> Labelled:
        """Return what is taken of labels: the routing with its references resolved, or why it cannot be taken."""
        routing = labelled.routing
        if routing is None or labelled.faults:
            return labelled
        faults = [*self._trespasses(name, rule, routing)]
        names: dict[Reference, str] = {}
        copies: dict[Protocol, dict[str, object]] = {}
        self.waiting.discard(name)
        for reference in routing.references:
            owners = self._owners(name, reference)
            if len(owners) == 1 and reference.kind is Refers.MIDDLEWARE:
                theirs = _Middleware(owners[0], reference.protocol, f"{owners[0]}-{reference.name}")
                names[reference] = f"{name}-{theirs.name}"
                if self._leads_back(theirs):
                    faults.append(f"{reference.by} refers to the middleware {theirs.name}, which refers to itself")
                else:
                    copies.setdefault(reference.protocol, {}).update(self._copied(name, theirs))
            elif len(owners) == 1:
                names[reference] = reference.name
            elif owners or not self._is_elsewhere(name, reference):
                self.waiting.add(name)
                faults.append(_unresolved(reference, owners, is_known=self.in_docker is not None))
        faults += self._clashes(name, routing, copies)
        faults += [] if self.is_private else _exposed(routing)
        if faults:
            return Labelled(None, tuple(faults))
        if not names:
            return labelled
        resolved = routing.resolved(names)
        middlewares = {each: {**resolved.middlewares.get(each, {}), **copies.get(each, {})} for each in Protocol}
        return Labelled(replace(resolved, middlewares={each: some for each, some in middlewares.items() if some}))

    def _trespasses(self, name: str, rule: LabelRouting, routing: Routing) -> Iterable[str]:
        for claim in routing.claims:
            yield from _overreaches(claim, rule)
        written = self._described(name, routing)
        for protocol in Protocol:
            named = written.routers_in_traefik(protocol)
            for router in sorted({one for one in named if named.count(one) > 1}):
                yield f"router {router}: the preview or the test route of {name} has this name: choose another"
        for claimed in sorted(self._of(name, routing), key=str):
            rank, owner = self._owner(claimed, (Rank.SEEN, name))
            made = OF_ROLLOUT.fullmatch(claimed.name) if claimed.kind == "service" else None
            if owner == name and made is not None:  # or it may come to be there in the middle of a rollout
                rank, owner = self._owner(claimed._replace(name=made[1]), (Rank.SEEN, name))
            if owner != name:
                yield _taken(claimed, rank, owner)
            yield from self._below(name, claimed)

    def _below(self, name: str, claimed: Claimed) -> Iterable[str]:
        """Yield the hosts of others that one with a `*` matches: a longer rule would take their traffic."""
        if claimed.kind == "host" and "*" in claimed.name:
            suffix = claimed.name.rpartition("*")[2]
            below = [one for one in self._holders if one.kind == "host" and one.name.endswith(suffix)]
            for one in sorted(below):
                rank, owner = min(self._holders[one])
                if owner != name and one != claimed:
                    yield f"host {claimed.name}: {_taken(one, rank, owner)}"

    def _owners(self, name: str, reference: Reference) -> list[str]:
        """Return the other services that have what a reference names; without any it is Traefik's Docker provider's."""
        owners = self._defined.get(reference, set())
        return sorted(owners if reference.kind is Refers.SERVICE else owners - {name})

    def _is_elsewhere(self, name: str, reference: Reference) -> bool:
        """Return whether Traefik's Docker provider has what nobody has here.

        Where that is not known, a first routing is believed: an old container serves what Traefik does not take of it.
        After that only what was decided before is, as a router without one of its middlewares answers 404.
        """
        if self.in_docker is not None:
            return reference in self.in_docker
        before = self._decided.get(name)
        return before is None or reference in before.references

    def _copied(self, name: str, one: _Middleware) -> dict[str, object]:
        """Return copies of another service's middleware and of those that it refers to, by the names they get."""
        theirs = self._decided[one.owner].middlewares[one.protocol]
        left, found = [one.name], dict[str, object]()

        def rename(kind: Refers, _: Protocol, other: str) -> str:
            if kind is Refers.SERVICE or other not in theirs:
                return other
            left.append(other)
            return f"{name}-{other}"

        while left:
            other = left.pop()
            if f"{name}-{other}" not in found:
                found[f"{name}-{other}"] = {}  # it may refer to itself
                found[f"{name}-{other}"] = renamed_middleware(one.protocol, theirs[other], rename)
        return found

    def _leads_back(self, start: _Middleware) -> bool:
        """Return whether a middleware refers to itself in the end, by labels: a copy of that would grow for ever."""
        left, found = [*self._next(start)], set[_Middleware]()
        while left:
            one = left.pop()
            if one == start:
                return True
            if one not in found:
                found.add(one)
                left += self._next(one)
        return False

    def _next(self, one: _Middleware) -> Iterable[_Middleware]:
        for routing in self._referring.get(one.owner, ()):
            body = routing.middlewares.get(one.protocol, {}).get(one.name)
            for name in chained(body.get("chain") if isinstance(body, Mapping) else None):
                if not name.endswith(DOCKER):
                    yield _Middleware(one.owner, one.protocol, name)
                    continue
                reference = Reference(Refers.MIDDLEWARE, one.protocol, name.removesuffix(DOCKER))
                for owner in self._owners(one.owner, reference):
                    yield _Middleware(owner, one.protocol, f"{owner}-{reference.name}")

    def _clashes(self, name: str, routing: Routing, copies: Mapping[Protocol, Iterable[str]]) -> Iterable[str]:
        for protocol, copied in copies.items():
            for copy in sorted(copied):
                claimed = Claimed("middleware", copy, protocol)
                rank, owner = self._owner(claimed, (Rank.SEEN, name))
                if owner != name:
                    yield _taken(claimed, rank, owner)
                elif copy in routing.middlewares.get(protocol, {}):
                    yield f"middleware {copy}: a middleware of another service has this name here: choose another"


def _unresolved(reference: Reference, owners: Sequence[str], *, is_known: bool) -> str:
    named = f"{reference.by} refers to the {reference.kind} {reference.name}"
    if owners:
        return f"{named}, which several services have ({', '.join(owners)}): define it in the container's own labels"
    fix = f"define it, or name its provider, as in {reference.name}@file"
    if is_known:
        return f"{named}, which its container does not have, nor another service, nor Traefik's Docker provider: {fix}"
    return (
        f"{named}, which its container does not have, nor another service: {fix}; if a container has it that Traefik "
        "reads itself, let the file name Traefik's API, which says so: traefik: {api: [http://TRAEFIK:8080]}"
    )


def _overreaches(claim: Claim, rule: LabelRouting) -> Iterable[str]:
    """Rule 35: yield what labels may not claim unless the file says so."""
    if claim.hosts is None and not (claim.entry_points and set(claim.entry_points) <= set(rule.entry_points)):
        where = ", ".join(claim.entry_points) or "every entry point"
        allow = ", ".join(claim.entry_points) or "NAME"
        yield (
            f"router {claim.router} takes what comes to {where}, whatever its host: name a host in its rule, or allow "
            f"it in the file: routing: {{labels: true, entryPoints: [{allow}]}}, and name that entry point in the label"
        )
    for host in sorted(claim.hosts or ()):
        if "*" in host and not rule.hosts:
            allow = f"routing: {{labels: true, hosts: ['{host}']}}"
            yield f"router {claim.router} names the hosts {host}: name each, or allow them in the file: {allow}"
        if rule.hosts and not any(_covers(allowed, host) for allowed in rule.hosts):
            yield f"router {claim.router} names the host {host}, and routing.hosts allows {', '.join(rule.hosts)}"
    if claim.priority is not None and not rule.is_trusted:
        yield (
            f"router {claim.router} has the priority {claim.priority}: remove it, or say in the file what labels may "
            "claim: routing: {labels: true, hosts: [HOST]}"
        )


def _exposed(routing: Routing) -> list[str]:
    """Say which secrets of the labels the document would show to everybody who reaches it (6.3 of the design)."""
    return [
        f"middleware {part}: everybody who reaches --listen would read it in the document: keep it in a file of "
        "Traefik's (usersfile), name a --provider-token-file, or listen on 127.0.0.1"
        for bodies in routing.middlewares.values()
        for part in secrets_within(bodies)
    ]


def _covers(allowed: str, host: str) -> bool:
    allowed = allowed.lower()
    return host == allowed or (allowed.startswith("*.") and host.endswith(allowed[1:]))


def _taken(claimed: Claimed, rank: Rank, owner: str) -> str:
    whose = "the file passes it through" if owner == THE_FILE else f"service {owner} has it"
    since = {Rank.FILE: " in the file", Rank.DECIDED: " already", Rank.SEEN: ", the first by name"}[rank]
    since = "" if owner == THE_FILE else since
    fix = "choose another" if claimed.kind != "host" else "a host belongs to one service"
    return f"{claimed.kind} {claimed.name}: {whose}{since}: {fix}"


def _definitions(name: str, routing: Routing | None) -> dict[Reference, object]:
    """Return what a decided routing has that others may refer to: all middlewares with each, as it may chain them."""
    if routing is None:
        return {}
    found: dict[Reference, object] = {Reference(Refers.SERVICE, each, name): None for each in Protocol}
    for protocol, bodies in routing.middlewares.items():
        own = (one.removeprefix(f"{name}-") for one in bodies)
        found |= {Reference(Refers.MIDDLEWARE, protocol, one): bodies for one in own}
    return found


def _index(index: dict[Reference, set[str]], name: str, before: Set[Reference], now: Set[Reference]) -> None:
    for gone in before - now:
        index[gone].discard(name)
        if not index[gone]:
            del index[gone]
    for come in now - before:
        index.setdefault(come, set()).add(name)
