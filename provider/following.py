"""Follows one service from outside: how it stands, and what its history has said since the following began.

Both are asked for every second, so that a daemon that restarts in between loses nothing: a rollout that ends while
nobody looks is found in the history. What is new there is told by the rows that are known, not by their dates: a clock
may be set back.
"""

import json
import shlex
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias, TypeVar, assert_never
from urllib.parse import urlencode

from provider.client import Admin, NoDaemon, Refused
from provider.errors import BluegreenError

T = TypeVar("T")
Answer: TypeAlias = Mapping[str, Any]
Tell: TypeAlias = Callable[[str], None]
Show: TypeAlias = Callable[[Answer], None]

LOOK_EVERY_S = 1.0
PATIENCE_S = 30.0
READ_BACK_S = 10.0
READ_BACK_EVERY_S = 0.2
ROWS_AT_ONCE = 1000
ROWS_A_LOOK = 50
QUIET_S = 3.0
"""For so long nothing has to begin before `wait` believes that nothing does: the daemon hears of a container, of an
edited file or of a deployment's lease a moment after who has started it."""
SWITCHED_PHASES = frozenset({"steady", "confirming", "watching"})
UNTOLD = frozenset({"tested"})
"""What a line of its own has told before: that the smoke tests passed."""
NOTHING_READ: Answer = {"by": 0, "of": 0, "verified": False, "missing": []}
PASSING = frozenset({404, 503})
"""A daemon that starts has no services yet, and one whose disk hangs cannot tell the history: both pass."""


class EndedOtherwise(BluegreenError):  # noqa: N818  the word of the exit code
    """The rollout that was followed ended, and its release did not stay active; `outcome` is its outcome."""

    def __init__(self, words: str, outcome: str) -> None:
        super().__init__(words)
        self.outcome = outcome


class TimedOut(BluegreenError):  # noqa: N818
    """The time that was given is over; the text says what is still waited for. Nothing was stopped."""


class Until(StrEnum):
    """What `wait` waits for."""

    CONFIRMED = "confirmed"
    STEADY = "steady"


@dataclass(frozen=True, slots=True)
class Goal:
    """What `wait` waits for: that, and where they are named this colour and this release (its id or version) active."""

    until: Until
    active: str | None = None
    release: str | None = None


class Story:
    """How a service stands and what is new in its history; see `limit` for how long.

    Every question but the first ones of `begin` is repeated while no daemon answers, for 30 s at most.
    """

    def __init__(self, admin: Admin, service: str, tell: Tell) -> None:
        self.service = service
        self._admin, self._tell = admin, tell
        self._end_mono_s: float | None = None
        self._known: dict[str, None] = {}

    def limit(self, seconds: float | None) -> None:
        """Let the time be over in so many seconds; None sets no limit."""
        self._end_mono_s = None if seconds is None else time.monotonic() + seconds

    def begin(self) -> Answer:
        """Look for the first time; what the history holds by now is no news. Raises NoDaemon and Refused."""
        self._new(self._rows(ROWS_AT_ONCE))
        return self._admin.service(self.service)

    def status(self) -> Answer:
        """Return how the service stands. Raises NoDaemon and Refused."""
        return self.patiently(lambda: self._admin.service(self.service))

    def news(self) -> list[Answer]:
        """Return the rows of the history that are new since the last look, oldest first."""
        rows = self.patiently(lambda: self._rows(ROWS_A_LOOK))
        if rows and self._key(rows[-1]) not in self._known:  # more has happened than one look shows
            rows = self.patiently(lambda: self._rows(ROWS_AT_ONCE))
        return self._new(rows)

    def patiently(self, ask: Callable[[], T], *, passing: frozenset[int] = PASSING) -> T:
        """Ask until a daemon answers; raise its last failure after 30 s of them, or at the end of the time given."""
        lost_mono_s = None
        while True:
            try:
                return ask()
            except (NoDaemon, Refused) as failure:
                if isinstance(failure, Refused) and failure.status not in passing:
                    raise
                now = time.monotonic()
                if lost_mono_s is None:
                    lost_mono_s = now
                    self._tell(f"{failure}; asked again for {PATIENCE_S:g} s")
                if now - lost_mono_s >= PATIENCE_S or self.is_over:
                    raise
            time.sleep(LOOK_EVERY_S)

    @property
    def is_over(self) -> bool:
        """Whether the time given is over."""
        return self._end_mono_s is not None and time.monotonic() >= self._end_mono_s

    def pause(self, status: Answer, what: str = "") -> None:
        """Wait until it is time for the next look. Raises TimedOut, with what is waited for, when the time is over."""
        if self.is_over:
            raise TimedOut(f"{self.service}: timed out: {what or waits_for(status)}")
        left_s = LOOK_EVERY_S if self._end_mono_s is None else self._end_mono_s - time.monotonic()
        time.sleep(max(0.0, min(LOOK_EVERY_S, left_s)))

    def _rows(self, limit: int) -> list[Answer]:
        asked = urlencode({"service": self.service, "limit": limit})
        found: Any = self._admin.get(f"/api/v1/history?{asked}")
        rows: list[Answer] = found["history"]
        return rows

    def _new(self, rows: Iterable[Answer]) -> list[Answer]:
        """Return the rows that were not known yet, oldest first, and know them."""
        new = [row for row in reversed(list(rows)) if self._key(row) not in self._known]
        self._known.update((self._key(row), None) for row in new)
        return new

    @staticmethod
    def _key(row: Answer) -> str:
        return json.dumps(row, sort_keys=True)


