"""One service: what runs in its colours, its rollout, and what Traefik applied of it."""

from collections.abc import Mapping, Sequence
from typing import NotRequired, final

from typing_extensions import TypedDict

from provider.model.api_types.analysis import AnalysisStatus
from provider.model.api_types.times import Time
from provider.model.condition_catalogue import ConditionCode
from provider.model.vocabulary import (
    Colour,
    ColourState,
    Gate,
    GateState,
    Health,
    Outcome,
    Phase,
    Severity,
    Trigger,
    Wish,
)


class Missing(TypedDict):
    """A Traefik that was not seen to have applied what was decided."""

    traefik: str
    """Its address"""
    answers: bool
    """Its API answers, and shows the document of this daemon"""
    fetched: bool | None
    """It has the document; `null` where that is not known"""
    reason: str
    """What is missing, for people"""


class Applied(TypedDict):
    """Which Traefiks show what was decided of a service."""

    by: int
    """How many Traefiks show it"""
    of: int
    """How many Traefiks are read back; 0 where the file names none"""
    verified: bool
    """All of them show it, and there is at least one"""
    refused: bool
    """One of them has fetched the document and does not show it, or nobody has fetched it; right after a change they
    may only need a moment"""
    detail: str
    """The same in words, for people"""
    missing: Sequence[Missing]
    """Those that were not seen to show it"""


class Condition(TypedDict):
    """Something an operator should know."""

    code: ConditionCode
    """What it is, for programs"""
    severity: Severity
    message: str
    """What it is and what to do, for people"""
    since: Time | None


class Server(TypedDict):
    """One server of a colour."""

    url: str
    """Its address, as Traefik sees it"""
    endpoint: str
    """The endpoint that it is a server of; `default` where the service has no others"""
    health: Health
    cause: str | None
    """Why it is not healthy"""
    since: Time | None
    """Since when its health is what it is"""
    container: str | None
    """The id of its container; `null` for servers written in the file"""
    release: str
    version: str | None
    leaving: bool
    """It was asked to stop"""
    published: bool
    """It is in the document"""


class ColourStatus(TypedDict):
    """What runs in one colour."""

    release: str | None
    """What all of its servers run; `null` where there are none, or several releases"""
    version: str | None
    """The version of that release, as its label or the file says"""
    state: ColourState
    servers: Sequence[Server]


class GateStatus(TypedDict):
    """What a gate says."""

    state: GateState
    reason: NotRequired[str]
    """What it waits for, or why it failed"""


class SmokeStatus(TypedDict):
    """The result of one smoke test on one server."""

    test: str
    """Its name"""
    server: str
    """The URL of the server"""
    passed: bool | None
    """`null` where there is no answer to judge yet"""
    cause: str | None
    """Why it did not pass"""
    excerpt: str | None
    """The beginning of the answer"""
    duration: float
    """In seconds"""


class Approval(TypedDict):
    """An approval that was given."""

    actor: str
    at: Time


class StepStatus(TypedDict):
    """The step that a rollout is in."""

    number: int
    of: int
    """How many steps there are before all of the traffic"""
    weight: int
    """The share of the candidate, in per cent"""
    weights: Sequence[int]
    """The shares of all steps"""
    since: Time
    until: Time | None
    """When its time is over; `null` until Traefik shows it, and while its clock stands still"""
    promoted: str | None
    """Who ended its time"""
    approval: GateStatus | None
    """Whether what follows is approved; `null` where the step asks for no approval"""
    analysis: AnalysisStatus | None
    """What is counted, and what its tests say; `null` without an analysis"""


