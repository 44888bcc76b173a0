"""Follows what a deployment has started: until the daemon sees it, until its rollout begins, until that is over."""

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from provider.cli.client.admin_api import Admin, CommandRefused
from provider.cli.client.decisions import NOT_LOGGED, RolloutFailed, describe, describe_end
from provider.cli.client.follow import FollowedService, Log, OnStatus
from provider.cli.client.read_back import step_number
from provider.cli.client.start import Start, StartError
from provider.cli.deploy.inspection import Inspector
from provider.cli.deploy.lease import Leases
from provider.cli.deploy.options import DeployOptions, DeployRefused
from provider.model import AFTER_SWITCH, Colour, ConditionCode
from provider.model import api_types as api

SEEN_WITHIN_S = 60.0
SEEN_WITHIN_AWAY_S = 600.0
"""The same while Docker does not answer the daemon."""
REQUESTED_AFTER_S = 5.0
BEGUN_WITHIN_S = 60.0


@dataclass(slots=True)
class _Release:
    """The release that is followed. `since_mono_s` is when it was seen, `idle_mono_s` since when nothing moves."""

    id: str
    is_new: bool
    since_mono_s: float = field(default_factory=time.monotonic)
    idle_mono_s: float = field(default_factory=time.monotonic)
    is_requested: bool = False
    rollout: str | None = None


