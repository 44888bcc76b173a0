"""Whether a release that was switched to fails, and whether its rollback target is the better choice (rule 8)."""

from collections.abc import Mapping
from dataclasses import dataclass

from provider.model import Colour, Endpoint, Health, Instant, Member, Observed, Server
from provider.rollout.health import assess, endpoint_of
from provider.rollout.labelled import of_colour

DOCKER_PATIENCE_S = 90.0
"""Docker takes so long to call a container unhealthy by default: 3 checks, 30 s apart. It does not report passes."""

DEATHS_MOST = 2
"""The second death of a container is a failure: the first may be chance."""


@dataclass(frozen=True, slots=True)
class Failing:
    """An active colour that has fewer servers than it needs, `since_mono_s`; `reason` says so in words.

    It is `recovering` while the last check of a server that failed has passed. `still_mono_s` is until when each of
    them was seen to fail, None where no check shows it.
    """

    since_mono_s: float
    reason: str
    is_recovering: bool = False
    still_mono_s: float | None = None


def deaths(member: Member, colour: Colour) -> dict[str, int]:
    """Return how often each container of a colour, or slot of Swarm, died, of those of which that is known."""
    servers = member.observed[colour].servers
    return {named: server.deaths for server in servers if (named := _mortal(server)) and server.deaths is not None}


def rests_on_docker(member: Member) -> bool:
    """Return whether Docker alone reports the health of a server on either side."""
    servers = (server for _, observed in member.observed.items() for server in observed.staying)
    return any(server.docker_health is not None and server.key not in member.health for server in servers)


def is_uncounted(observed: Observed) -> bool:
    """Return whether it is not known of a container how often it died: Docker's complete list does not say."""
    return observed.from_docker and any(server.deaths is None for server in observed.servers)


def failing(member: Member, colour: Colour | None, deaths_before: Mapping[str, int]) -> Failing | None:
    """Rule 8: say since when a colour with traffic has fewer servers that are not unhealthy than it needs.

    One whose container died twice since the switch is unhealthy, though it looks well now (rule 5).
    Of several failures the last one counts: the rollback target has to pass after all of them, or an outage that both
    colours share would look like this one's.
    """
    if colour is None or not member.observed[colour].known:
        return None
    each = (_failing_at(member, endpoint, colour, deaths_before) for endpoint in of_colour(member, colour).endpoints)
    return next((found for found in each if found is not None), None)


def _failing_at(member: Member, endpoint: Endpoint, colour: Colour, deaths_before: Mapping[str, int]) -> Failing | None:
    """Say the same of one endpoint: each needs `minServers` (rule 31)."""
    needed = member.service.min_servers or 1
    observed = member.observed[colour]
    staying = [server for server in observed.staying if server.endpoint == endpoint.name]
    died = {server: times for server in staying if (times := _died_again(server, deaths_before)) is not None}
    unhealthy = [
        server for server in staying if server not in died and assess(member, server).health is Health.UNHEALTHY
    ]
    able = len(staying) - len(unhealthy) - len(died)
    if able >= needed:
        return None
    since = [_failed_mono_s(member, colour, server) for server in unhealthy]
    since += [times[0] if times else observed.changed_mono_s for times in died.values()]
    if len(staying) < needed:
        since.append(observed.changed_mono_s)
    causes = [f"{server.url}: {assess(member, server).cause}" for server in unhealthy]
    causes += [
        f"{server.url}: {_named(server)} died {_died(server, deaths_before)} times since it got traffic "
        f"({_logs(server)} says why)"
        for server in died
    ]
    why = "; ".join(causes) or f"{len(staying)} servers left"
    checks = [found for server in unhealthy if (found := member.checks.get(server.key))]
    recovering = any(each.passed_mono_s for each in checks)
    failed_last = [each.failed_last_mono_s for each in checks if each.failed_last_mono_s is not None]
    failed_last += [times[-1] if times else observed.changed_mono_s for times in died.values()]
    still = min(failed_last, default=None)
    where = of_colour(member, colour).at(endpoint.name)
    reason = f"{colour} has {able} of at least {needed} servers (minServers){where}: {why}"
    return Failing(max(since), reason, is_recovering=recovering, still_mono_s=still)


def has_failed(member: Member, colour: Colour) -> bool:
    """Return whether a server of a colour has failed a check since all of them were healthy."""
    checks = (member.checks.get(server.key) for server in member.observed[colour].staying)
    return any(found is not None and found.failed_mono_s is not None for found in checks)


def target_passes(member: Member, found: Failing, now: Instant) -> tuple[bool, float | None]:
    """Return whether every server of the rollback target passed since, and when time alone may change that."""
    back = member.state.rollback_target
    return passes(member, back.colour, found, now) if back is not None else (False, None)


def passes(member: Member, colour: Colour, found: Failing, now: Instant) -> tuple[bool, float | None]:
    """Return whether every server of the other colour passed since one failed, and when time alone may change that.

    The one must have failed after the first of these passes as well: when an outage that both shared is over, the other
    may be checked first, and with `healthyAfter: 1` a single pass would decide.
    """
    wake_mono_s = None
    for server in member.observed[colour].staying:
        if assess(member, server).health is not Health.HEALTHY:
            return False, None
        checks = member.checks.get(server.key)
        passes = [at for at in checks.passed_mono_s if at > found.since_mono_s] if checks else []
        if server.key in member.health:
            if len(passes) < endpoint_of(member, server).health_check.healthy_after:
                return False, None
            if found.still_mono_s is not None and found.still_mono_s <= passes[0]:
                return False, None
        elif now.mono_s < found.since_mono_s + DOCKER_PATIENCE_S:
            wake_mono_s = found.since_mono_s + DOCKER_PATIENCE_S
    return wake_mono_s is None, wake_mono_s


def _died_again(server: Server, before: Mapping[str, int]) -> tuple[float, ...] | None:
    """Return when a container died since the switch, as far as that was seen; None where it died less than twice."""
    count = _died(server, before)
    return server.died_mono_s[-count:] if count >= DEATHS_MOST else None


def _died(server: Server, before: Mapping[str, int]) -> int:
    """Count the deaths of a container since the switch; of one that is new since then, those that we saw."""
    counted = before.get(_mortal(server) or "")
    return len(server.died_mono_s) if counted is None or server.deaths is None else max(0, server.deaths - counted)


def _mortal(server: Server) -> str | None:
    """Return the name of what lives on when the container of a server dies: its slot in Swarm, else the container."""
    return server.slot or server.container


def _named(server: Server) -> str:
    return f"the task {server.slot}" if server.slot else f"container {server.container}"


def _logs(server: Server) -> str:
    return f"docker service ps {server.unit}" if server.slot else f"docker logs {server.container}"


def _failed_mono_s(member: Member, colour: Colour, server: Server) -> float:
    """Return when a server failed first; where no check shows it, when its colour last changed."""
    checks = member.checks.get(server.key)
    if checks is not None and checks.failed_mono_s is not None:
        return checks.failed_mono_s
    return member.observed[colour].changed_mono_s