class Rollout(TypedDict):
    """A rollout under way."""

    id: str
    candidate: Colour
    release: str | None
    """The release of the candidate"""
    trigger: Trigger
    """What set it off"""
    actor: str | None
    """Who set it off"""
    since: Time
    deadline: Time | None
    """When the present phase times out; `null` while its clock stands still, and while a step only lacks requests"""
    gates: Mapping[Gate, GateStatus]
    forced: str | None
    """The reason for which its gates are waived"""
    smoke: Sequence[SmokeStatus]
    """The result of each smoke test on each server"""
    approval: Approval | None
    """Who approved it, and when"""
    step: StepStatus | None
    """The step that is on; `null` before the first one, after the switch, and without steps"""


class Release(TypedDict):
    """A release in a colour."""

    colour: Colour
    release: str | None


class Rollback(TypedDict):
    """The rollback target."""

    ready: bool
    """A rollback is possible now"""
    to: Colour | None
    release: str | None
    reason: str | None
    """Why no rollback is possible now"""
    command: str | None
    """The command that gives the traffic to the other colour as things stand"""


class Override(TypedDict):
    """What a command decided against the file."""

    colour: Colour
    """The colour that keeps the traffic"""
    reason: str
    actor: str | None
    since: Time
    rejected: str | None
    """The release that gets no traffic; several are separated by `, `"""


class Lease(TypedDict):
    """The lease of a deployment."""

    id: NotRequired[str]
    """Shown to those who may take a lease"""
    holder: str
    until: Time
    warning: str | None
    """What happened since it was taken: a rollback"""


class Quarantined(TypedDict):
    """A release that failed."""

    colour: Colour
    release: str | None
    outcome: Outcome
    """How its rollout ended"""
    rollout: str
    reason: str | None
    since: Time


class Poller(TypedDict):
    """Something that fetches the document."""

    poller: str
    """Its name, else its address"""
    revision: int
    """The document that it has"""
    current: bool
    """It has the last document"""
    last_poll: Time
    replica: str | None
    """The other replica that it polls; `null` for the one that answers"""


@final
class Service(TypedDict):
    """One service."""

    service: str
    """Its name"""
    environment: str
    """The environment of the file"""
    group: str | None
    url: str | None
    """Where people find it, as its rules say"""
    preview_url: str | None
    """Where people find the standby colour, with a preview"""
    desired: Wish
    """What the file says under `active`"""
    active: Colour | None
    """The colour that serves traffic; `null` while that is undecided"""
    phase: Phase
    weights: Mapping[Colour, int]
    """The share of the traffic of each colour, in percent"""
    revision: int | None
    """The revision of the document"""
    confirmed: bool
    """Every Traefik shows these weights"""
    applied: Applied
    """Which Traefiks show them"""
    paused: bool
    """Forward rollouts are stopped, by `pause` or by `hold` in the file"""
    colours: Mapping[Colour, ColourStatus]
    rollout: Rollout | None
    """The rollout under way"""
    wanted: Release | None
    """The standby release that is to become active; none that failed"""
    blocking: str | None
    """What keeps it from what is wanted, and how to go on"""
    rollback: Rollback
    """The rollback target"""
    rollback_with_force: bool
    """A rollback with `force`, which waives health, is possible now"""
    override: Override | None
    """What a command decided against the file"""
    lease: Lease | None
    """The deployment that holds it"""
    quarantined: Sequence[Quarantined]
    """Releases that failed; none of them is tried again by itself"""
    switched: Time | None
    """When the active colour last changed"""
    conditions: Sequence[Condition]
    """What an operator should know: of the daemon, then of this service"""
    pollers: NotRequired[Sequence[Poller]]
    """Who fetches the document; only in the answer about one service"""
    explanation: NotRequired[Sequence[str]]
    """What `bluegreen explain` says, a sentence each; only in the answer about one service"""


class Done(TypedDict):
    """The result of a command."""

    already: bool
    """There was nothing to do"""
    detail: str
    """What was done, in words"""
    applied: Applied | None
    """Which Traefiks show it, as far as is known at once: ask for the service to follow it. `null` where no traffic was
    moved"""
    status: Service | None
    """The service after it"""
