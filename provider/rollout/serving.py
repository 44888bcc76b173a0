"""What is served of each service, given what was decided and what is seen now."""

from collections.abc import Iterable, Iterator

from provider.model import Colour, ColourState, Health, Instant, Member, Served, Server, Service
from provider.rollout.conditions import undecided
from provider.rollout.health import assess, colour_state
from provider.rollout.weights import weights

FIRST_HEALTH_LIMIT_S = 60.0


def serve(member: Member, service: Service | None = None) -> Served | None:
    """Return what the document says of a service; None while it is undecided or its servers are unknown.

    `service` describes it there where the document goes by another text of the file (rule 15).
    """
    service = service or member.service
    active = member.state.active
    if active is None or not member.observed[active].known:
        return None
    preview = active.other if service.preview is not None and _previews(member, active.other) else None
    shown = [colour for colour, _ in weights(active)] + ([preview] if preview else [])
    return Served(
        service=service,
        weights=weights(active),
        servers={colour: serving(member, colour) for colour in shown},
        preview=preview,
    )


def serving(member: Member, colour: Colour) -> tuple[Server, ...]:
    """Choose the servers that take a colour's traffic, ordered by URL.

    Rule 3: the healthy ones, and all when none is healthy. One that is published stays until proven unhealthy, and one
    not judged yet joins only where there is nothing else: what is chosen must not change by being published.
    Rule 4: one that was asked to stop leaves at once, but the last that can serve stays while its container runs, and
    those that left before it do not come back.
    """
    for choice in _choices(member, member.observed[colour].servers):
        if choice:
            return tuple(sorted({server.url: server for server in choice}.values(), key=lambda server: server.url))
    return ()


def _choices(member: Member, observed: tuple[Server, ...]) -> Iterator[list[Server]]:
    staying = [server for server in observed if server.leaving_mono_s is None]
    yield [server for server in staying if _able(member, server)]
    lingering = [server for server in observed if server.leaving_mono_s is not None]
    yield _last([server for server in lingering if _able(member, server)], member)
    yield [server for server in staying if _unhealthy(member, server)]
    yield staying
    yield _last([server for server in lingering if _unhealthy(member, server)], member)
    yield _last(lingering, member)


def wake_mono_s(member: Member, now: Instant) -> float | None:
    """Return when time alone changes what is served: a server that was asked to stop still runs then, and returns."""
    servers = [server for _, observed in member.observed.items() for server in observed.servers]
    ends = [server.returns_mono_s for server in servers if server.returns_mono_s is not None]
    return min((end for end in ends if end > now.mono_s), default=None)


def first_document_waits_for(members: Iterable[Member], waited_s: float) -> str | None:
    """Say what keeps the first document of an empty store back, None when it may be published (rule 1)."""
    for member in members:
        name, active = member.service.name, member.state.active
        if not all(observed.known for _, observed in member.observed.items()):
            return f"service {name} waits for Docker's first complete list"
        if active is None and any(observed.servers for _, observed in member.observed.items()):
            return f"service {name} is {undecided(member).message}"
        if active is not None and waited_s < FIRST_HEALTH_LIMIT_S and _not_yet_healthy(member, active):
            return f"service {name} has no healthy server in {active} yet"
    return None


def _last(leaving: list[Server], member: Member) -> list[Server]:
    return [server for server in leaving if server.key in member.published] or leaving


def _previews(member: Member, standby: Colour) -> bool:
    """Return whether the preview has somewhere to lead: a standby that stays, and all of whose servers are healthy."""
    if not member.observed[standby].staying:
        return False
    return colour_state(member, standby) is ColourState.HEALTHY


def _not_yet_healthy(member: Member, active: Colour) -> bool:
    servers = member.observed[active].servers
    return bool(servers) and all(assess(member, server).health is not Health.HEALTHY for server in servers)


def _able(member: Member, server: Server) -> bool:
    health = assess(member, server).health
    return health is Health.HEALTHY or (health is Health.UNKNOWN and server.key in member.published)


def _unhealthy(member: Member, server: Server) -> bool:
    return assess(member, server).health is Health.UNHEALTHY
