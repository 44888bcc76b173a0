"""What a story is, and the steps that all of them are told in: each waits for what it tells, and checks it."""

import asyncio
import shlex
import shutil
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from provider.demo.application import Application
from provider.demo.daemon import Answer, Content
from provider.demo.load import CLIENTS, EVERY_S, Load
from provider.demo.news import StoryFailed
from provider.demo.screen import Display, Screen
from provider.demo.stage import PREVIEW_HOST, SHOP, Setting, Stage
from provider.model import Colour, Outcome, Phase, Verb

ANSWERS_A_SCENE = 400
"""So many answers, two seconds' worth, are seen before a story goes on."""


@dataclass(frozen=True, slots=True)
class Play:
    """A story being played. What it does raises StoryFailed where what it tells would not be true."""

    stage: Stage
    load: Load
    screen: Screen
    display: Display

    @property
    def status(self) -> Content:
        """How the daemon says that the first service stands."""
        return self.stage.status

    def now_s(self) -> float:
        """Return the time on the clock by which answers are noted."""
        return asyncio.get_running_loop().time()

    def scene(self, name: str) -> None:
        """Go on to a part of the story."""
        self.display.scene = name

    def say(self, lead: str, text: str) -> None:
        """Tell one step."""
        self.screen.say(lead, text)

    def check(self, claim: str, truth: object) -> None:
        """Raise StoryFailed where what is going to be told is not so."""
        if not truth:
            raise StoryFailed(f"this was to be shown, and it is not so: {claim}")

    async def until(self, what: str, done: Callable[[], object]) -> None:
        """Wait for a condition of the daemon, of Traefik or of the load."""
        try:
            await self.stage.news.until(lambda: bool(done()), what)
        except StoryFailed as failure:
            phase, blocking = self.status.get("phase"), self.status.get("blocking")
            raise StoryFailed(f"{failure}; the daemon says: phase {phase}, {blocking or 'nothing blocks'}") from None

    async def until_phase(self, phase: Phase) -> None:
        """Wait until the first service is in this phase."""
        await self.until(f"phase {phase}", lambda: self.status.get("phase") == phase)

    async def until_active(self, one: Application) -> None:
        """Wait until the daemon says that this version is the active one."""
        await self.until(f"{one.text} active", lambda: self.is_active(one))

    async def until_confirmed(self, one: Application) -> None:
        """Wait until Traefik's API has confirmed this version, and it is watched; or was, where that was quick."""
        after = {Phase.WATCHING, Phase.STEADY}
        await self.until(
            f"{one.text} confirmed",
            lambda: self.is_active(one) and self.status["confirmed"] and self.status["phase"] in after,
        )

    def is_active(self, one: Application) -> bool:
        """Tell whether the daemon says that this version has the traffic."""
        status = self.stage.statuses[one.service]
        found = status.get("colours", {}).get(one.colour, {})
        return bool(status.get("active") == one.colour and found.get("version") == one.version)

    def release_of(self, one: Application) -> str:
        """Return the release id that the daemon gave this version."""
        return str(self.stage.statuses[one.service]["colours"][one.colour]["release"])

    def is_quarantined(self, one: Application, outcome: Outcome) -> bool:
        """Tell whether this version failed so; the daemon knows of it once it has read the file that names it."""
        status = self.stage.statuses[one.service]
        if status["colours"][one.colour]["version"] != one.version:
            return False
        failed = [(each["release"], each["outcome"]) for each in status["quarantined"]]
        return (self.release_of(one), outcome) in failed

    async def opening(self) -> Application:
        """Tell what there is at the beginning, and return the version that is active."""
        (blue, *others) = self.stage.applications
        names = " and ".join(self.stage.setting.services)
        runs = f"Version 1 of {names} runs on blue" if others else f"Version 1 of a {names} runs on blue"
        self.say("Blue", f"{runs}. Each second Traefik fetches one document from the daemon: where requests go.")
        self.say(
            "Load",
            f"{CLIENTS} clients send {CLIENTS / EVERY_S:.0f} requests a second through Traefik. "
            "One that is lost is not tried again: it counts as failed.",
        )
        await self.answers(blue)
        return blue

    async def start(self, version: str, service: str = SHOP) -> Application:
        """Start a version on green. Nobody knows of it until `self.stage.edit` names it in the file."""
        return await self.stage.start(service, Colour.GREEN, version)

    async def answers(self, one: Application) -> None:
        """Wait for further answers of this version, as many as make a scene."""
        wanted = self.load.answers[one.text] + ANSWERS_A_SCENE // len(self.stage.setting.services)
        await self.until(f"the answer {one.text!r}, again and again", lambda: self.load.answers[one.text] >= wanted)

    async def first_answer(self, one: Application, since_s: float) -> float:
        """Wait until this version takes over from another after `since_s`; return how many seconds that took."""
        await self.until(f"the answer {one.text!r}", lambda: self.load.turned_to(one.text, since_s) is not None)
        return (self.load.turned_to(one.text, since_s) or since_s) - since_s

    async def command(self, actor: str, verb: Verb, service: str = SHOP, **body: str) -> Answer:
        """Send a command as its actor; look at once at what it did."""
        answer = await self.stage.daemon.command(service, verb, actor, body)
        await self.stage.look()
        return answer

    def failed_by_themselves(self) -> int:
        """Return how many requests failed because a version went bad that had passed every gate."""
        complaints = [one.complaint for one in self.stage.applications]
        failures = self.load.failures.items()
        return sum(count for why, count in failures if any(complaint in why for complaint in complaints))

    async def told(self, event: str, service: str = SHOP) -> Content:
        """Return the newest decision of this kind that the daemon wrote into its history."""
        rows = await self.stage.daemon.history(service)
        found = next((row for row in rows if row["event"] == event), None)
        if found is None:
            raise StoryFailed(f"the history of {service} has no {event!r}")
        return found

    def addresses(self) -> None:
        """Say where everything is, for people to look around."""
        daemon, traefik, setting = self.stage.daemon, self.stage.traefik, self.stage.setting
        web = traefik.url("web")
        preview = {"preview": f"curl -H 'Host: {PREVIEW_HOST}' {web}/"} if setting.preview else {}
        first, other = next(iter(setting.services)), Colour(self.status["active"]).other
        is_ready = self.status["rollback"]["ready"]
        bluegreen = _program()
        again = {"way back": Verb.ROLLBACK} if is_ready else {"try again": Verb.RETRY}
        self.screen.addresses(
            f"All of it runs on until Ctrl-C. Open the console, edit the file (say, active: {other}), and watch.",
            {
                **{name: f"curl {web}{path}" for name, path in setting.services.items()},
                **preview,
                "file": str(self.stage.file),
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
    """Return how the command line is called here: the demo is often run from an environment that is not on PATH."""
    found = shutil.which("bluegreen")
    if found and Path(found).resolve() == Path(sys.argv[0]).resolve():
        return "bluegreen"
    called = Path(sys.argv[0]).absolute()
    words = [str(called)] if called.name == "bluegreen" else [sys.executable, "-m", "provider"]
    return shlex.join(words)


@dataclass(frozen=True, slots=True)
class Story:
    """What is shown under which title, its parts in order, and what it needs.

    `tell` plays it. No request may fail but those that a version answers which went bad in the story.
    """

    title: str
    scenes: tuple[str, ...]
    setting: Setting
    tell: Callable[[Play], Awaitable[None]]
