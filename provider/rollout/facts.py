"""The facts of one service at one moment: the status, the scrape, `explain` and notices read them here."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from provider.model import (
    Candidate,
    Colour,
    ColourState,
    Condition,
    Gate,
    GateState,
    GroupState,
    Health,
    Instant,
    Lease,
    Member,
    Phase,
    Quarantine,
    Rollout,
    Server,
    ServerHealth,
    ServerKey,
    Snapshot,
)
from provider.rollout import (
    analysing,
    candidates,
    confirming,
    health,
    leases,
    rollback_target,
    stepping,
    watching,
    weights,
)
from provider.rollout.conditions import overridden, service_conditions, undecided
from provider.rollout.gates import Verdict


@dataclass(frozen=True)
class ServiceFacts:
    """What is true of one service at one moment; each fact is worked out once, when somebody first asks for it.

    So a scrape of 10,000 services pays only for what it shows; that is why there are no slots. `known_health` is the
    health of each server as it was last logged, with its date, and `since_utc` when the daemon first saw the service.
    """

    snapshot: Snapshot
    member: Member
    now: Instant
    known_health: Mapping[ServerKey, ServerHealth]
    since_utc: datetime

    @property
    def name(self) -> str:
        """The name of the service."""
        return self.member.service.name

    @property
    def group(self) -> GroupState:
        """What was decided about its group."""
        return self.snapshot.state

    @property
    def active(self) -> Colour | None:
        """The colour that serves traffic; None while that is undecided."""
        return self.member.state.active

    @property
    def weights(self) -> Mapping[Colour, int]:
        """The share of the traffic of each colour that has any."""
        return dict(weights.weights(self.member, self.rollout))

    # --- its rollout ------------------------------------------------------------------------------------------------

    @cached_property
    def candidate(self) -> Candidate | None:
        """Its candidate in the rollout under way; None where that moves only other members of the group, or none is."""
        return candidates.candidate_of(self.snapshot, self.name)

    @property
    def rollout(self) -> Rollout | None:
        """The rollout under way that moves it."""
        return self.group.rollout if self.candidate is not None else None

    @property
    def phase(self) -> Phase:
        """The phase of its own candidate; a member that moves nothing is steady."""
        return self.rollout.phase if self.rollout is not None else Phase.STEADY

    @property
    def desired(self) -> Colour | None:
        """The colour that should be active: the one that the file names, else the candidate's, else the active one."""
        return self.member.service.active.colour or (self.candidate.colour if self.candidate else self.active)

    @cached_property
    def wanted(self) -> Candidate | None:
        """The standby release that it is to move to, also one that failed."""
        return next((one for one in candidates.candidates(self.snapshot) if one.service == self.name), None)

    @cached_property
    def quarantine(self) -> Quarantine | None:
        """The failed set that keeps the wanted release from being tried."""
        if not self.group.quarantined or self.group.rollout is not None or self.wanted is None:
            return None
        return candidates.quarantine(self.snapshot)

    @cached_property
    def gates(self) -> Mapping[Gate, Verdict]:
        """What each gate says of the candidate; after the switch what it said then, for now the watch decides."""
        if self.candidate is None or self.rollout is None:
            return {}
        found = candidates.gates_of(self.snapshot, self.candidate, self.now)
        if not self.rollout.is_switched:
            return found
        passed = Verdict(GateState.PASSED)
        return {gate: now if now.state is GateState.SKIPPED else passed for gate, now in found.items()}

    @property
    def left_s(self) -> float | None:
        """How long its phase may still take, less than 0 where it has taken too long; None while it may take any."""
        if self.rollout is None or self.rollout.deadline_mono_s is None:
            return None
        if self.rollout.phase is Phase.SHIFTING and not stepping.may_expire(self.snapshot, self.now):
            return None
        return self.rollout.deadline_mono_s - self.rollout.clock_mono_s(self.now)

    @property
    def deadline_utc(self) -> datetime | None:
        """When its phase times out, by the wall clock; None while it does not, or its clock stands still."""
        if self.rollout is None or self.left_s is None or self.rollout.still_mono_s is not None:
            return None
        return self.now.utc + timedelta(seconds=self.left_s)

    @property
    def step_until_utc(self) -> datetime | None:
        """When the time of the step is over, by the wall clock; None while that is not known or its clock stands."""
        end_mono_s = stepping.ends_mono_s(self.rollout) if self.rollout is not None else None
        if self.rollout is None or end_mono_s is None or self.rollout.still_mono_s is not None:
            return None
        return self.now.utc + timedelta(seconds=end_mono_s - self.now.mono_s)

    @property
    def is_held(self) -> bool:
        """Whether a `hold` or a `pause` stops forward rollouts."""
        return candidates.is_held(self.snapshot)

    @cached_property
    def blocking(self) -> str | None:
        """What keeps the service from the release that is wanted, and how to go on; None when nothing does."""
        if self.active is None:
            return undecided(self.member).message
        if self.rollout is not None:
            return self._awaited_after_switch(self.rollout) if self.rollout.is_switched else self._awaited(self.rollout)
        if self.wanted is None:
            override = overridden(self.member)
            return override.message if override else None
        release = f"release {self.wanted.release}" if self.wanted.release else "a release"
        wanted, under_way = f"{release} in {self.wanted.colour}", self.group.rollout
        if under_way is not None:
            return f"{wanted} waits for the end of rollout {under_way.id}, which is in phase {under_way.phase}"
        held = candidates.held_by(self.snapshot)
        if held:
            return f"{wanted} waits: {held}"
        if self.quarantine is not None:
            failed, why = self.quarantine, f" ({self.quarantine.reason})" if self.quarantine.reason else ""
            return (
                f"{wanted} is quarantined: rollout {failed.rollout} ended as {failed.outcome}{why}; start a new "
                f"release in {self.wanted.colour}, or try it again: bluegreen retry {self.name}"
            )
        return None

    def _awaited(self, under_way: Rollout) -> str | None:
        if under_way.step is not None:
            return stepping.waits_for(self.snapshot, self.now)
        reason = candidates.holding_up(self.snapshot, self.now)
        is_still = reason is not None and under_way.still_mono_s is not None
        who = f"engine {' and '.join(self.snapshot.engines_away)}" if self.snapshot.engines_away else "Docker"
        return f"{reason}; its deadline does not run until {who} answers" if is_still else reason

    def _awaited_after_switch(self, under_way: Rollout) -> str:
        failing = watching.failing(self.member, self.active, under_way.deaths_before)
        if failing is not None:
            kept = "the rollback target has yet to pass its checks"
            if self.rollback_reason is not None:
                kept = f"it stays, as no rollback is ready: {self.rollback_reason}"
            elif under_way.forced is not None:
                kept = f"it was forced, so it stays until somebody says: bluegreen rollback {self.name}"
            return f"{failing.reason}; {kept}"
        worse = next((why for one, why in analysing.failing_in_watch(self.snapshot) if one is self.member), None)
        if worse is not None:
            return f"{worse}; {self.rollback_reason or 'the rollback target has yet to pass its checks'}"
        if under_way.phase is Phase.CONFIRMING:
            return f"not confirmed yet: {self.unconfirmed or 'another service of the group is not'}"
        running = self.member.observed[self.active or Colour.BLUE].release
        return f"release {running} is watched for {max(0.0, self.left_s or 0.0):.0f} s more"

    # --- its rollback target ----------------------------------------------------------------------------------------

    @cached_property
    def rollback_reason(self) -> str | None:
        """Why no rollback is possible now; None when one is (rule 9)."""
        return rollback_target.not_ready(self.member, self.group)

    @property
    def is_rollback_forceable(self) -> bool:
        """Whether a rollback is possible now with `force`, which waives health."""
        return rollback_target.not_ready(self.member, self.group, waive_health=True) is None

    @cached_property
    def rollback_command(self) -> str | None:
        """The command that gives traffic to the other colour now; None where none should."""
        return rollback_target.command_now(self.member, self.group)

    @property
    def made_room(self) -> bool:
        """Whether the rollback target is gone as in any release: stopped after its watch, or for the next release."""
        return rollback_target.made_room(self.member, self.group)

    @property
    def is_target_lost(self) -> bool:
        """Whether a rollback to the release before was found impossible, in another way than in any release."""
        target = self.member.state.rollback_target
        return target is not None and target.lost is not None and not self.made_room

    # --- what Traefik shows -----------------------------------------------------------------------------------------

    @cached_property
    def unconfirmed(self) -> str | None:
        """What is missing to know that every Traefik applied the weights; None when all did."""
        return confirming.unconfirmed(self.member, self.rollout)

    @cached_property
    def read_back(self) -> confirming.ReadBack:
        """Which of the Traefiks that are read back show what was decided."""
        return confirming.read_back(self.member, self.rollout)

    @property
    def read_back_detail(self) -> str:
        """The same in words, as far as is known now."""
        found = self.read_back
        whys = "; ".join(dict.fromkeys(one.reason for one in found.missing))
        if found.is_verified:
            return f"applied by {found.by} of {found.of} Traefiks"
        if not found.of:
            fetched = ", and every poller has fetched it" if self.unconfirmed is None else ""
            return f"not verified: the file names no Traefik to read back (traefik.api){fetched}"
        if found.by or found.is_not_applied:
            return f"applied by {found.by} of {found.of} Traefiks: {whys}"
        return f"not verified: {whys}"

    # --- its servers ------------------------------------------------------------------------------------------------

    def health(self, server: Server) -> health.Assessment:
        """Return the health of a server now, and why it is not healthy."""
        return health.assess(self.member, server)

    def colour_state(self, colour: Colour) -> ColourState:
        """Sum up the servers of a colour in one word."""
        return health.colour_state(self.member, colour)

    def versions(self, colour: Colour) -> tuple[str, ...]:
        """Return the versions that a colour runs, sorted."""
        servers = self.member.observed[colour].servers
        return tuple(sorted({server.version for server in servers if server.version}))

    @property
    def servers_by_health(self) -> Mapping[tuple[Colour, Health], int]:
        """How many servers each colour has in each health that was logged."""
        counted: dict[tuple[Colour, Health], int] = {}
        for colour, observed in self.member.observed.items():
            for server in observed.servers:
                found = self.known_health.get(server.key)
                place = (colour, found.health if found else Health.UNKNOWN)
                counted[place] = counted.get(place, 0) + 1
        return counted

    # --- what an operator should know -------------------------------------------------------------------------------

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """What an operator should know of this service."""
        return service_conditions(self.member, self.group, self.known_health, self.since_utc, self.now)

    @property
    def lease(self) -> Lease | None:
        """The lease that a deployment holds."""
        return leases.current(self.member, self.now)
