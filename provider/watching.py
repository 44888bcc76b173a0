"""What is seen of a switch after it: whether Traefik applied it (rule 7), and whether the release bears it (rule 8)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from provider.gates import assess
from provider.model import Applied, Colour, Health, Instant, Member, Observed, Server
from provider.rollout import weights

DOCKER_PATIENCE_S = 90.0
"""So long Docker takes to call a container unhealthy by default: 3 checks, 30 s apart; it tells of no passes."""

DEATHS_MOST = 2
"""The second death of a container is a failure: the first may be chance."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A Traefik that was not seen to have applied what was decided, and why.

    `answers` tells whether its API can prove anything, `fetched` whether it has the document: None where that is not
    known.
    """

    traefik: str
    reason: str
    answers: bool
    fetched: bool | None = None


@dataclass(frozen=True, slots=True)
class ReadBack:
    """What the Traefiks that are read back show of one service: `by` so many of them what was decided."""

    by: int
    missing: tuple[Missing, ...]

    @property
    def of(self) -> int:
        """How many Traefiks are read back."""
        return self.by + len(self.missing)

    @property
    def is_verified(self) -> bool:
        """Whether all of them show it; where nobody is read back, nothing is known."""
        return self.by > 0 and not self.missing

    @property
    def is_refused(self) -> bool:
        """Whether one of them has the document and does not show it, or nobody at all has fetched that."""
        fetched = {one.fetched for one in self.missing}
        return True in fetched or (not self.by and False in fetched)


@dataclass(frozen=True, slots=True)
class Failing:
    """An active colour that has fewer servers than it needs, `since_mono_s`; `reason` says so in words.

    It is `recovering` while the last check of a server that failed has passed. `still_mono_s` is until when each of
    them was seen to fail, None where no check tells.
    """

    since_mono_s: float
    reason: str
    is_recovering: bool = False
    still_mono_s: float | None = None


def unconfirmed(member: Member) -> str | None:
    """Say what is missing to know that every Traefik applied the weights that were decided; None when all did.

    Where no API is given, that every poller fetched the document must do. Nobody polling is no confirmation.
    """
    if member.state.active is None or member.shown is not member.state.active:
        return "the document is not published yet"
    if not member.applied:
        if member.fetched is None:
            return "nobody polls the document"
        return None if member.fetched else "a poller has not fetched the document yet"
    return next((why for one in member.applied if (why := missing(member, one)) is not None), None)


def missing(member: Member, one: Applied) -> str | None:
    """Say what is missing to know that one Traefik applied the weights that were decided; None when it did."""
    if not one.answers:
        return f"the API of Traefik at {one.traefik} does not answer"
    if one.doubt is not None:
        return f"{one.traefik} {one.doubt}"
    if not one.is_current:
        return f"Traefik at {one.traefik} has not applied the document yet"
    if one.weights != _expected(member):
        return f"Traefik at {one.traefik} shows other weights: {_told(one)}"
    return None


def read_back(member: Member) -> ReadBack:
    """Return who was seen to have applied the weights that were decided, and who was not."""
    missed = [(one, why) for one in member.applied if (why := missing(member, one)) is not None]
    return ReadBack(len(member.applied) - len(missed), tuple(_missing(member, one, why) for one, why in missed))


def _missing(member: Member, one: Applied, why: str) -> Missing:
    """Only who has shown a document of ours is known to fetch them here; where nobody does, it does not either."""
    answers = one.answers and one.doubt is None
    if not answers or member.shown is not member.state.active:
        return Missing(one.traefik, why, answers)
    if one.is_current:
        return Missing(one.traefik, why, answers, fetched=True)
    if member.given is False:
        reason = f"Traefik at {one.traefik} does not show the document, and nobody has fetched it"
        return Missing(one.traefik, reason, answers, fetched=False)
    if member.given and one.is_ours:
        reason = f"Traefik at {one.traefik} has fetched the document and does not show it; its log says why"
        return Missing(one.traefik, reason, answers, fetched=True)
    return Missing(one.traefik, why, answers)


def refused(member: Member, before: Mapping[str, tuple[str, ...]]) -> str | None:
    """Return Traefik's words about the document of the switch, where it had none of them before (rule 7).

    One that did not answer before the switch says nothing about what the switch changed.
    """
    if member.shown is not member.state.active:
        return None
    for one in member.applied:
        new = [error for error in one.errors if error not in before.get(one.traefik, ())]
        if one.answers and one.is_current and one.traefik in before and new:
            return f"Traefik at {one.traefik} says: {'; '.join(new)}"
    return None


def not_applied(member: Member) -> str | None:
    """Name a Traefik that fetched the document and, at the deadline, still shows the weights of before."""
    if member.shown is not member.state.active:
        return None
    for one in member.applied:
        stale = one.answers and one.has_fetched and not one.is_current
        if stale and one.weights is not None and one.weights != _expected(member):
            return (
                f"Traefik at {one.traefik} fetched the document and did not apply it: it still shows {_told(one)}. "
                f"Its log says why"
            )
    return None


def errors(members: Iterable[Member]) -> dict[str, tuple[str, ...]]:
    """Return what each Traefik that answers complains of, by its address."""
    found: dict[str, tuple[str, ...]] = {}
    for member in members:
        for one in member.applied:
            if one.answers:
                found[one.traefik] = (*found.get(one.traefik, ()), *one.errors)
    return found


def deaths(member: Member, colour: Colour) -> dict[str, int]:
    """Return how often each container of a colour died, of those of which that is known."""
    servers = member.observed[colour].servers
    return {server.container: server.deaths for server in servers if server.container and server.deaths is not None}


def rests_on_docker(member: Member) -> bool:
    """Tell whether Docker alone tells of the health of a server on either side."""
    servers = (server for _, observed in member.observed.items() for server in observed.staying)
    return any(server.docker_health is not None and server.key not in member.health for server in servers)


def is_uncounted(observed: Observed) -> bool:
    """Tell whether it is not known of a container how often it died: Docker's complete list does not say."""
    return observed.from_docker and any(server.deaths is None for server in observed.servers)


