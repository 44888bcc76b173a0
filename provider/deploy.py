"""Deploys a release: looks at what it would start, takes the lease, starts it in the standby, follows its rollout.

Whatever happens, the lease is given back, and a rollout that has begun goes on without us.
"""

import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from provider.client import Admin, NoDaemon, Refused, service_path
from provider.compose import ComposeError, Project
from provider.following import PASSING, UNTOLD, Answer, EndedOtherwise, Show, Story, Tell, TimedOut, ended, words
from provider.inspection import Inspection
from provider.leasing import Lease, Withheld
from provider.planned import COLOURS

FIRST = "blue"
SEEN_WITHIN_S = 60.0
AWAY_WITHIN_S = 600.0
ASKED_AFTER_S = 5.0
BEGUN_WITHIN_S = 60.0
FIRST_WITHIN_S = 600.0


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be deployed. `colour` may name the standby.

    `force` deploys also while the release before is watched, and what doctor calls critical.
    """

    service: str
    compose: tuple[str, ...]
    files: tuple[Path, ...]
    prefix: str
    tags: Mapping[str, str]
    colour: str | None = None
    timeout_s: float | None = None
    force: bool = False
    reason: str | None = None


@dataclass(slots=True)
class _Beginning:
    """What a rollout that has yet to begin waits for; `idle_mono_s` is since when nothing else is under way."""

    colour: str
    release: str
    is_new: bool
    since_mono_s: float
    idle_mono_s: float = 0.0
    is_asked: bool = False

    def __post_init__(self) -> None:
        self.idle_mono_s = self.since_mono_s


class Deployment:
    """One deployment; `run` does all of it, and `left` says what an interrupt leaves behind."""

    def __init__(self, admin: Admin, order: Order, tell: Tell, show: Show) -> None:
        self.left = "nothing was started"
        self._admin, self._order, self._tell, self._show = admin, order, tell, show
        self._leases = [Lease(admin, order.service, order.force, order.reason)]
        self._story = Story(admin, order.service, tell)
        projects = {colour: self._project(colour) for colour in COLOURS}
        self._inspection = Inspection(admin, order.service, order.prefix, projects, order.force, tell)
        self._unread: list[Answer] = []

    def run(self) -> str:
        """Deploy, and return how it went in one sentence.

        Raises:
            Withheld: it was refused, or overtaken by a rollback, and nothing was switched.
            ComposeError: compose failed, or no server came of what it has started.
            EndedOtherwise: the rollout ended otherwise than switched.
            TimedOut: the time is over; the rollout goes on.
            NoDaemon, Refused: as of the questions to the daemon.
        """
        status = self._story.begin()
        if status["active"] is None:
            return self._first(status)
        standby = _other(status["active"])
        self._check_wanted(status, standby)
        self._inspection.check_file(standby)
        order, others = self._order, self._inspection.leased[1:]
        self._leases += [Lease(self._admin, other, order.force, order.reason) for other in others]
        try:
            for lease in self._leases:
                lease.take()
            return self._deploy(standby)
        finally:
            for lease in reversed(self._leases):
                lease.give_back(self._tell)

    # --- in the standby -------------------------------------------------------------------------------------------

    def _deploy(self, standby: str) -> str:
        name, project = self._order.service, self._project(standby)
        status: Answer = self._admin.service(name)
        self._leases[0].check(status)
        if status["active"] != _other(standby):
            raise Withheld(f"{name}: given up, as {standby} does not stand by any more: {status['active']} is active")
        self._inspection.check_containers(standby)
        before = status["colours"][standby]["release"]
        runs = f"runs release {before}" if before else f"is {status['colours'][standby]['state']}"
        self._tell(f"{name}: {status['active']} is active; {standby} stands by and {runs}")
        self._start(project, lambda: self._check_meanwhile(standby, before))
        release = self._seen(project, standby, before)
        return self._follow(standby, release, is_new=release != before)

    def _start(self, project: Project, check: Callable[[], None]) -> None:
        self._tell(f"$ {project.line('up', '-d')}")
        self.left = f"compose was stopped, and what it has started in {project.colour} stays: {project.line('ps')}"
        project.up(check)
        self.left = f"what was started in {project.colour} stays, and its rollout goes on{self._ways_on()}"
        self._story.limit(self._order.timeout_s)

    def _check_meanwhile(self, standby: str, before: str | None) -> None:
        """Raise Withheld when what compose is replacing got the traffic; a release of ours may have got it already."""
        try:
            for lease in self._leases:
                lease.keep()
            status: Answer = self._admin.service(self._order.service)
        except NoDaemon:
            return  # one that restarts switches nothing meanwhile
        except Refused as refusal:
            if refusal.status in PASSING:
                return
            raise
        self._leases[0].check(status)
        if status["active"] == standby and status["colours"][standby]["release"] == before is not None:
            raise Withheld(f"{self._order.service}: given up, as {standby} was made active meanwhile")

    def _seen(self, project: Project, colour: str, before: str | None) -> str:
        """Return the release that was started, once the daemon sees it run in the colour, and nothing else there.

        Raises Withheld, or ComposeError where nothing is seen, when that is not so in time.
        """
        name, ours = self._order.service, self._inspection.containers(colour)
        begun_mono_s, told = time.monotonic(), ""
        while True:
            status = self._story.status()
            self._keep_leases(status)
            found = status["colours"][colour]
            there = {server["container"] for server in _servers(status, colour) if not server["leaving"]}
            if found["release"] is not None and there and there <= ours:
                version = f" ({found['version']})" if found["version"] else ""
                self._tell(f"{name}: release {found['release']}{version} runs in {colour}")
                return str(found["release"])
            if not there and told and (begun := self._begun(colour, before)):
                self._tell(f"{name}: release {begun} was seen in {colour}, and is gone at the moment")
                return begun
            missing = _not_seen(status, project, there - ours, name)
            self._show(status)
            if missing != told and (told or there - ours):  # that ours is not seen at the first look means nothing
                self._tell(f"{name}: {missing}")
            told = missing
            limit_s = AWAY_WITHIN_S if _is_away(status) else SEEN_WITHIN_S
            if time.monotonic() - begun_mono_s >= limit_s:
                if not there:
                    raise ComposeError(_unseen(status, name, project, limit_s))
                raise Withheld(f"{name}: given up after {limit_s:g} s, and nothing was switched: {missing}")
            self._story.pause(status, missing)

    def _begun(self, colour: str, before: str | None) -> str | None:
        """Return the new release that the history tells of: one that crashes at once may be gone when we look."""
        self._unread += self._story.news()
        new = [row for row in self._unread if (row["event"], row["colour"]) == ("begun", colour)]
        return next((str(row["release"]) for row in reversed(new) if row["release"] not in {None, before}), None)

    def _news(self) -> list[Answer]:
        unread, self._unread = self._unread, []
        return [*unread, *self._story.news()]

    def _follow(self, colour: str, release: str, *, is_new: bool) -> str:
        """Follow the rollout of exactly this release to its end; ask for it where it does not begin by itself.

        Where several Compose services are one release, the last of them that starts makes another release of it.
        """
        latest: str | None = None
        ends: dict[str, Answer] = {}
        begins = _Beginning(colour, release, is_new, time.monotonic())
        while True:
            rows = self._news()
            for row in rows:
                if row["rollout"] and (row["colour"], row["release"]) == (colour, release):
                    latest = row["rollout"]
                    self.left = f"rollout {latest} goes on{self._ways_on()}"
                    if row["event"] not in UNTOLD:
                        self._tell(words(row))
                    if row["outcome"] is not None:
                        ends[row["rollout"]] = row
            status = self._story.status()
            under_way = status["rollout"]
            if under_way is not None and (under_way["candidate"], under_way["release"]) == (colour, release):
                latest = under_way["id"]
            if latest is not None:
                self.left = f"rollout {latest} goes on{self._ways_on()}"
            if latest in ends and (grown := self._grown(ends[latest], status)) is not None:
                self._tell(f"{self._order.service}: release {grown} runs in {colour} now, all of it from here")
                self._unread, release, latest = [*rows, *self._unread], grown, None
                begins = _Beginning(colour, release, is_new=True, since_mono_s=time.monotonic())
                continue
            if latest in ends:
                return self._over(ends[latest], status)
            self._show(status)
            if latest is None:
                self._see_to_its_begin(status, begins)
            if status["phase"] not in {"confirming", "watching"}:
                self._keep_leases(status)
            self._story.pause(status)

    def _grown(self, end: Answer, status: Answer) -> str | None:
        """Return the release that took the place of ours, if it is ours as well: every container of it we started."""
        colour = end["colour"]
        found, servers = status["colours"][colour], _servers(status, colour)
        if end["outcome"] != "superseded" or found["release"] in {None, end["release"]}:
            return None
        there = {server["container"] for server in servers if not server["leaving"]}
        return str(found["release"]) if there <= self._inspection.containers(colour) else None

    def _over(self, end: Answer, status: Answer) -> str:
        if end["outcome"] != "switched":
            raise EndedOtherwise(ended(end), end["outcome"])
        colour, name = end["colour"], self._order.service
        unproven = "" if status["confirmed"] else "; no Traefik has confirmed it, so look: bluegreen status " + name
        return (
            f"{name}: release {end['release']} is active in {colour}, and was watched to the end; "
            f"{_other(colour)} is the way back while it runs, and may be stopped{unproven}"
        )

    def _see_to_its_begin(self, status: Answer, begins: "_Beginning") -> None:
        """Ask for it where it does not come by itself. Raises Withheld with the reason when that takes too long.

        While a rollout of its group is under way it waits for the end of that, which has deadlines of its own.
        """
        if not begins.is_asked and self._ask_for(status, begins):
            begins.is_asked, begins.idle_mono_s = True, time.monotonic()
        if self._story.patiently(self._inspection.others_move):
            begins.idle_mono_s = time.monotonic()
        if time.monotonic() - begins.idle_mono_s >= BEGUN_WITHIN_S:
            raise Withheld(_not_begun(status, begins.colour, begins.release))

    def _ask_for(self, status: Answer, begins: "_Beginning") -> bool:
        """Ask for a release that does not come by itself: it failed before, or has been active already."""
        colour, release = begins.colour, begins.release
        name, blocking, override = self._order.service, status["blocking"], status["override"]
        failed = next(
            (one for one in status["quarantined"] if (one["colour"], one["release"]) == (colour, release)), None
        )
        rejected = override is not None and release in (override["rejected"] or "").split(", ")
        if not failed and not rejected:
            if blocking is not None:
                return False
            if begins.is_new and time.monotonic() - begins.since_mono_s < ASKED_AFTER_S:
                return False
        if failed:
            why = f"failed before ({failed['outcome']} in rollout {failed['rollout']})"
        else:
            why = "was rejected before" if rejected else "is not new in this colour"
        self._tell(f"{name}: release {release} {why}, so it is asked for: {shlex.join(_switch(name, colour, release))}")
        body = {
            "colour": colour,
            "release": release,
            "reason": self._order.reason or f"deployed again, though it {why}",
        }
        try:
            self._story.patiently(lambda: self._admin.post(service_path(name, "switch"), body), passing=PASSING)
        except Refused as refusal:
            if refusal.status in {403, 409}:
                raise Withheld(f"{name}: {refusal}") from None
            raise
        return True

    def _keep_leases(self, status: Answer) -> None:
        """Go on without a lease that is lost: what was to be started runs, and is followed by its release."""
        for lease in self._leases:
            try:
                if lease is self._leases[0] and lease.is_ours and status["lease"] is None:
                    lease.renew()
                lease.keep()
            except Withheld as lost:
                self._tell(f"{lost}; the rollout is followed all the same")

    # --- the very first -------------------------------------------------------------------------------------------

    def _first(self, status: Answer) -> str:
        """Start a service that runs nothing yet. The API leases only a standby, and there is none."""
        name, colour = self._order.service, self._order.colour or FIRST
        if any(found["state"] != "empty" for found in status["colours"].values()):
            raise Withheld(f"{name}: {status['blocking']}")
        project = self._project(colour)
        self._inspection.check_file(colour)
        self._inspection.check_containers(colour)
        self._tell(f"{name}: it runs nothing yet, so {colour} becomes active as soon as it runs")
        self._start(project, lambda: None)
        begun_mono_s = time.monotonic()
        while True:
            status = self._story.status()
            self._show(status)
            found = status["colours"][colour]
            if status["active"] == colour and found["state"] == "healthy":
                return f"{name}: release {found['release']} is active in {colour}"
            if status["active"] == _other(colour):
                raise Withheld(f"{name}: {status['active']} became active meanwhile, not {colour}")
            missing = f"{colour} is {found['state']}" + (f"; {status['blocking']}" if status["blocking"] else "")
            passed_s = time.monotonic() - begun_mono_s
            if status["active"] is None and found["state"] == "empty" and passed_s >= SEEN_WITHIN_S:
                raise ComposeError(_unseen(status, name, project, SEEN_WITHIN_S))
            if self._order.timeout_s is None and passed_s >= FIRST_WITHIN_S:
                raise TimedOut(f"{name}: timed out after {FIRST_WITHIN_S:g} s: {missing}")
            self._story.pause(status, missing)

    # --- before anything is done ----------------------------------------------------------------------------------

    def _check_wanted(self, status: Answer, standby: str) -> None:
        name, colour = self._order.service, self._order.colour
        if colour is not None and colour != standby:
            raise Withheld(f"{name}: {colour} is active, and deploy changes only the colour that stands by, {standby}")
        if any(server["container"] is None for colour in COLOURS for server in _servers(status, colour)):
            raise Withheld(f"{name}: its servers stand in the desired-state file: a release of them is an edit of it")
        if status["desired"] == status["active"]:
            raise Withheld(
                f"{name}: the desired-state file says active: {status['desired']}, so {standby} would get no traffic. "
                f"Write active: auto, or active: {standby}"
            )
        if status["paused"]:
            raise Withheld(
                f"{name}: forward rollouts are stopped, by hold: true in the file or by: bluegreen pause. Remove the "
                f"one, or: {shlex.join(['bluegreen', 'resume', name])}"
            )

    def _ways_on(self) -> str:
        follow, abort = (shlex.join(["bluegreen", verb, self._order.service]) for verb in ("wait", "abort"))
        return f"; to follow it: {follow}; to abort it: {abort}"

    def _project(self, colour: str) -> Project:
        order = self._order
        return Project(order.compose, f"{order.prefix}-{colour}", order.files, colour, order.tags)


def _other(colour: str) -> str:
    return COLOURS[1 - COLOURS.index(colour)]


def _servers(status: Answer, colour: str) -> list[Answer]:
    servers: list[Answer] = status["colours"][colour]["servers"]
    return servers


def _switch(name: str, colour: str, release: str) -> list[str]:
    return ["bluegreen", "switch", name, colour, "--release", release]


def _is_away(status: Answer) -> bool:
    return any(one["code"] == "docker-away" for one in status["conditions"])


def _not_seen(status: Answer, project: Project, strange: set[str], name: str) -> str:
    """Say what is missing to the release that was started being the only one in its colour."""
    colour = project.colour
    if strange:
        foreign = ", ".join(sorted(map(str, strange)))
        return f"{colour} has other containers too, remove them: {foreign} (not of {project.name})"
    staying = [server for server in _servers(status, colour) if not server["leaving"]]
    if staying:
        parts = ", ".join(sorted(f"{server['release']} in {server['container']}" for server in staying))
        return f"{colour} is mixed, and has to run one release: it runs {parts}"
    if _is_away(status):
        return "Docker does not answer the daemon, so it does not see what was started"
    return f"no container of {project.name} is a running server of {name} in {colour} yet"


def _not_begun(status: Answer, colour: str, release: str) -> str:
    """Say why no rollout has begun of what was started."""
    name, found = status["service"], status["colours"][colour]
    if status["active"] == colour:
        why = f"{colour} is active, with release {found['release']}"
    elif found["release"] != release:
        why = (
            f"{colour} runs release {found['release']} now" if found["release"] else f"{colour} is {found['state']} now"
        )
    elif status["blocking"]:
        why = status["blocking"]
    elif status["desired"] == status["active"]:
        why = f"the desired-state file says active: {status['desired']}"
    elif status["paused"]:
        why = f"forward rollouts are stopped; to go on: {shlex.join(['bluegreen', 'resume', name])}"
    else:
        told = "; ".join(one["message"] for one in status["conditions"])
        why = told or "the daemon does not want it, and does not say why"
    return (
        f"{name}: release {release} was started in {colour}, and no rollout of it has begun in {BEGUN_WITHIN_S:g} s: "
        f"{why}. What was started stays; to see how it stands: {shlex.join(['bluegreen', 'explain', name])}"
    )


def _unseen(status: Answer, name: str, project: Project, limit_s: float) -> str:
    codes = {"containers", "not-in-file", "docker-away"}
    told = "".join(f" {one['message']}." for one in status["conditions"] if one["code"] in codes)
    return (
        f"{name}: compose ended well, and after {limit_s:g} s the daemon sees none of its containers as a server "
        f"of {name} in {project.colour}; nothing was switched.{told} Do they run ({project.line('logs')}), carry the "
        f"labels bluegreen.service={name} and bluegreen.colour=${{BLUEGREEN_COLOUR}}, and is the engine that compose "
        f"talks to the daemon's?"
    )
