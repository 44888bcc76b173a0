"""The gates of a rollout, a file each: what a release must show before it may take (more) traffic.

A gate is a pure verdict over evidence that an edge gathered, bound to the release and to the definition of the gate
(P1). No evidence is neither a pass nor a failure (P2). `TABLE` has a line for each gate; a new one is a new file and a
line here. `phases` are those that the rollout leaves only when the gate lets every candidate through.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from provider.model import Gate, Phase
from provider.rollout.gates import analysis, approval, health, smoke
from provider.rollout.gates.asked import Asked, Verdict, is_rollback_target

__all__ = ["BEFORE_NEXT", "OF_PHASE", "TABLE", "Asked", "Verdict", "is_rollback_target", "verdicts"]


@dataclass(frozen=True, slots=True)
class Row:
    """How a gate judges, and which phases it guards."""

    verdict: Callable[[Asked], Verdict]
    phases: frozenset[Phase]


TABLE: Mapping[Gate, Row] = MappingProxyType(
    {
        Gate.HEALTH: Row(health.verdict, frozenset({Phase.WAITING, Phase.SHIFTING})),
        Gate.SMOKE: Row(smoke.verdict, frozenset({Phase.TESTING, Phase.APPROVAL, Phase.SHIFTING})),
        Gate.APPROVAL: Row(approval.verdict, frozenset({Phase.APPROVAL, Phase.SHIFTING})),
        Gate.ANALYSIS: Row(analysis.verdict, frozenset()),
    }
)

OF_PHASE: Mapping[Phase, tuple[Gate, ...]] = MappingProxyType(
    {phase: tuple(gate for gate, row in TABLE.items() if phase in row.phases) for phase in Phase}
)
"""The gates that must let every candidate through before the rollout leaves a phase for the next one."""

BEFORE_NEXT: tuple[Gate, ...] = (*(gate for gate in OF_PHASE[Phase.SHIFTING] if gate is not Gate.HEALTH), Gate.ANALYSIS)
"""The gates that a step passes; the health gate is asked right before what follows it."""


def verdicts(asked: Asked, gates: Collection[Gate] = tuple(Gate)) -> dict[Gate, Verdict]:
    """Return what these gates say of a candidate at this moment."""
    return {gate: TABLE[gate].verdict(asked) for gate in gates}