def wait(story: Story, goal: Goal, tell: Tell, show: Show) -> Answer:
    """Wait until it is so, and return how the service stands then.

    Who names no colour and no release means what is coming: a deployment that has the lease, a release that is wanted,
    and what begins within three seconds.

    Raises:
        EndedOtherwise: a rollout ended otherwise than switched while this waited, or that of the release named before.
        TimedOut: it is not so yet, and the time is over.
        NoDaemon: no daemon answered for 30 s, or at the end of the time given.
        Refused: the daemon does not know the service, or wants a token.
    """
    # A daemon that restarts while this begins is waited for; a name that it does not know is none.
    status = story.patiently(story.begin, passing=PASSING - {404})
    begun_mono_s, has_switched = time.monotonic(), False
    while True:
        show(status)
        for row in story.news():
            if row["rollout"] and row["event"] not in UNTOLD:
                tell(words(row))
            if row["outcome"] not in {None, "switched"} and not goes_on(row, story.status()):
                raise EndedOtherwise(ended(row), row["outcome"])
            has_switched |= row["outcome"] == "switched"
        missing = missing_to(status, goal, has_switched=has_switched)
        is_quiet = has_switched or time.monotonic() - begun_mono_s >= QUIET_S
        if missing is None and (is_quiet or story.is_over or goal.active or goal.release):
            return status
        if is_quiet and missing is not None:
            _check_failed(status, goal)
        story.pause(status, missing or "whether anything begins")
        status = story.status()


def read_back(admin: Admin, service: str, answer: Answer) -> Answer | None:
    """Wait until every Traefik shows what a command did, 10 s at most; return what is known of that at the end.

    None where it moved no traffic, or goes on through gates. What was decided stands, also where no daemon answers any
    more while this waits.
    """
    end_mono_s = time.monotonic() + READ_BACK_S
    status: Answer | None = answer["status"]
    applied: Answer | None = answer.get("applied")
    while True:
        is_shifting = applied is None and status is not None and status["phase"] == "shifting"
        if not is_shifting and (applied is None or not _is_awaited(applied)):
            return applied
        if time.monotonic() >= end_mono_s:
            return applied
        time.sleep(READ_BACK_EVERY_S)
        try:
            status = admin.service(service)
        except (NoDaemon, Refused) as failure:
            unknown = {"refused": False, "detail": f"not verified, though it is decided and recorded: {failure}"}
            return {**(applied or NOTHING_READ), **unknown}
        found: Any = status
        applied = found["applied"] if found["phase"] in SWITCHED_PHASES else None


def _is_awaited(applied: Answer) -> bool:
    """Tell whether a Traefik that answers may show it yet."""
    return not applied["verified"] and any(one["answers"] for one in applied["missing"])


