"""Decisions: committed before anything shows them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from provider.model.analysed import AnalysisEvidence
from provider.model.events import Event
from provider.model.observed import SmokeResult
from provider.model.progressive import Canary
from provider.model.routing import Routing
from provider.model.vocabulary import AFTER_SWITCH, ByColour, Colour, Instant, Outcome, Phase, Trigger, Wish


@dataclass(frozen=True, slots=True, order=True)
class Candidate:
    """A standby release to switch to; `release` is None while the colour runs no uniform one."""

    service: str
    colour: Colour
    release: str | None


@dataclass(frozen=True, slots=True)
class Approval:
    """An operator's approval of the candidates of one rollout."""

    actor: str
    at_utc: datetime


@dataclass(frozen=True, slots=True)
class SmokeEvidence:
    """The result of one candidate's smoke tests; it counts for this release and this definition only (P1)."""

    service: str
    release: str
    definition: str
    passed: bool
    results: tuple[SmokeResult, ...]


@dataclass(frozen=True, slots=True)
class StepState:
    """The step that a rollout is in; `number` counts from 1.

    Its time runs since `shown_mono_s`, when Traefik showed its weights. Nothing holds it up any more since
    `passed_mono_s`: what follows it begins once it can. `approval` is for what follows this step. Somebody `promoted`
    it: its time is over; `forced` is the reason for which they waived its gates as well.
    """

    number: int
    begun_utc: datetime
    begun_mono_s: float
    shown_mono_s: float | None = None
    passed_mono_s: float | None = None
    approval: Approval | None = None
    promoted: str | None = None
    forced: str | None = None


@dataclass(frozen=True, slots=True)
class Rollout:
    """One candidate (of a group: one for each member that has one) on its way to active.

    `members` is the membership of the group when it began. The monotonic times belong to this process: after a
    restart `phases.resume` sets them again. `deadline_mono_s` is None while the rollout is held. Its clock is stopped
    since `still_mono_s`, while the engine is away.

    `waiting_left_s` is what is left of the time for the health gate while another phase is on. `approval_until_utc` and
    `entered_utc`, when the phase began, outlive the process; `asked` and `reminded` say which requests for an approval
    were sent. `forced` is the reason for which `actor` waived the gates. `errors_before` are each Traefik's errors when
    it switched or its step began, `deaths_before` how often each container of a candidate had died by then.

    `canary` are the steps that it began with, None where it is one switch; `step` is the one that is on. Somebody
    `promoted` it: the time of all steps is over. `analysis` is the evidence of each candidate.
    """

    id: str
    phase: Phase
    candidates: tuple[Candidate, ...]
    members: tuple[str, ...]
    trigger: Trigger
    actor: str | None
    since_utc: datetime
    entered_mono_s: float
    deadline_mono_s: float | None
    waiting_left_s: float = 0.0
    smoke: tuple[SmokeEvidence, ...] = ()
    approval: Approval | None = None
    approval_until_utc: datetime | None = None
    asked: bool = False
    reminded: bool = False
    forced: str | None = None
    entered_utc: datetime | None = None
    errors_before: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    deaths_before: Mapping[str, int] = field(default_factory=dict)
    still_mono_s: float | None = None
    canary: Canary | None = None
    step: StepState | None = None
    promoted: str | None = None
    analysis: tuple[AnalysisEvidence, ...] = ()

    def clock_mono_s(self, now: Instant) -> float:
        """Return the time of the rollout's own clock, which decides its deadline (rule 14)."""
        return now.mono_s if self.still_mono_s is None else self.still_mono_s

    def candidate_of(self, service: str) -> Candidate | None:
        """Return the candidate that it has for this service."""
        return next((one for one in self.candidates if one.service == service), None)

    @property
    def is_switched(self) -> bool:
        """Whether the candidates are active already."""
        return self.phase in AFTER_SWITCH

    @property
    def weight(self) -> int:
        """The share of the traffic that each candidate has: that of the step, all of it after the switch."""
        if self.is_switched:
            return 100
        return self.canary.steps[self.step.number - 1].weight if self.step and self.canary else 0

    @property
    def next_weight(self) -> int:
        """The share that each candidate gets next."""
        passed = self.step.number if self.step else 0
        return self.canary.steps[passed].weight if self.canary and passed < len(self.canary.steps) else 100