class ReleaseFollower:
    """Follows what was started in one colour; `left` says what an interrupt leaves behind."""

    def __init__(
        self,
        admin: Admin,
        options: DeployOptions,
        start: Start,
        service: FollowedService,
        inspection: Inspector,
        leases: Leases,
        log: Log,
        on_status: OnStatus,
    ) -> None:
        self._admin, self._options, self._service = admin, options, service
        self._start, self._colour, self._name = start, start.colour, options.service
        self._inspection, self._leases = inspection, leases
        self._log, self._on_status = log, on_status
        self._unread: list[api.Decision] = []
        self.left = f"what was started in {self._colour} stays, and its rollout continues{self._next_steps()}"

    def follow(self, before: str | None) -> str:
        """Follow it to the end, and return the result in a sentence; `before` is the release the colour ran until now.

        Raises:
            DeployRefused: no rollout of it begins.
            StartError: the daemon sees no server of it.
            RolloutFailed: its rollout was aborted, rolled back, expired or superseded.
            TimedOut: the time limit passed; the rollout continues.
        """
        release = self._wait_until_seen(before)
        return self._follow(_Release(release, is_new=release != before))

    # --- until the daemon sees it -----------------------------------------------------------------------------------

    def _wait_until_seen(self, before: str | None) -> str:
        """Return the release that was started, once the daemon sees it in the colour, and nothing else there."""
        ours, begun_mono_s, logged = self._inspection.containers(self._colour), time.monotonic(), ""
        while True:
            status = self._service.status()
            self._leases.keep_if_possible(status)
            found = status["colours"][self._colour]
            there = _containers(status, self._colour)
            if found["release"] is not None and there and there <= ours:
                version = f" ({found['version']})" if found["version"] else ""
                self._log(f"{self._name}: release {found['release']}{version} runs in {self._colour}")
                return found["release"]
            if not there and logged and (begun := self._begun(before)):
                self._log(f"{self._name}: release {begun} was seen in {self._colour}, but does not run now")
                return begun
            missing = _not_seen(status, self._start, there - ours)
            self._on_status(status)
            if missing != logged and (logged or there - ours):  # at the first check, it may not be seen yet
                self._log(f"{self._name}: {missing}")
            logged = missing
            limit_s = SEEN_WITHIN_AWAY_S if _is_docker_away(status) else SEEN_WITHIN_S
            if time.monotonic() - begun_mono_s >= limit_s:
                if not there:
                    raise never_seen(status, self._start, limit_s)
                raise DeployRefused(f"{self._name}: given up after {limit_s:g} s, nothing was switched: {missing}")
            self._service.pause(status, missing)

    def _begun(self, before: str | None) -> str | None:
        """Return the new release in the history: one that crashes at once may be gone when we check."""
        self._unread += self._service.new_decisions()
        new = [row for row in self._unread if (row["event"], row["colour"]) == ("begun", self._colour)]
        return next((str(row["release"]) for row in reversed(new) if row["release"] not in {None, before}), None)

    # --- until its rollout is over ----------------------------------------------------------------------------------

    def _follow(self, release: _Release) -> str:
        """Follow the rollout of exactly this release; request it if it does not begin by itself.

        If several Compose services form one release, the last of them that starts makes another release of it.
        """
        while True:
            rows = [*self._unread, *self._service.new_decisions()]
            self._unread = []
            ends = self._log_decisions(rows, release)
            status = self._service.status()
            under_way = status["rollout"]
            if under_way is not None and (under_way["candidate"], under_way["release"]) == (self._colour, release.id):
                release.rollout = under_way["id"]
            if release.rollout is not None:
                self.left = f"rollout {release.rollout} continues{self._next_steps()}"
            end = ends.get(release.rollout or "")
            if end is not None and (grown := self._grown(end, status)) is not None:
                self._log(f"{self._name}: release {grown} runs in {self._colour} now, with every container of it")
                self._unread, release = rows, _Release(grown, is_new=True)
                continue
            if end is not None:
                return self._result(end, status)
            self._on_status(status)
            if release.rollout is None:
                self._expect_begin(status, release)
            if step_number(status) is not None:
                self._leases.first_step()  # rule 20: it ended with the first step
            if status["phase"] not in AFTER_SWITCH:
                self._leases.keep_if_possible(status)
            self._service.pause(status)

    def _log_decisions(self, rows: Sequence[api.Decision], release: _Release) -> dict[str, api.Decision]:
        """Log the decisions about the release; return those that ended a rollout of it."""
        ends = {}
        for row in rows:
            if row["rollout"] and (row["colour"], row["release"]) == (self._colour, release.id):
                release.rollout = row["rollout"]
                if row["event"] not in NOT_LOGGED:
                    self._log(describe(row))
                if row["outcome"] is not None:
                    ends[row["rollout"]] = row
        return ends

    def _grown(self, end: api.Decision, status: api.Service) -> str | None:
        """Return the release that superseded ours, if we started every container of it."""
        found = status["colours"][self._colour]
        if end["outcome"] != "superseded" or found["release"] in {None, end["release"]}:
            return None
        is_ours = _containers(status, self._colour) <= self._inspection.containers(self._colour)
        return found["release"] if is_ours else None

    def _result(self, end: api.Decision, status: api.Service) -> str:
        if end["outcome"] != "switched":
            raise RolloutFailed(describe_end(end), f"{end['outcome']}")
        other = self._colour.other
        confirm = "" if status["confirmed"] else f"; no Traefik confirmed it, check: bluegreen status {self._name}"
        return (
            f"{self._name}: release {end['release']} is active in {self._colour}, and its watch is over; "
            f"{other} is the rollback target while it runs, and may be stopped{confirm}"
        )

    # --- until its rollout begins -----------------------------------------------------------------------------------

    def _expect_begin(self, status: api.Service, release: _Release) -> None:
        """Request the rollout if it does not begin by itself. Raises DeployRefused if that takes too long.

        A rollout of its group has deadlines of its own, so the time while one is under way does not count.
        """
        if not release.is_requested and self._request(status, release):
            release.is_requested, release.idle_mono_s = True, time.monotonic()
        if self._service.retry(self._inspection.others_move):
            release.idle_mono_s = time.monotonic()
        if time.monotonic() - release.idle_mono_s >= BEGUN_WITHIN_S:
            raise DeployRefused(_not_begun(status, self._colour, release.id))

    def _request(self, status: api.Service, release: _Release) -> bool:
        """Request a rollout that does not begin by itself: the release failed before, or has been active already."""
        colour, override = self._colour, status["override"]
        same = (one for one in status["quarantined"] if (one["colour"], one["release"]) == (colour, release.id))
        failed = next(same, None)
        is_rejected = override is not None and release.id in (override["rejected"] or "").split(", ")
        if failed is None and not is_rejected:
            is_early = release.is_new and time.monotonic() - release.since_mono_s < REQUESTED_AFTER_S
            if status["blocking"] is not None or is_early:
                return False
        if failed is not None:
            why = f"failed before ({failed['outcome']} in rollout {failed['rollout']})"
        else:
            why = "was rejected before" if is_rejected else "is not new in this colour"
        switch = shlex.join(["bluegreen", "switch", self._name, colour, "--release", release.id])
        self._log(f"{self._name}: release {release.id} {why}, requesting its rollout: {switch}")
        reason = self._options.reason or f"deployed again, though it {why}"
        body = {"colour": colour, "release": release.id, "reason": reason}
        try:
            self._service.retry(lambda: self._admin.command(self._name, "switch", body))
        except CommandRefused as refusal:
            if refusal.status in {403, 409}:
                raise DeployRefused(f"{self._name}: {refusal}") from None
            raise
        return True

    def _next_steps(self) -> str:
        follow, abort = (shlex.join(["bluegreen", verb, self._name]) for verb in ("wait", "abort"))
        return f"; to follow it: {follow}; to abort it: {abort}"