def missing_to(status: Answer, goal: Goal, *, has_switched: bool = False) -> str | None:
    """Say what is missing to what is waited for; None when it is so.

    A release that has yet to switch is not confirmed, whatever Traefik shows of the one before it; only who names the
    colour or the release that is active already asks for no other. `has_switched` tells that a rollout was seen to end.
    """
    now, phase, until = status["active"], status["phase"], goal.until
    if now is None:
        return waits_for(status)
    if goal.active is not None and now != goal.active:
        return f"{now} is active, not {goal.active}" + _why(status)
    if goal.release is not None and not _runs(status, now, goal.release):
        return _not_active(status, goal.release)
    is_named = goal.active is not None or goal.release is not None
    if phase == "steady" and not (is_named and until is Until.CONFIRMED):
        coming = _coming(status, counts_lease=not is_named and not has_switched)
        if coming is not None:
            return coming
    match until:
        case Until.STEADY:
            done = phase == "steady" and status["rollout"] is None
        case Until.CONFIRMED:
            done = status["confirmed"] and (is_named or phase in SWITCHED_PHASES)
            if phase in SWITCHED_PHASES and not status["confirmed"]:
                return f"{now} is active, and not every Traefik was seen to have applied that"
        case _:
            assert_never(until)
    return None if done else waits_for(status)


def _coming(status: Answer, *, counts_lease: bool) -> str | None:
    """Say what is to begin: a release that is wanted, or whatever the deployment that has the lease starts.

    One whose lease has a warning gives up by itself.
    """
    wanted, lease = status.get("wanted"), status["lease"]
    if wanted is not None:
        return f"release {wanted['release']} in {wanted['colour']} is wanted, and its rollout has yet to begin" + _why(
            status
        )
    if counts_lease and lease is not None and lease["warning"] is None:
        return f"{lease['holder']} deploys it, and no rollout has begun"
    return None


def _runs(status: Answer, colour: str, release: str) -> bool:
    found = status["colours"][colour]
    return release in {found["release"], found["version"]}


def _not_active(status: Answer, release: str) -> str:
    place = next((colour for colour in status["colours"] if _runs(status, colour, release)), None)
    found = status["colours"][status["active"]]
    there = f"runs in {place}" if place else "runs in neither colour"
    return f"release {found['release']} is active, and {release} {there}" + _why(status)


def _check_failed(status: Answer, goal: Goal) -> None:
    """Raise EndedOtherwise where the release that is named failed before, and nobody tries it again."""
    if goal.release is None or status["rollout"] is not None or status["lease"] is not None:
        return
    for failed in status["quarantined"]:
        names = {failed["release"], status["colours"][failed["colour"]]["version"]}
        if goal.release in names and failed["colour"] != status["active"]:
            row = {**failed, "service": status["service"], "actor": None, "detail": failed["reason"]}
            raise EndedOtherwise(ended(row), failed["outcome"])


def _why(status: Answer) -> str:
    return f": {status['blocking']}" if status["blocking"] else ""


def waits_for(status: Answer) -> str:
    """Say in which phase a service is, and what it waits for."""
    return f"in phase {status['phase']}" + _why(status)


def goes_on(row: Answer, status: Answer) -> bool:
    """Tell whether a rollout that was superseded goes on as another one: a group that grew brings the same release."""
    now = status["rollout"]
    same = now is not None and (now["candidate"], now["release"]) == (row["colour"], row["release"])
    return row["outcome"] == "superseded" and same


def ended(row: Answer) -> str:
    """Say how a rollout ended."""
    by = f" by {row['actor']}" if row["actor"] else ""
    why = f": {row['detail']}" if row["detail"] else ""
    return (
        f"{row['service']}: rollout {row['rollout']} of release {row['release']} in {row['colour']} ended as "
        f"{row['outcome']}{by}{why}"
    )


def words(row: Answer) -> str:
    """Tell one row of the history, of a rollout, in words."""
    service, release, detail = row["service"], row["release"], row["detail"]
    told = _WORDS.get(row["event"], f"{row['event'].replace('-', ' ')}{{because}}")
    filled = told.format(
        release=release,
        colour=row["colour"],
        actor=row["actor"],
        until=f" {detail}" if detail else "",
        because=f": {detail}" if detail else "",
        approve=shlex.join(["bluegreen", "approve", service, "--release", release or ""]),
    )
    return f"{service} {row['rollout']}: {filled}"


_WORDS: Mapping[str, str] = {
    "begun": "brings release {release} to {colour}{because}",
    "ready": "healthy",
    "smoke-passed": "the smoke tests passed",
    "smoke-failed": "the smoke tests failed",
    "approval-wanted": "waits for approval{until}: {approve}",
    "approval-reminder": "still waits for approval{until}: {approve}",
    "approval-given": "approved by {actor}{because}",
    "approved": "every gate let it through",
    "shifted": "{colour} has the traffic; Traefik has yet to confirm it",
    "confirmed": "Traefik confirmed it; the watch begins",
    "unconfirmed": "not confirmed{because}; the watch begins",
    "watched": "the watch is over{because}",
}
