"""A second reading of rules 19 to 21: what each step must have had behind it, and what the document says meanwhile."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Protocol

import orjson

from provider.model import (
    Affinity,
    Canary,
    Candidate,
    Colour,
    Deadlines,
    Rollout,
    Server,
    Service,
    Snapshot,
    Step,
)
from tests.support.worlds import World

EARLY_S = 1e-3


@dataclass(slots=True)
class StepClock:
    """The step that a rollout is in, and how long it has run: time that stood still is left out (rule 19d)."""

    rollout: str
    number: int
    step: Step
    looked_mono_s: float
    ran_s: float = 0.0
    shown_s: float | None = None
    passed_mono_s: float | None = None
    stands: bool = False
    has_restarted: bool = False
    limit_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of a weighted service in the document, resolved to the colour that it leads to."""

    name: str
    weight: int
    colour: Colour


class Shares:
    """What one document says of one service, read from its bytes."""

    def __init__(self, services: Mapping[str, Mapping[str, object]], written: Service) -> None:
        self.body = services[written.name]
        self.colours = {written.in_traefik(colour): colour for colour in Colour}
        self.services = services
        spread = self.body.get("weighted") or self.body.get("highestRandomWeight")
        assert isinstance(spread, dict)
        self.spread = spread
        self.entries = [Entry(one["name"], one["weight"], self._colour(one["name"])) for one in spread["services"]]

    def _colour(self, name: str) -> Colour:
        """Follow an alias, a weighted service of one, to the servers of a colour."""
        if name in self.colours:
            return self.colours[name]
        weighted = self.services[name]["weighted"]
        assert isinstance(weighted, dict)
        (only,) = weighted["services"]
        return self.colours[only["name"]]

    @property
    def by_colour(self) -> dict[Colour, int]:
        found: dict[Colour, int] = {}
        for one in self.entries:
            found[one.colour] = found.get(one.colour, 0) + one.weight
        return found

    def urls(self, colour: Colour) -> set[str]:
        """Return the servers of a colour."""
        name = next(name for name, each in self.colours.items() if each is colour)
        balancer = self.services[name]["loadBalancer"]
        assert isinstance(balancer, dict)
        return {server["url"] for server in balancer["servers"]}

    @property
    def cookie(self) -> str | None:
        sticky = self.spread.get("sticky")
        return sticky["cookie"]["name"] if sticky else None


class Oracle(Protocol):
    """What the witness of everything else knows, as far as steps need it."""

    def active(self, name: str) -> Colour | None:
        """Return the colour that is committed as active."""

    def is_proven(self, written: Service, server: Server) -> bool:
        """Tell whether a server is known to be healthy."""

    def is_unhealthy(self, written: Service, server: Server) -> bool:
        """Tell whether a server is known to be unhealthy."""

    def is_way(self, one: Candidate) -> bool:
        """Tell whether a candidate is exactly what was active before."""


