"""The table of the admin API: every request, with what it takes and what it may answer."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel

from provider.api.bodies import BODIES, BODY_BYTES, DESIRED_BYTES, Body, DesiredBody, LeaseBody
from provider.api.tokens import EVERYTHING, LEASE, NEEDS, Scope
from provider.model import Verb
from provider.model.api_types import (
    Caller,
    Daemon,
    DesiredApplied,
    DesiredState,
    Done,
    Forgotten,
    History,
    Overview,
    Replicas,
    Service,
)
from provider.model.problems import ProblemCode as Code

HISTORY_MOST = 10_000
"""Maximum number of decisions in one answer."""
SERVICE = "/api/v1/services/{name}"

_ANY = (Code.TOKEN_WANTED, Code.CROSS_SITE, Code.INTERNAL_ERROR, Code.NO_LEADER)
_COMMAND = (
    *(Code.BAD_REQUEST, Code.SCOPE, Code.UNKNOWN_SERVICE, Code.JSON_WANTED),
    *(Code.NO_ANSWER, Code.OUTCOME_UNKNOWN, Code.STORE_FAILING, Code.STORE_UNKNOWN),
)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a query; `type` is one of JSON Schema's, with its bounds."""

    name: str
    description: str
    type: Mapping[str, object]


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """One request that the admin API answers.

    `answer` is the type of what it answers with 200 (None: that of another media type), and with 202 where it `begins`
    something that goes on. `own` are the codes of its problems, beside those that any request may come to. A GET that
    `is_secret` needs a scope, too.
    """

    method: str
    path: str
    summary: str
    answer: type | None
    body: type[BaseModel] | None = None
    query: tuple[Parameter, ...] = ()
    own: tuple[Code, ...] = ()
    begins: bool = False
    most_bytes: int = BODY_BYTES
    is_secret: bool = False
    media_type: str = "application/json"

    @property
    def problems(self) -> tuple[Code, ...]:
        """The codes of all its problems."""
        return (*_ANY, *self.own)

    @property
    def scopes(self) -> frozenset[Scope]:
        """The scopes of which one is needed; empty where any will do."""
        reads = self.method == "GET" and not self.is_secret
        return frozenset() if reads else NEEDS.get(self.path.rpartition("/")[2], EVERYTHING)