def failing(member: Member, deaths_before: Mapping[str, int]) -> Failing | None:
    """Rule 8: tell since when the active colour has fewer servers that are not unhealthy than it needs.

    One whose container died twice since the switch is unhealthy, though it looks well now (rule 5).
    Of several failures the last one counts: the way back has to pass after all of them, or an outage that both colours
    share would look like this one's.
    """
    active = member.state.active
    if active is None or not member.observed[active].known:
        return None
    needed = member.service.min_servers or 1
    observed = member.observed[active]
    died = {server: times for server in observed.staying if (times := _died_again(server, deaths_before)) is not None}
    unhealthy = [
        server
        for server in observed.staying
        if server not in died and assess(member, server).health is Health.UNHEALTHY
    ]
    able = len(observed.staying) - len(unhealthy) - len(died)
    if able >= needed:
        return None
    since = [_failed_mono_s(member, server) for server in unhealthy]
    since += [times[0] if times else observed.changed_mono_s for times in died.values()]
    if len(observed.staying) < needed:
        since.append(observed.changed_mono_s)
    causes = [f"{server.url}: {assess(member, server).cause}" for server in unhealthy]
    causes += [
        f"{server.url}: container {server.container} died {_died(server, deaths_before)} "
        f"times since the switch (docker logs {server.container} says why)"
        for server in died
    ]
    told = "; ".join(causes) or f"{len(observed.staying)} servers left"
    checks = [found for server in unhealthy if (found := member.checks.get(server.key))]
    recovering = any(each.passed_mono_s for each in checks)
    failed_last = [each.failed_last_mono_s for each in checks if each.failed_last_mono_s is not None]
    failed_last += [times[-1] if times else observed.changed_mono_s for times in died.values()]
    still = min(failed_last, default=None)
    reason = f"{active} has {able} of at least {needed} servers (minServers): {told}"
    return Failing(max(since), reason, is_recovering=recovering, still_mono_s=still)


def bears(member: Member, found: Failing, now: Instant) -> tuple[bool, float | None]:
    """Tell whether every server of the way back passed since, and when time alone may change that.

    The active colour must have failed after the first of these passes as well: when an outage that both shared is over,
    the way back may be checked first, and with `healthyAfter: 1` a single pass would decide.
    """
    back = member.state.way_back
    if back is None:
        return False, None
    wake_mono_s = None
    for server in member.observed[back.colour].staying:
        if assess(member, server).health is not Health.HEALTHY:
            return False, None
        checks = member.checks.get(server.key)
        passes = [at for at in checks.passed_mono_s if at > found.since_mono_s] if checks else []
        if server.key in member.health:
            if len(passes) < member.service.health_check.healthy_after:
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
    counted = before.get(server.container or "")
    return len(server.died_mono_s) if counted is None or server.deaths is None else max(0, server.deaths - counted)


def _failed_mono_s(member: Member, server: Server) -> float:
    """Return when a server failed first; where no check tells, when its colour last changed."""
    checks = member.checks.get(server.key)
    active = member.state.active or Colour.BLUE
    if checks is not None and checks.failed_mono_s is not None:
        return checks.failed_mono_s
    return member.observed[active].changed_mono_s


def _expected(member: Member) -> tuple[tuple[str, int], ...]:
    active = member.state.active
    return tuple((member.service.in_traefik(colour), share) for colour, share in weights(active)) if active else ()


def _told(one: Applied) -> str:
    return ", ".join(f"{name} {weight}" for name, weight in one.weights or ()) or "no such service"