def never_seen(status: api.Service, start: Start, limit_s: float) -> StartError:
    """Return the error for what was started and the daemon has not seen as a server in time."""
    codes = {ConditionCode.CONTAINERS, ConditionCode.NOT_IN_FILE, ConditionCode.DOCKER_AWAY}
    messages = "".join(f" {one['message']}." for one in status["conditions"] if one["code"] in codes)
    return start.unseen(status["service"], limit_s, messages)


def _containers(status: api.Service, colour: Colour) -> set[str | None]:
    """Return the containers that stay in a colour."""
    return {server["container"] for server in status["colours"][colour]["servers"] if not server["leaving"]}


def _is_docker_away(status: api.Service) -> bool:
    return any(one["code"] == ConditionCode.DOCKER_AWAY for one in status["conditions"])


def _not_seen(status: api.Service, start: Start, foreign: set[str | None]) -> str:
    """Return why what was started is not yet the only release in its colour."""
    colour = start.colour
    if foreign:
        names = ", ".join(sorted(map(str, foreign)))
        return f"{colour} also has containers that are not of {start.name}, remove them: {names}"
    staying = [server for server in status["colours"][colour]["servers"] if not server["leaving"]]
    if staying:
        releases = ", ".join(sorted(f"{server['release']} in {server['container']}" for server in staying))
        return f"{colour} is mixed, it must run a single release: {releases}"
    if _is_docker_away(status):
        return "Docker does not answer the daemon, so the daemon does not see what was started"
    return f"no container of {start.name} is a running server of {status['service']} in {colour} yet"


def _not_begun(status: api.Service, colour: Colour, release: str) -> str:
    """Return why no rollout of what was started has begun."""
    name, found = status["service"], status["colours"][colour]
    if status["active"] == colour:
        why = f"{colour} is active, with release {found['release']}"
    elif found["release"] != release:
        why = f"{colour} runs release {found['release']} now" if found["release"] else f"{colour} is {found['state']}"
    elif status["blocking"]:
        why = status["blocking"]
    elif str(status["desired"]) == status["active"]:
        why = f"the desired-state file says active: {status['desired']}"
    elif status["paused"]:
        why = f"rollouts are paused; to continue: {shlex.join(['bluegreen', 'resume', name])}"
    else:
        messages = "; ".join(one["message"] for one in status["conditions"])
        why = messages or "the daemon does not want it, and gives no reason"
    return (
        f"{name}: release {release} was started in {colour}, but no rollout of it has begun in {BEGUN_WITHIN_S:g} s: "
        f"{why}. What was started stays; see: {shlex.join(['bluegreen', 'explain', name])}"
    )
