"""What a gate is asked about, and what it answers."""

from collections.abc import Sized
from dataclasses import dataclass

from provider.model import Candidate, GateState, Instant, Member, Rollout
from provider.model.releases import is_part


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a gate says now; `wake_mono_s` is when time alone may change it.

    `is_counting` says that it waits for nothing but more requests.
    """

    state: GateState
    reason: str | None = None
    wake_mono_s: float | None = None
    is_counting: bool = False

    @property
    def lets_through(self) -> bool:
        """Whether this gate holds nothing up."""
        return self.state in {GateState.PASSED, GateState.SKIPPED}


@dataclass(frozen=True, slots=True)
class Asked:
    """One candidate at one moment; the evidence is that of the rollout under way.

    `docker_connected` and `engines_away` are as in `Snapshot`.
    """

    member: Member
    candidate: Candidate
    under_way: Rollout | None
    now: Instant
    docker_connected: bool
    engines_away: tuple[str, ...] = ()

    @property
    def is_rollback_target(self) -> bool:
        """Whether the candidate is the exact release that was active before the present one (rule 9)."""
        return is_rollback_target(self.member, self.candidate)

    @property
    def waived(self) -> Verdict | None:
        """The answer of a gate that somebody waived for this rollout; None where nobody did."""
        under_way = self.under_way
        if under_way is not None and under_way.forced is not None:
            return Verdict(GateState.SKIPPED, f"waived by {under_way.actor}: {under_way.forced}")
        step = under_way.step if under_way is not None else None
        if step is not None and step.forced is not None:
            return Verdict(GateState.SKIPPED, f"waived for step {step.number} by {step.promoted}: {step.forced}")
        return None


def is_rollback_target(member: Member, candidate: Candidate) -> bool:
    """Return whether a candidate is the exact release that was active before the present one (rule 9)."""
    back = member.state.rollback_target
    return back is not None and back.colour is candidate.colour and is_part(candidate.release, back.release)


def silence(engines_away: tuple[str, ...]) -> str:
    """Say who does not answer, and what that means for a rollout."""
    who = f"engine {' and '.join(engines_away)}" if engines_away else "Docker"
    return f"{who} does not answer, so what runs is not known"


def pending(reason: str) -> Verdict:
    """Return the verdict of a gate that waits."""
    return Verdict(GateState.PENDING, reason)


def counted(things: Sized, what: str) -> str:
    """Return how many things there are, in words."""
    return f"{len(things)} {what}{'' if len(things) == 1 else 's'}"