@dataclass(frozen=True, slots=True)
class Quarantine:
    """A set of candidates whose rollout failed; neither it nor a part of it is tried again automatically.

    `reason` says why it failed, where that is known; `actor` who rolled it back, None where no operator did.
    """

    candidates: tuple[Candidate, ...]
    outcome: Outcome
    rollout: str
    since_utc: datetime
    reason: str | None = None
    actor: str | None = None


@dataclass(frozen=True, slots=True)
class Replaced:
    """The active colour got another release without a rollout."""

    release: str
    before: str | None
    since_utc: datetime


@dataclass(frozen=True, slots=True)
class RollbackTarget:
    """The exact release that was active before the present one, in the colour that ran it.

    `rollout` names the rollout that left it: members of a group that moved together go back together. `lost` says why
    a rollback was not possible when that was last checked. `alias` and `routing` are those of the service when it was
    active.
    """

    colour: Colour
    release: str | None
    rollout: str | None = None
    lost: str | None = None
    alias: str | None = None
    routing: Routing | None = None


@dataclass(frozen=True, slots=True)
class Override:
    """A command that overrides the file: traffic stays at `colour`, the `rejected` release gets none (rule 10).

    Where the colour that was left was mixed, `rejected` names all of its releases, with commas between them.
    """

    colour: Colour
    rejected: str | None
    reason: str
    actor: str | None
    since_utc: datetime


@dataclass(frozen=True, slots=True)
class Lease:
    """The right of one deployment to change a service's standby; `warning` is what happened meanwhile (rule 17).

    `until_mono_s` belongs to this process and is None after a restart: the wall clock may be set. One that
    was ended by another than its holder is kept with the name (`ended_by`), so that its holder is notified.
    """

    id: str
    holder: str
    until_utc: datetime
    warning: str | None = None
    until_mono_s: float | None = field(default=None, compare=False)
    ended_by: str | None = None
    ended_because: str | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """A command that stops forward rollouts until `resume`."""

    actor: str
    reason: str | None
    since_utc: datetime


@dataclass(frozen=True, slots=True)
class ServiceState:
    """The decisions about one service.

    `settled` holds for each colour the releases that `active: auto` does not switch to (again): those it ran when
    it last had traffic, and those found in standby at first sight. `wish` is the effective `active` last acted on.
    `undecided` is kept once both colours were seen running at first sight: one that stops does not settle it. `group`
    is the one that the file named when that was last acted on. `alias` is the name in Traefik under which the active
    colour of a service with sessions is served since it came by steps; None where that is the name of its servers.
    `routing` is that of the labels of the active colour, None where the file has it, or nobody yet.
    """

    active: Colour | None = None
    undecided: bool = False
    wish: Wish | None = None
    settled: ByColour[frozenset[str]] = ByColour(frozenset(), frozenset())
    rollback_target: RollbackTarget | None = None
    replaced: Replaced | None = None
    switched_utc: datetime | None = None
    override: Override | None = None
    lease: Lease | None = None
    group: str | None = None
    alias: str | None = None
    routing: Routing | None = None


@dataclass(frozen=True, slots=True)
class GroupState:
    """The decisions about one rollout group; a service without a group is a group of one."""

    rollout: Rollout | None = None
    rollouts: int = 0
    quarantined: tuple[Quarantine, ...] = ()
    paused: Pause | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """One row of the history; committed together with the state it explains.

    `detail` is text for people, `evidence` has a line for each fact behind the decision.
    """

    at_utc: datetime
    service: str
    event: Event
    colour: Colour | None = None
    release: str | None = None
    rollout: str | None = None
    phase: Phase | None = None
    outcome: Outcome | None = None
    trigger: Trigger | None = None
    actor: str | None = None
    detail: str | None = None
    evidence: tuple[str, ...] = ()
