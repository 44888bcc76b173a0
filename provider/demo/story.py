"""The story itself: what happens, in which order, and what is said of it."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime

from provider.demo.load import CLIENTS, EVERY_S, Load
from provider.demo.screen import Display, Scene, Screen
from provider.demo.stage import Stage
from provider.model import Colour, ColourState, Wish

ANSWERS_A_SCENE = 600
"""So many answers, three seconds' worth, are seen before the story goes on."""
ANSWERS_WARMING_UP = 400
"""So many answers of version 1 are seen while version 2 is known not to be ready."""


@dataclass(frozen=True, slots=True)
class Story:
    """A release from blue to green, and the way back; each step waits for what it tells."""

    stage: Stage
    load: Load
    screen: Screen
    display: Display

    async def tell(self) -> None:
        """Tell it. Raises StoryFailed where it does not go on."""
        await self._blue()
        await self._release()
        await self._way_back()
        self.display.scene = Scene.END

    def tell_addresses(self) -> None:
        """Say where everything is, for people to look around."""
        daemon, traefik = self.stage.daemon, self.stage.traefik
        self.screen.addresses(
            "Everything keeps running until Ctrl-C. Edit the file (say, active: green) and watch.",
            {
                "application": f"curl {traefik.url('web')}/",
                "file": str(self.stage.file),
                "status": f"bluegreen status --watch --admin {daemon.admin}",
                "Traefik": f"{traefik.api}/dashboard/",
                "document": f"{daemon.url}/traefik",
                "metrics": f"{daemon.url}/metrics",
                "admin": f"{daemon.admin}/api/v1/services",
            },
        )

    async def _blue(self) -> None:
        self.screen.say(
            "Blue",
            "Version 1 of a shop runs on blue. Each second Traefik fetches one document from the daemon: "
            "where requests go.",
        )
        self.screen.say(
            "Load",
            f"{CLIENTS} clients send {CLIENTS / EVERY_S:.0f} requests a second through Traefik. "
            "One that is lost is not tried again: it counts as failed.",
        )
        await self._answers(self.stage.blue.text)

    async def _release(self) -> None:
        stage, green = self.stage, self.stage.green
        self.display.scene = Scene.GATE
        revision = stage.status["revision"]
        await stage.start_green()
        edited_s, edited_utc = _now_s(), datetime.now(UTC)
        stage.edit(Wish.AUTO)
        self.screen.say(
            "Release",
            "Version 2 starts on green, and an edit of the file names it. It takes a while to warm up: "
            "a request that reached it now would fail.",
        )
        await stage.news.until(lambda: self._is_unhealthy(Colour.GREEN), "green found unhealthy")
        self.screen.say("Gate", f"Shut. The daemon says: {stage.status['blocking']}")
        await self._answers(stage.blue.text, ANSWERS_WARMING_UP)
        green.is_warm = True
        answered_s = await self._first_answer(green.text, edited_s)
        await stage.news.until(lambda: self._is_active(Colour.GREEN), "green active")
        switched_utc = datetime.fromisoformat(stage.status["switched"])
        gate_s, took_s = (switched_utc - edited_utc).total_seconds(), answered_s - edited_s
        self.display.scene = Scene.GREEN
        self.screen.say(
            "Gate",
            f"Open after {gate_s:.1f} s. Version 2 had passed {green.checks_before_visit} health checks in a row "
            "before the first request reached it.",
        )
        self.screen.say(
            "Switch",
            f"All traffic moved to green in one document (revision {revision} became {stage.status['revision']}). "
            f"Version 2 answered {took_s - gate_s:.1f} s after the gate opened, {took_s:.1f} s after the edit.",
        )
        await self._answers(green.text)

    async def _way_back(self) -> None:
        stage, blue = self.stage, self.stage.blue
        self.display.scene = Scene.BACK
        edited_s = _now_s()
        stage.edit(Wish.BLUE)
        self.screen.say(
            "Way back",
            "Say version 2 is bad. Version 1 still runs, so nothing must start first: one edit, active: blue. "
            "(This version has no rollback command yet.)",
        )
        took_s = await self._first_answer(blue.text, edited_s) - edited_s
        await stage.news.until(lambda: self._is_active(Colour.BLUE), "blue active")
        self.screen.say(
            "Back", f"Version 1 answered {took_s:.1f} s after the edit (revision {stage.status['revision']})."
        )
        await self._answers(blue.text)

    async def _answers(self, text: str, count: int = ANSWERS_A_SCENE) -> None:
        """Wait for so many further answers like this."""
        wanted = self.load.answers[text] + count
        await self.stage.news.until(lambda: self.load.answers[text] >= wanted, f"the answer {text!r}, again and again")

    async def _first_answer(self, text: str, since_s: float) -> float:
        """Return when this answer first took over from the other after `since_s`."""
        await self.stage.news.until(lambda: self.load.turned_to(text, since_s) is not None, f"the answer {text!r}")
        return self.load.turned_to(text, since_s) or since_s

    def _is_active(self, colour: Colour) -> bool:
        return bool(self.stage.status.get("active") == colour)

    def _is_unhealthy(self, colour: Colour) -> bool:
        return bool(self.stage.status["colours"][colour]["state"] == ColourState.UNHEALTHY)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
