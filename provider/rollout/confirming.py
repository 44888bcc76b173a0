"""Decides whether Traefik has applied a switch, or must be rolled back as it fetched and did not apply it (rule 7)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from provider.model import Applied, Laggard, Member, Rollout, listed
from provider.rollout.weights import weights


@dataclass(frozen=True, slots=True)
class Missing:
    """A Traefik that was not seen to have applied what was decided, and why.

    `answers` says whether its API can prove anything, `fetched` whether it has the document: None where that is not
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
    def is_not_applied(self) -> bool:
        """Whether one of them has the document and does not show it, or nobody at all has fetched that."""
        fetched = {one.fetched for one in self.missing}
        return True in fetched or (not self.by and False in fetched)


def unconfirmed(member: Member, under_way: Rollout | None) -> str | None:
    """Say what is missing to know that every Traefik applied the weights that were decided; None when all did.

    Where no API is given, that every poller fetched the document must do. Nobody polling is no confirmation.
    """
    if not _is_out(member, under_way):
        return "the document is not published yet"
    if not member.applied:
        if member.fetched is None:
            return "nobody polls the document"
        return None if member.fetched else _not_fetched(member.laggard)
    return next((why for one in member.applied if (why := missing(member, one)) is not None), None)


def _not_fetched(laggard: Laggard | None) -> str:
    """Say who has not the document: which replica it polls is where to look (rule 59)."""
    if laggard is None:
        return "a poller has not fetched the document yet"
    if laggard.is_away:
        return f"replica {laggard.replica} is away, so its poller {laggard.poller} may not have the document"
    return f"poller {laggard.poller} of replica {laggard.replica} has not fetched the document yet"


def missing(member: Member, one: Applied) -> str | None:
    """Say what is missing to know that one Traefik applied the weights that were decided; None when it did."""
    if not one.answers:
        return f"the API of Traefik at {one.traefik} does not answer"
    if one.doubt is not None:
        return f"{one.traefik} {one.doubt}"
    if not one.is_current:
        return f"Traefik at {one.traefik} has not applied the document yet"
    if one.weights is None or tuple(sorted(one.weights)) != _expected(member):
        return f"Traefik at {one.traefik} shows other weights: {_weights(one)}"
    return None


def read_back(member: Member, under_way: Rollout | None) -> ReadBack:
    """Return who was seen to have applied the weights that were decided, and who was not."""
    missed = [(one, why) for one in member.applied if (why := missing(member, one)) is not None]
    by = len(member.applied) - len(missed)
    return ReadBack(by, tuple(_missing(member, under_way, one, why) for one, why in missed))


def _missing(member: Member, under_way: Rollout | None, one: Applied, why: str) -> Missing:
    """Only who has shown a document of ours is known to fetch them here; where nobody does, it does not either."""
    answers = one.answers and one.doubt is None
    if not answers or not _is_out(member, under_way):
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


def new_errors(member: Member, under_way: Rollout | None, before: Mapping[str, tuple[str, ...]]) -> str | None:
    """Return the errors that Traefik reports for the document of the switch and had not before it (rule 7).

    One that did not answer before the switch says nothing about what the switch changed.
    """
    if not _is_out(member, under_way):
        return None
    for one in member.applied:
        new = [error for error in one.errors if error not in before.get(one.traefik, ())]
        if one.answers and one.is_current and one.traefik in before and new:
            return f"Traefik at {one.traefik} reports: {'; '.join(new)}"
    return None


def not_applied(member: Member, under_way: Rollout | None) -> str | None:
    """Name a Traefik that fetched the document and, at the deadline, still shows the weights of before."""
    if not _is_out(member, under_way):
        return None
    for one in member.applied:
        stale = one.answers and one.has_fetched and not one.is_current
        if stale and one.weights is not None and tuple(sorted(one.weights)) != _expected(member):
            return (
                f"Traefik at {one.traefik} fetched the document and did not apply it: it still shows {_weights(one)}. "
                f"Its log says why"
            )
    return None


def errors(members: Iterable[Member]) -> dict[str, tuple[str, ...]]:
    """Return the errors that each Traefik reports, by its address."""
    found: dict[str, tuple[str, ...]] = {}
    for member in members:
        for one in member.applied:
            if one.answers:
                found[one.traefik] = (*found.get(one.traefik, ()), *one.errors)
    return found


def _is_out(member: Member, under_way: Rollout | None) -> bool:
    """Return whether the last document has the weights that were decided."""
    decided = weights(member, under_way)
    return bool(decided) and member.shown is not None and member.shown.decided == decided


def _expected(member: Member) -> tuple[tuple[str, int], ...]:
    shown, service = member.shown, member.as_shown or member.service
    return tuple(
        sorted(
            (service.in_traefik(colour, endpoint.name), share)
            for endpoint in service.endpoints
            for colour, share in (shown.at(endpoint.name) if shown else ())
        )
    )


def _weights(one: Applied) -> str:
    return listed(f"{name} {weight}" for name, weight in one.weights or ()) or "no such service"