_SUMMARIES: Mapping[Verb, str] = {
    Verb.SWITCH: "Make the standby release of a colour active, through its gates.",
    Verb.APPROVE: "Approve the release of the rollout under way.",
    Verb.PROMOTE: "End the time of a step, or of all steps.",
    Verb.ABORT: "End the rollout under way; after its switch, roll back.",
    Verb.ROLLBACK: "Roll back: one switch, without gates.",
    Verb.RETRY: "Try the standby release that failed again.",
    Verb.PAUSE: "Stop forward rollouts.",
    Verb.RESUME: "Resume forward rollouts.",
    Verb.FORGET: "Let go of a service that only containers named, once none is left.",
}
_REFUSALS: Mapping[Verb, tuple[Code, ...]] = {
    Verb.SWITCH: (
        Code.REASON_WANTED,
        Code.HELD,
        Code.NO_RELEASE,
        Code.NOT_READY,
        Code.STALE,
    ),
    Verb.APPROVE: (Code.NO_ROLLOUT, Code.STALE),
    Verb.PROMOTE: (Code.REASON_WANTED, Code.NO_ROLLOUT, Code.STALE),
    Verb.ABORT: (Code.NOT_READY,),
    Verb.ROLLBACK: (Code.REASON_WANTED, Code.NOT_READY),
    Verb.RETRY: (Code.BUSY,),
    Verb.PAUSE: (),
    Verb.RESUME: (),
    Verb.FORGET: (Code.NOT_READY,),
}
COMMANDS: Mapping[Verb, Route] = {
    verb: Route(
        method="POST",
        path=f"{SERVICE}/{verb}",
        summary=_SUMMARIES[verb],
        answer=Done,
        body=BODIES[verb],
        own=(*_COMMAND, *_REFUSALS[verb]),
        begins=verb in {Verb.SWITCH, Verb.APPROVE, Verb.PROMOTE, Verb.RETRY},
    )
    for verb in Verb
}
CALLER = Route("GET", "/api/v1/caller", "Show who asks, and what it may do.", Caller)
DAEMON = Route("GET", "/api/v1/daemon", "Show how the daemon was started, and where.", Daemon, own=(Code.NO_ANSWER,))
SERVICES = Route("GET", "/api/v1/services", "Show the status of all services.", Overview)
ONE_SERVICE = Route("GET", SERVICE, "Show the status of one service.", Service, own=(Code.UNKNOWN_SERVICE,))
TAKE_LEASE = Route(
    method="POST",
    path=f"{SERVICE}/{LEASE}",
    summary="Take the lease of a deployment, or renew it.",
    answer=Done,
    body=LeaseBody,
    own=(*_COMMAND, Code.REASON_WANTED, Code.BUSY, Code.LEASED, Code.NOT_READY),
)
GIVE_LEASE_BACK = Route(
    method="DELETE",
    path=f"{SERVICE}/{LEASE}",
    summary="Give the lease back; that of another only with the scope `operate`.",
    answer=Done,
    body=Body,
    query=(
        Parameter(
            "id",
            "The lease to give back; without it, which requires the scope `operate`, whichever there is",
            {"type": "string"},
        ),
    ),
    own=_COMMAND,
)
HISTORY = Route(
    method="GET",
    path="/api/v1/history",
    summary="Show decisions, newest first.",
    answer=History,
    query=(
        Parameter("service", "Only those on this service", {"type": "string"}),
        Parameter("since", "Only those from then on", {"type": "string", "format": "date-time"}),
        Parameter("limit", "Maximum number of entries", {"type": "integer", "minimum": 1, "maximum": HISTORY_MOST}),
    ),
    own=(Code.BAD_REQUEST, Code.NO_ANSWER, Code.STORE_FAILING),
)
EVENTS = Route(
    method="GET",
    path="/api/v1/events",
    summary="Follow decisions (Decision) and changes of services (Changed), as server-sent events.",
    answer=None,
    own=(Code.TOO_MANY_STREAMS,),
    media_type="text/event-stream",
)
REPLICAS = Route("GET", "/api/v1/replicas", "Show the replicas, and which of them leads.", Replicas)
FORGET_REPLICA = Route(
    method="POST",
    path="/api/v1/replicas/{name}/forget",
    summary="Forget a replica that is gone for good, and the Traefiks that polled it.",
    answer=Forgotten,
    body=Body,
    own=(
        *(Code.BAD_REQUEST, Code.SCOPE, Code.JSON_WANTED, Code.UNKNOWN_REPLICA, Code.REPLICA_LIVES),
        *(Code.OUTCOME_UNKNOWN, Code.STORE_FAILING),
    ),
)
SHOW_DESIRED = Route(
    method="GET",
    path="/api/v1/desired",
    summary="Show the desired state in force.",
    answer=DesiredState,
    own=(Code.SCOPE,),
    is_secret=True,
)
APPLY = Route(
    method="PUT",
    path="/api/v1/desired",
    summary="Put another desired state in force, in the store of several replicas.",
    answer=DesiredApplied,
    body=DesiredBody,
    own=(
        *(Code.BAD_REQUEST, Code.INVALID_DESIRED_STATE, Code.SCOPE, Code.JSON_WANTED),
        *(Code.DESIRED_CHANGED, Code.FOLLOWS_FILE, Code.NO_ANSWER, Code.OUTCOME_UNKNOWN),
        *(Code.STORE_FAILING, Code.STORE_UNKNOWN),
    ),
    most_bytes=DESIRED_BYTES,
)
OPENAPI = Route("GET", "/api/v1/openapi.json", "This description.", None)
ROUTES = (
    *(CALLER, DAEMON, SERVICES, ONE_SERVICE, TAKE_LEASE, GIVE_LEASE_BACK),
    *COMMANDS.values(),
    *(HISTORY, EVENTS, SHOW_DESIRED, APPLY, REPLICAS, FORGET_REPLICA, OPENAPI),
)
_BY_REQUEST: Mapping[tuple[str, str], Route] = {(route.method, route.path): route for route in ROUTES}


def most_bytes(method: str, path: str) -> int:
    """Return how large the body of a request may be; `path` is that of its route."""
    route = _BY_REQUEST.get((method, path))
    return route.most_bytes if route is not None else BODY_BYTES
