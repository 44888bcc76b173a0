"""What an operator should know of one service now, in the words of the catalogue, with the command that helps."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from provider.model import (
    Colour,
    Condition,
    ConditionCode,
    GroupState,
    Health,
    Instant,
    Member,
    Rollout,
    ServerHealth,
    ServerKey,
    Severity,
    condition,
)
from provider.rollout import analysing, stepping
from provider.rollout.analysing import is_on
from provider.rollout.labelled import refused
from provider.rollout.rollback_target import command_now, lost, made_room

SERVERS_SHOWN = 4


def service_conditions(
    member: Member,
    group: GroupState,
    health: Mapping[ServerKey, ServerHealth],
    since_utc: datetime,
    now: Instant | None = None,
) -> tuple[Condition, ...]:
    """Return what an operator should know of one service; `since_utc` is when the daemon first saw it.

    What time alone brings about is left out without `now`.
    """
    too_few = _too_few_requests(member, group.rollout, now) if now is not None else None
    return (*_conditions(member, group, health, since_utc), *([too_few] if too_few is not None else []))


def undecided(member: Member, since_utc: datetime | None = None) -> Condition:
    """Say why a service has no active colour yet, and how it gets one (rule 1)."""
    fix = f"name one: bluegreen switch {member.service.name} blue|green"
    running = [colour for colour, observed in member.observed.items() if observed.servers]
    if not all(observed.known for _, observed in member.observed.items()):
        why, fix = f"{lister(member.unlisted)} not listed its containers yet", ""
        if member.unlisted:
            fix = "make it answer, or take it out of the file"
    elif member.state.undecided and len(running) < len(Colour):
        why = "both colours were seen running"
    elif not running:
        why, fix = "no server of either colour was seen yet", "start one, or write initial: blue in the file"
    else:
        why = "both colours have servers"
    return condition(ConditionCode.UNDECIDED, since_utc, why=why, fix=fix)


def lister(unlisted: tuple[str, ...]) -> str:
    """Return who has not listed its containers, with its verb."""
    if not unlisted:
        return "Docker has"
    return f"engine {unlisted[0]} has" if len(unlisted) == 1 else f"each of the engines {', '.join(unlisted)} has"


def overridden(member: Member) -> Condition | None:
    """Say what a command has decided against the file, and what ends that (rule 10); None where nothing."""
    override = member.state.override
    if override is None:
        return None
    by = f" by {override.actor}" if override.actor else ""
    return condition(
        ConditionCode.OVERRIDE,
        override.since_utc,
        service=member.service.name,
        colour=override.colour,
        other=override.colour.other,
        by=by,
        reason=override.reason,
    )


def _conditions(
    member: Member, group: GroupState, health: Mapping[ServerKey, ServerHealth], since_utc: datetime
) -> Iterator[Condition]:
    state = member.state
    active, replaced, target = state.active, state.replaced, state.rollback_target
    if active is None:
        yield undecided(member, since_utc)
    elif member.observed[active].known:
        yield from _unserved(member, group, health, active)
    if replaced is not None:
        instead = f" instead of {replaced.before}" if replaced.before else ""
        yield condition(
            ConditionCode.REPLACED, replaced.since_utc, colour=active, release=replaced.release, instead=instead
        )
    if target is not None and target.lost is not None:
        why = lost(member, group) or target.lost  # what runs in its place may be another release by now
        yield condition(
            ConditionCode.ROLLBACK_TARGET_LOST,
            None,
            severity=Severity.INFO if made_room(member, group) else None,
            release=target.release,
            colour=target.colour,
            why=why,
        )
    yield from _unclear(member, since_utc)
    if active is not None:
        yield from _labels(member, active)
    causes = member.analysed.causes if is_on(group.rollout) else {}
    if causes:
        yield condition(
            ConditionCode.ANALYSIS_NO_DATA, None, causes=_first_of([causes[name] for name in sorted(causes)])
        )
    if (override := overridden(member)) is not None:
        yield override


def _too_few_requests(member: Member, under_way: Rollout | None, now: Instant) -> Condition | None:
    """Rule 19d: a step that lacks requests when its time is over goes on; that is told once a step."""
    found, analysis = stepping.current(under_way), member.service.analysis
    if found is None or under_way is None or analysis is None or not stepping.is_over(under_way, now):
        return None
    if not member.analysed.is_read or member.analysed.causes:
        return None  # who cannot count does not know: that is told otherwise, and expires
    step, _ = found
    one = next((each for each in under_way.candidates if each.service == member.service.name), None)
    if one is None or step.passed_mono_s is not None or step.forced is not None or under_way.forced is not None:
        return None
    evidence = analysing.evidence_of(member, one, under_way)
    if not analysing.lacks_requests(analysis, evidence):
        return None
    if analysis.no_data_passes and analysing.has_no_data(evidence):
        return None
    return condition(
        ConditionCode.TOO_FEW_REQUESTS,
        None,
        number=step.number,
        colour=one.colour,
        most=analysis.min_requests,
        service=member.service.name,
    )


def _unclear(member: Member, since_utc: datetime) -> Iterator[Condition]:
    """Yield what makes it unclear where Traefik reaches servers, or which of them answers (rules 38 and 39)."""
    servers = [(colour, server) for colour, observed in member.observed.items() for server in observed.servers]
    guesses = [f"{colour}: {server.guess}" for colour, server in servers if server.guess is not None]
    active = member.state.active
    left = [server for colour, server in servers if server.is_left_behind and colour is active]
    if active is not None and left and all(server.is_left_behind for server in member.observed[active].servers):
        found = [f"{server.url} on {server.engine or 'the engine of --docker'}" for server in left]
        yield condition(
            ConditionCode.ENGINE_GONE,
            since_utc,
            servers=_first_of(found),
            colour=active,
            service=member.service.name,
            other=active.other,
        )
    if guesses:
        yield condition(ConditionCode.NETWORK_UNCLEAR, since_utc, servers=_first_of(guesses))
    untold = list(
        dict.fromkeys(f"{colour}: {server.untold}" for colour, server in servers if server.untold is not None)
    )
    if untold:
        yield condition(ConditionCode.RELEASE_UNTOLD, since_utc, servers=_first_of(untold))
    twins = [f"{colour} {server.url}: {server.twin}" for colour, server in servers if server.twin is not None]
    if twins:
        yield condition(ConditionCode.SAME_ADDRESS, since_utc, servers=_first_of(twins))


def _labels(member: Member, active: Colour) -> Iterator[Condition]:
    """Rule 34: say what keeps the labels of the active colour from being taken, and what is served meanwhile."""
    why = refused(member, active)
    if why is None and member.service.labels is not None and member.state.routing is None:
        why = f"no container of {active} has labels for routing yet"
    if why is not None:
        routing = member.state.routing
        so = "it is not in the document" if routing is None else "the last good routing is served on"
        if routing is not None and member.service.routers != routing.routers:
            so += ", without what the file has given to others"
        yield condition(ConditionCode.LABELS_REFUSED, None, colour=active, why=why, so=so)


def _first_of(texts: list[str]) -> str:
    more = f" (and {len(texts) - SERVERS_SHOWN} more)" if len(texts) > SERVERS_SHOWN else ""
    return "; ".join(texts[:SERVERS_SHOWN]) + more


def _unserved(
    member: Member, group: GroupState, health: Mapping[ServerKey, ServerHealth], active: Colour
) -> Iterator[Condition]:
    """Yield that nobody answers for the active colour, with the command to go back, where it works now (rule 8)."""
    servers = member.observed[active].servers
    if not servers:
        yield condition(ConditionCode.NO_SERVERS, None, colour=active, fix=_go_back(member, group))
        return
    for endpoint in member.service.endpoints:
        there = [server for server in servers if server.endpoint == endpoint.name]
        known = [health[server.key] for server in there if server.key in health]
        if known and all(found.health is Health.UNHEALTHY for found in known):
            where = "" if len(member.service.endpoints) == 1 else f" (endpoint {endpoint.name})"
            yield condition(
                ConditionCode.NONE_HEALTHY,
                max(found.since_utc for found in known),
                colour=active,
                servers=len(there),
                cause=f"{known[0].cause}{where}",
                fix=_go_back(member, group),
            )
            return


def _go_back(member: Member, group: GroupState) -> str:
    command = command_now(member, group)
    return f"to go back: {command}" if command else ""
