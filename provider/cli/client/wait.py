"""`bluegreen wait`: what it waits for, and what is missing until then."""

import time
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from provider.cli.client.decisions import NOT_LOGGED, RolloutFailed, describe, describe_end, describe_failure
from provider.cli.client.follow import RETRIED, FollowedService, Log, OnStatus, because, describe_phase
from provider.cli.client.read_back import SWITCHED_PHASES, step_number
from provider.model import Colour
from provider.model import api_types as api

QUIET_S = 3.0
"""Nothing must begin for this long before `wait` believes that nothing will: the daemon hears of a container, an edited
file or a lease a moment after it was there."""


class Until(StrEnum):
    """What `wait` waits for."""

    CONFIRMED = "confirmed"
    STEADY = "steady"
    STEP = "step"


@dataclass(frozen=True, slots=True)
class Goal:
    """What `wait` waits for: `until`, and this colour and this release (id or version) active, if given.

    `step` is the number of the step to be in, or beyond: the colour and the release may be the candidate's.
    """

    until: Until
    active: str | None = None
    release: str | None = None
    step: int = 0


def wait(service: FollowedService, goal: Goal, log: Log, on_status: OnStatus) -> api.Service:
    """Wait until a service has reached the goal, and return its status.

    Without a colour or a release, this includes what is coming: a deployment that holds the lease, a release that is
    wanted, and what begins within three seconds.

    Raises:
        RolloutFailed: a rollout was aborted, rolled back, expired or superseded meanwhile, or had been with the release
            of the goal.
        TimedOut: the goal is not reached at the time limit.
        NoDaemon: no daemon answered for 30 s, or at the time limit.
        CommandRefused: the daemon does not know the service, or requires a token.
    """
    # A daemon that restarts now is retried; an unknown service is an error.
    status = service.retry(service.begin, statuses=RETRIED - {404})
    begun_mono_s, has_switched = time.monotonic(), False
    while True:
        on_status(status)
        for row in service.new_decisions():
            if row["rollout"] and row["event"] not in NOT_LOGGED:
                log(describe(row))
            if row["outcome"] not in {None, "switched"} and not _continues(row, service.status()):
                raise RolloutFailed(describe_end(row), row["outcome"])
            has_switched |= row["outcome"] == "switched"
        missing = missing_to(status, goal, has_switched=has_switched)
        is_quiet = has_switched or time.monotonic() - begun_mono_s >= QUIET_S
        if missing is None and (is_quiet or service.is_over or goal.active or goal.release):
            return status
        if is_quiet and missing is not None:
            _check_failed(status, goal)
        service.pause(status, missing or "whether a rollout begins")
        status = service.status()


def missing_to(status: api.Service, goal: Goal, *, has_switched: bool = False) -> str | None:
    """Return what is missing to the goal; None if it is reached.

    A release that has yet to switch is not confirmed, whatever Traefik shows of the one before, unless the goal names
    the active colour or release. `has_switched` means that a rollout was seen to end.
    """
    now, phase, until = status["active"], status["phase"], goal.until
    if now is None:
        return describe_phase(status)
    if until is Until.STEP and (number := _step_of(status, goal)) is not None:
        return None if number >= goal.step else describe_phase(status)
    if goal.active is not None and now != goal.active:
        return f"{now} is active, not {goal.active}{because(status)}"
    if goal.release is not None and not _runs(status, now, goal.release):
        return _not_active(status, now, goal.release)
    is_named = goal.active is not None or goal.release is not None
    if phase == "steady" and not (is_named and until is Until.CONFIRMED):
        coming = _coming(status, counts_lease=not is_named and not has_switched)
        if coming is not None:
            return coming
    match until:
        case Until.STEP:
            done = phase in SWITCHED_PHASES
        case Until.STEADY:
            done = phase == "steady" and status["rollout"] is None
        case Until.CONFIRMED:
            done = status["confirmed"] and (is_named or phase in SWITCHED_PHASES)
            if phase in SWITCHED_PHASES and not status["confirmed"]:
                return f"{now} is active, but not confirmed: not every Traefik has applied it"
        case _:
            assert_never(until)
    return None if done else describe_phase(status)


def _step_of(status: api.Service, goal: Goal) -> int | None:
    """Return the step of the rollout that the goal is about, 0 before the first; None after its switch, or if none."""
    rollout = status["rollout"]
    if rollout is None or status["phase"] in SWITCHED_PHASES:
        return None
    if goal.active not in {None, rollout["candidate"]}:
        return None
    found = status["colours"][rollout["candidate"]]
    if goal.release not in {None, rollout["release"], found["version"]}:
        return None
    return step_number(status) or 0


def _coming(status: api.Service, *, counts_lease: bool) -> str | None:
    """Return what is about to begin: the rollout of a wanted release, or that of the deployment with the lease.

    A deployment whose lease has a warning gives up by itself.
    """
    wanted, lease = status.get("wanted"), status["lease"]
    if wanted is not None:
        release = f"release {wanted['release']} in {wanted['colour']}"
        return f"{release} is wanted, and its rollout has not begun yet{because(status)}"
    if counts_lease and lease is not None and lease["warning"] is None:
        return f"{lease['holder']} is deploying, and no rollout has begun yet"
    return None


def _runs(status: api.Service, colour: Colour, release: str) -> bool:
    found = status["colours"][colour]
    return release in {found["release"], found["version"]}


def _not_active(status: api.Service, active: Colour, release: str) -> str:
    place = next((colour for colour in status["colours"] if _runs(status, colour, release)), None)
    found = status["colours"][active]
    where = f"runs in {place}" if place else "does not run"
    return f"release {found['release']} is active, and {release} {where}{because(status)}"


def _check_failed(status: api.Service, goal: Goal) -> None:
    """Raise RolloutFailed if the release of the goal failed before, and nobody retries it."""
    if goal.release is None or status["rollout"] is not None or status["lease"] is not None:
        return
    for failed in status["quarantined"]:
        names = {failed["release"], status["colours"][failed["colour"]]["version"]}
        if goal.release in names and failed["colour"] != status["active"]:
            raise RolloutFailed(describe_failure(status["service"], failed), failed["outcome"])


def _continues(row: api.Decision, status: api.Service) -> bool:
    """Return whether a superseded rollout continues as another one: a group that grew has the same release."""
    now = status["rollout"]
    same = now is not None and (now["candidate"], now["release"]) == (row["colour"], row["release"])
    return row["outcome"] == "superseded" and same
