"""A story, and the steps that stories are written in: each waits for what it prints, and checks it."""

import asyncio
import shlex
import shutil
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from provider.cli.demo.application import Application
from provider.cli.demo.daemon import Answer, Content
from provider.cli.demo.load import CLIENTS, EVERY_S, Load
from provider.cli.demo.screen import Display, Screen
from provider.cli.demo.stage import PREVIEW_HOST, SHOP, Setting, Stage
from provider.cli.demo.wait import StoryFailed
from provider.model import Colour, Outcome, Phase, Verb

ANSWERS_A_SCENE = 400
"""A story continues after this many answers, two seconds' worth."""


@dataclass(frozen=True, slots=True)
class Play:
    """A story being played. Its steps raise StoryFailed if what they print would not be true."""

    stage: Stage
    load: Load
    screen: Screen
    display: Display

    @property
    def status(self) -> Content:
        """The status of the first service."""
        return self.stage.status

    def now_s(self) -> float:
        """Return the time on the clock by which answers are noted."""
        return asyncio.get_running_loop().time()

    def scene(self, name: str) -> None:
        """Start a part of the story."""
        self.display.scene = name

    def say(self, lead: str, text: str) -> None:
        """Print one step."""
        self.screen.say(lead, text)

    def check(self, claim: str, truth: object) -> None:
        """Raise StoryFailed if a claim does not hold."""
        if not truth:
            raise StoryFailed(f"this does not hold: {claim}")

    async def until(self, what: str, done: Callable[[], object]) -> None:
        """Wait for a condition of the daemon, of Traefik or of the load."""
        try:
            await self.stage.waiter.until(lambda: bool(done()), what)
        except StoryFailed as failure:
            phase, blocking = self.status.get("phase"), self.status.get("blocking")
            raise StoryFailed(f"{failure}; the daemon says: phase {phase}, {blocking or 'nothing blocks'}") from None

    async def until_phase(self, phase: Phase) -> None:
        """Wait until the first service is in this phase."""
        await self.until(f"phase {phase}", lambda: self.status.get("phase") == phase)

    async def until_active(self, one: Application) -> None:
        """Wait until this version is active."""
        await self.until(f"{one.text} active", lambda: self.is_active(one))

    async def next_revision(self, before: int) -> int:
        """Wait for a document after this one; return its revision. A decision is committed before it is published."""
        await self.until("another document", lambda: self.status["revision"] > before)
        return int(self.status["revision"])

    async def until_confirmed(self, one: Application) -> None:
        """Wait until Traefik's API has confirmed this version, and its watch has begun or is over."""
        after = {Phase.WATCHING, Phase.STEADY}
        await self.until(
            f"{one.text} confirmed",
            lambda: self.is_active(one) and self.status["confirmed"] and self.status["phase"] in after,
        )

    def is_active(self, one: Application) -> bool:
        """Return whether this version is active."""
        status = self.stage.statuses[one.service]
        found = status.get("colours", {}).get(one.colour, {})
        return bool(status.get("active") == one.colour and found.get("version") == one.version)

    def release_of(self, one: Application) -> str:
        """Return the release id that the daemon gave this version."""
        return str(self.stage.statuses[one.service]["colours"][one.colour]["release"])

    def is_quarantined(self, one: Application, outcome: Outcome) -> bool:
        """Return whether this version is quarantined with this outcome; it is known once the file is read."""
        status = self.stage.statuses[one.service]
        if status["colours"][one.colour]["version"] != one.version:
            return False
        failed = [(each["release"], each["outcome"]) for each in status["quarantined"]]
        return (self.release_of(one), outcome) in failed

    async def opening(self) -> Application:
        """Print what runs at the start, and return the active version."""
        (blue, *others) = self.stage.applications
        names = " and ".join(self.stage.setting.services)
        runs = f"Version 1 of {names} runs on blue" if others else f"Version 1 of a {names} runs on blue"
        self.say("Blue", f"{runs}. Each second Traefik fetches one document from the daemon: the routes and weights.")
        self.say(
            "Load",
            f"{CLIENTS} clients send {CLIENTS / EVERY_S:.0f} requests a second through Traefik. "
            "A lost request is not retried: it counts as failed.",
        )
        await self.answers(blue)
        return blue

    async def start(self, version: str, service: str = SHOP) -> Application:
        """Start a version on green. Nobody knows of it until `self.stage.edit` names it in the file."""
        return await self.stage.start(service, Colour.GREEN, version)

    async def answers(self, one: Application) -> None:
        """Wait for enough further answers of this version."""
        wanted = self.load.answers[one.text] + ANSWERS_A_SCENE // len(self.stage.setting.services)
        await self.until(f"the answer {one.text!r}, again and again", lambda: self.load.answers[one.text] >= wanted)

    async def first_answer(self, one: Application, since_s: float, at: str = "") -> float:
        """Wait until this version takes over from another after `since_s`; return how many seconds that took.

        `at` is the URL of one of several Traefiks.
        """
        await self.until(f"the answer {one.text!r}", lambda: self.load.turned_to(one.text, since_s, at) is not None)
        return (self.load.turned_to(one.text, since_s, at) or since_s) - since_s

    async def command(self, actor: str, verb: Verb, service: str = SHOP, **body: str) -> Answer:
        """Send a command as this actor, and update the status at once."""
        answer = await self.stage.daemon.command(service, verb, actor, body)
        await self.stage.update()
        return answer

    def failed_by_themselves(self) -> int:
        """Return how many requests failed at a version that went bad after its gates."""
        complaints = [one.complaint for one in self.stage.applications]
        failures = self.load.failures.items()
        return sum(count for why, count in failures if any(complaint in why for complaint in complaints))

    async def decision(self, event: str, service: str = SHOP) -> Content:
        """Return the newest decision of this kind in the history."""
        rows = await self.stage.daemon.history(service)
        found = next((row for row in rows if row["event"] == event), None)
        if found is None:
            raise StoryFailed(f"the history of {service} has no {event!r}")
        return found

    def addresses(self) -> None:
        """Print where everything is, to try it."""
        daemon, traefik, setting = self.stage.daemon, self.stage.traefik, self.stage.setting
        web = traefik.url("web")
        preview = {"preview": f"curl -H 'Host: {PREVIEW_HOST}' {web}/"} if setting.preview else {}
        first, other = next(iter(setting.services)), Colour(self.status["active"]).other
        is_ready = self.status["rollback"]["ready"]
        bluegreen = _program()
        again = {"rollback": Verb.ROLLBACK} if is_ready else {"retry": Verb.RETRY}
        applied = (
            {} if self.stage.follows_file else {"apply": f"{bluegreen} apply {self.stage.file} --admin {daemon.admin}"}
        )
        edit = f"edit the file (such as active: {other})" + (", apply it" if applied else "")
        self.screen.addresses(
            f"Everything runs until Ctrl-C. Open the console, {edit}, and watch.",
            {
                **{name: f"curl {web}{path}" for name, path in setting.services.items()},
                **preview,
                "file": str(self.stage.file),
                **applied,
                "console": f"{daemon.admin}/",
                "status": f"{bluegreen} status --watch --admin {daemon.admin}",
                **{lead: f"{bluegreen} {verb} {first} --admin {daemon.admin}" for lead, verb in again.items()},
                "Traefik": f"{traefik.api}/dashboard/",
                "document": f"{daemon.url}/traefik",
                "metrics": f"{daemon.url}/metrics",
                "admin": f"{daemon.admin}/api/v1/services",
            },
        )


def _program() -> str:
    """Return the command to run bluegreen here, which may not be on PATH."""
    found = shutil.which("bluegreen")
    if found and Path(found).resolve() == Path(sys.argv[0]).resolve():
        return "bluegreen"
    called = Path(sys.argv[0]).absolute()
    words = [str(called)] if called.name == "bluegreen" else [sys.executable, "-m", "provider"]
    return shlex.join(words)


@dataclass(frozen=True, slots=True)
class Story:
    """A story: its title, its scenes in order, its setting, and `run`, which plays it.

    No request may fail but those to a version that goes bad in the story.
    """

    title: str
    scenes: tuple[str, ...]
    setting: Setting
    run: Callable[[Play], Awaitable[None]]
    stage: Callable[[Path, Setting], Stage] = Stage