class StepWitness:
    """Holds every step against the rules; what it knows of the past, it has seen itself."""

    def __init__(self, world: World, oracle: "Oracle") -> None:
        self.world, self.oracle = world, oracle
        self.canaries: dict[str, Canary | None] = {}
        self.candidates: dict[str, tuple[Candidate, ...]] = {}
        self.clocks: dict[str, StepClock] = {}
        self.approved: set[tuple[str, str, int]] = set()
        self.promoted: set[tuple[str, str, int]] = set()
        self.promoted_all: set[tuple[str, str]] = set()
        self.forced: set[tuple[str, str, int]] = set()
        self.used_names: dict[str, set[str]] = {}
        self.entries: dict[tuple[str, str], list[Entry]] = {}
        self.begun = 0

    # --- what is seen -----------------------------------------------------------------------------------------------

    def began(self, key: str, under_way: Rollout) -> None:
        """Rule 19a: a rollout has the steps that the file says when it begins; the way back and force have none."""
        moving = [self.world.services[one.service] for one in under_way.candidates]
        written = next((each.canary for each in moving if each.canary is not None), None)
        if under_way.forced or all(self.oracle.is_way(one) for one in under_way.candidates):
            written = None
        assert under_way.canary == written
        assert under_way.step is None
        self.canaries[key], self.candidates[key] = written, under_way.candidates

    def ended(self, key: str) -> None:
        """Forget the step: what ended, and what was switched, has none."""
        self.clocks.pop(key, None)
        self.canaries.pop(key, None)

    def restarted(self, key: str, under_way: Rollout) -> None:
        """Rules 19 and 19d: the weights stay, no step is skipped, its clock begins again."""
        clock = self.clocks.get(key)
        assert (under_way.step is None) is (clock is None)
        if clock is None or under_way.step is None:
            return
        assert (under_way.step.number, under_way.id) == (clock.number, clock.rollout)
        clock.ran_s, clock.shown_s, clock.looked_mono_s = 0.0, None, self.world.mono_s
        clock.stands, clock.has_restarted = False, True
        if clock.passed_mono_s is not None:
            clock.passed_mono_s = self.world.mono_s

    def replaced(self, key: str) -> None:
        """Rule 19c: the active colour replaced in place makes the time of the step begin anew."""
        clock = self.clocks.get(key)
        if clock is not None:
            clock.ran_s, clock.shown_s, clock.passed_mono_s = 0.0, None, None

    def look(self, key: str, snapshot: Snapshot) -> None:
        """Let the clock of a step run to now, if it ran since the last look."""
        clock = self.clocks.get(key)
        if clock is None:
            return
        if not clock.stands:
            clock.ran_s += self.world.mono_s - clock.looked_mono_s
        clock.looked_mono_s, clock.stands = self.world.mono_s, self.stands(key, snapshot)
        clock.limit_s = min(clock.limit_s, self.shortest(snapshot))

    # --- transitions ------------------------------------------------------------------------------------------------

    def step_begun(self, key: str, now_is: Rollout, snapshot: Snapshot) -> None:
        """Rule 19: one step after the other, each higher, after the one before was passed."""
        canary, before = self.canaries[key], self.clocks.get(key)
        assert canary is not None
        assert now_is.step is not None
        assert not now_is.forced
        number = before.number + 1 if before else 1
        assert now_is.step.number == number <= len(canary.steps)
        assert (now_is.step.shown_mono_s, now_is.step.passed_mono_s, now_is.step.approval) == (None, None, None)
        if before is None:
            assert not self.is_active_down(key), "without a choice there is one switch (rule 19b)"
        else:
            assert before.rollout == now_is.id
            assert before.passed_mono_s is not None
            assert canary.steps[number - 1].weight > before.step.weight
        self.begun += 1
        step = canary.steps[number - 1]
        self.clocks[key] = StepClock(now_is.id, number, step, self.world.mono_s, limit_s=self.shortest(snapshot))
        self.candidates[key] = now_is.candidates

    def step_shown(self, key: str, *, is_applied: bool, confirming_s: float) -> None:
        """Rule 19: the clock of a step starts when Traefik shows it, or at the confirming deadline."""
        clock = self.clocks[key]
        assert is_applied or clock.ran_s >= confirming_s - EARLY_S
        clock.shown_s = clock.ran_s

    def step_passed(self, key: str, now_is: Rollout, snapshot: Snapshot) -> None:
        """Rules 19 and 20: shown, its time over or ended by somebody, and approved where that is asked for."""
        clock = self.clocks[key]
        assert clock.passed_mono_s is None
        assert clock.shown_s is not None
        place = (key, now_is.id, clock.number)
        is_promoted = place in self.promoted or (key, now_is.id) in self.promoted_all
        assert is_promoted or clock.ran_s - clock.shown_s >= clock.step.for_s - EARLY_S
        assert not self.stands(key, snapshot)
        if clock.step.approval_is_manual and not self.is_forced(key, now_is):
            assert place in self.approved
        clock.passed_mono_s = self.world.mono_s

    def finished(self, key: str, was: Rollout) -> None:
        """Rule 19: 100 follows the last step, once that was passed."""
        canary, clock = self.canaries.get(key), self.clocks.get(key)
        if canary is None or was.forced:
            return
        if clock is None:
            assert self.is_active_down(key)
            return
        assert clock.number == len(canary.steps)
        assert clock.passed_mono_s is not None

    def expired(self, key: str) -> None:
        """Rule 19d: what follows a step has its whole time from the end of its own, clocks that stood left out."""
        clock = self.clocks[key]
        assert not clock.stands
        assert self.are_active_able(key), "nothing automatic sends traffic to a colour without healthy servers (19c)"
        if not clock.has_restarted:  # an approval keeps its date
            assert clock.ran_s >= clock.limit_s - EARLY_S

    # --- what holds -------------------------------------------------------------------------------------------------

    def share(self, key: str) -> int:
        """Return the candidate's share as it is decided: that of the step that is on."""
        clock = self.clocks.get(key)
        return clock.step.weight if clock else 0

    def candidate(self, key: str, name: str) -> Candidate | None:
        """Return the candidate of a service that has a share."""
        moving = self.candidates.get(key, ()) if key in self.clocks else ()
        return next((one for one in moving if one.service == name), None)

    def is_forced(self, key: str, under_way: Rollout) -> bool:
        """Tell whether somebody waived the gates of the step that is on."""
        clock = self.clocks.get(key)
        return bool(under_way.forced) or (clock is not None and (key, under_way.id, clock.number) in self.forced)

    def are_active_able(self, key: str) -> bool:
        """Tell whether the active colour of each service that moves has a healthy server."""
        return all(self.able(one.service, one.colour.other) for one in self.candidates.get(key, ()))

    def is_active_down(self, key: str) -> bool:
        """Tell whether all servers of an active colour are known to be unhealthy, or there are none."""
        return any(
            all(
                self.oracle.is_unhealthy(self.world.services[one.service], server)
                for server in self.world.servers(one.service, one.colour.other)
                if server.leaving_mono_s is None
            )
            for one in self.candidates[key]
        )

    def able(self, name: str, colour: Colour) -> list[Server]:
        """Return the healthy servers of a colour."""
        written = self.world.services.get(name)
        servers = [one for one in self.world.servers(name, colour) if one.leaving_mono_s is None]
        return [one for one in servers if written is not None and self.oracle.is_proven(written, one)]

    def stands(self, key: str, snapshot: Snapshot) -> bool:
        """Rules 19c and 19d: hold, pause, an engine that is away, and trouble on both sides stop the clock."""
        if key not in self.clocks or not snapshot.members:
            return False
        under_way, there = snapshot.state.rollout, {one.service.name for one in snapshot.members}
        held = snapshot.state.paused is not None or any(one.service.hold for one in snapshot.members)
        if held and not (under_way is not None and under_way.forced):
            return True
        moving = [one for one in self.candidates[key] if one.service in there]
        in_docker = any(self.world.seen[one.service, one.colour].from_docker for one in moving)
        if in_docker and not self.world.docker_connected:
            return True
        return any(
            not self.able(one.service, Colour.BLUE) and not self.able(one.service, Colour.GREEN) for one in moving
        )

    def shortest(self, snapshot: Snapshot) -> float:
        """Return how long a step has at least until it expires."""
        deadlines = [one.service.deadlines for one in snapshot.members] or [Deadlines()]
        return min(max(each.step_s for each in deadlines), max(each.approval_s for each in deadlines))

    # --- the document -----------------------------------------------------------------------------------------------

    def check_document(self, body: bytes, groups: Mapping[str, str]) -> None:
        """Rules 19, 19a, 19b and 21, P3: in every document, read from its bytes."""
        services = orjson.loads(body).get("http", {}).get("services", {})
        shares: dict[str, set[int]] = {}
        for name, written in self.world.services.items():
            active = self.oracle.active(name)
            if name not in services or active is None:
                continue
            found, key = Shares(services, written), groups[name]
            one = self.candidate(key, name)
            share = self.share(key) if one else 0
            self._weights(found, written, active, one, share)
            self._names(found, written, key, one)
            if one is not None and len(found.by_colour) == len(Colour):
                shares.setdefault(key, set()).add(found.by_colour[one.colour])
        assert all(len(each) == 1 for each in shares.values()), "a group steps together (P3, rule 19a)"

    def _weights(self, found: Shares, written: Service, active: Colour, one: Candidate | None, share: int) -> None:
        weights = found.by_colour
        assert sum(weights.values()) == 100
        assert all(entry.weight > 0 for entry in found.entries)
        if one is None or not share:
            assert weights == {active: 100}
            return
        assert one.colour is active.other
        if len(weights) == len(Colour):
            assert weights == {active: 100 - share, one.colour: share}
            right = {each.url for each in self.world.servers(written.name, one.colour) if each.release == one.release}
            assert found.urls(one.colour) <= right, "nothing but the rollout's own release has its traffic (rule 19b)"
            for colour in Colour:
                assert found.urls(colour) or not self.able(written.name, colour.other)
            return
        (there,) = weights
        if there is active:
            assert not [each for each in self.able(written.name, one.colour) if each.release == one.release]
            return
        assert not self.world.servers(written.name, active)
        assert self.able(written.name, there), "all of the traffic goes to healthy servers"

    def _names(self, found: Shares, written: Service, key: str, one: Candidate | None) -> None:
        used = self.used_names.setdefault(written.name, set())
        names = {entry.name for entry in found.entries}
        clock, canary = self.clocks.get(key), self.canaries.get(key)
        if one is not None and clock is not None and canary is not None:
            place, is_shared = (written.name, clock.rollout), len(found.by_colour) == len(Colour)
            before = self.entries.get(place)
            if written.sticky is not None:
                theirs = [entry.name for entry in found.entries if entry.colour is one.colour]
                if before is None and theirs:
                    assert not set(theirs) & used, "an alias was never used before (rule 21)"
                if theirs:
                    self.entries[place] = found.entries
                assert found.cookie == written.name
            elif canary.affinity is Affinity.COOKIE and is_shared:
                self._turned(before, found.entries, one, clock.step.weight)
                self.entries[place] = found.entries
            elif canary.affinity is Affinity.CLIENT and is_shared:
                assert "highestRandomWeight" in found.body
        used |= names

    def _turned(self, before: Iterable[Entry] | None, now_are: list[Entry], one: Candidate, share: int) -> None:
        """Rule 21: each step turns its own entry over, and none turns back."""
        theirs = [entry for entry in now_are if entry.colour is one.colour]
        assert theirs == now_are[: len(theirs)]
        assert sum(entry.weight for entry in theirs) == share
        if before is not None:
            assert [(entry.name, entry.weight) for entry in before] == [(each.name, each.weight) for each in now_are]
            assert all(
                now_was.colour is one.colour
                for was, now_was in zip(before, now_are, strict=True)
                if was.colour is one.colour
            )

    def needed(self, of_all: int, weight: int) -> int:
        """Rule 19b: how many servers a step needs at least."""
        return ceil(of_all * weight / 100)
