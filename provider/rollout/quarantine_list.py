"""Releases that failed and are not tried again automatically (P9): how they are kept, found and let go.

Which end of a rollout quarantines its candidates is in the table of `phases`; a rollback without a rollout does it, too
(`rollback_target`).
"""

from collections.abc import Callable
from dataclasses import replace

from provider.model import Candidate, Colour, GroupState, Quarantine
from provider.model.releases import is_part

QUARANTINES_KEPT = 50


def put_aside(state: GroupState, failed: Quarantine) -> GroupState:
    """Quarantine releases whose rollout has ended before."""
    return replace(state, quarantined=with_failed(state, failed))


def release_from_quarantine(state: GroupState, service: str, colour: Colour) -> GroupState:
    """Forget that a candidate of this service failed in this colour; what failed together with it stays where it is."""
    kept = without(state.quarantined, lambda one: (one.service, one.colour) == (service, colour))
    return state if kept == state.quarantined else replace(state, quarantined=kept)


def quarantine_of(state: GroupState, candidates: tuple[Candidate, ...]) -> Quarantine | None:
    """Return the failed set that has all of these candidates: a part of it is not tried automatically either.

    A colour that runs no release counts as what failed in it, or a crash loop would begin a rollout at each gap. So
    does what is left of a release when one of its services stops.
    """

    def failed_in(one: Candidate, failed: Quarantine) -> bool:
        known = [past for past in failed.candidates if (past.service, past.colour) == (one.service, one.colour)]
        return any(one.release is None or is_part(one.release, past.release) for past in known)

    return next(
        (failed for failed in reversed(state.quarantined) if all(failed_in(one, failed) for one in candidates)), None
    )


def without(quarantined: tuple[Quarantine, ...], is_forgiven: Callable[[Candidate], bool]) -> tuple[Quarantine, ...]:
    """Return the failed sets without the candidates that are forgiven."""
    left = (
        replace(failed, candidates=tuple(one for one in failed.candidates if not is_forgiven(one)))
        for failed in quarantined
    )
    return tuple(failed for failed in left if failed.candidates)


def with_failed(state: GroupState, failed: Quarantine) -> tuple[Quarantine, ...]:
    """Return the failed sets with one more; of many the oldest are forgotten."""
    return (*state.quarantined, *([failed] if failed.candidates else []))[-QUARANTINES_KEPT:]
