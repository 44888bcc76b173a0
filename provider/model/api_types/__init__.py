"""The answers of the admin API as types; the status JSON, the OpenAPI description and the clients' types are these.

The text below a class or a field is its description there. Every mapping by an enum has each member of it as a key.
A client reads the members of an enum as plain texts, which are equal to them: it compares with `==`, never with `is`.
"""

from provider.model.api_types.analysis import (
    AnalysisCount,
    AnalysisInterval,
    AnalysisQuery,
    AnalysisStatus,
    AnalysisTest,
)
from provider.model.api_types.daemon import Caller, Daemon, DockerSettings, File, Polls
from provider.model.api_types.desired import DesiredApplied, DesiredChange, DesiredState
from provider.model.api_types.history import Changed, Decision, History
from provider.model.api_types.overview import DockerStatus, Forgotten, Overview, Replica, Replicas
from provider.model.api_types.problem import Mistake, Problem
from provider.model.api_types.service import (
    Applied,
    Approval,
    ColourStatus,
    Condition,
    Done,
    GateStatus,
    Lease,
    Missing,
    Override,
    Poller,
    Quarantined,
    Release,
    Rollback,
    Rollout,
    Server,
    Service,
    SmokeStatus,
    StepStatus,
)
from provider.model.api_types.times import Time

__all__ = [
    "ACTOR_HEADER",
    "AnalysisCount",
    "AnalysisInterval",
    "AnalysisQuery",
    "AnalysisStatus",
    "AnalysisTest",
    "Applied",
    "Approval",
    "Caller",
    "Changed",
    "ColourStatus",
    "Condition",
    "Daemon",
    "Decision",
    "DesiredApplied",
    "DesiredChange",
    "DesiredState",
    "DockerSettings",
    "DockerStatus",
    "Done",
    "File",
    "Forgotten",
    "GateStatus",
    "History",
    "Lease",
    "Missing",
    "Mistake",
    "Override",
    "Overview",
    "Poller",
    "Polls",
    "Problem",
    "Quarantined",
    "Release",
    "Replica",
    "Replicas",
    "Rollback",
    "Rollout",
    "Server",
    "Service",
    "SmokeStatus",
    "StepStatus",
    "Time",
]

ACTOR_HEADER = "X-Bluegreen-Actor"
"""Who asks, in words of their own, where there are no tokens."""
