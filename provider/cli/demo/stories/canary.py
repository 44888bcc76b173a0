"""A good release that takes its steps, and a bad one that is taken back at the first, on evidence."""

from provider.cli.demo.application import Application
from provider.cli.demo.play import Play, Story
from provider.cli.demo.stage import SHOP, Setting
from provider.model import Colour, Outcome, Phase

WEIGHTS = (5, 25, 50)
FAILS_EVERY = 33
"""One request in so many: 3 %."""


async def run(play: Play) -> None:
    """Play it; only requests that the bad release answered may fail."""
    blue = await play.opening()
    green = await _good(play, blue)
    await _bad(play, green)
    play.scene("end")


async def _good(play: Play, blue: Application) -> Application:
    play.scene("version 2, step by step")
    green = await play.start("2")
    play.stage.edit(green)
    play.say("Version 2", "It starts on green, and passes its gates. Then it gets its traffic in steps.")
    for number, weight in enumerate(WEIGHTS, 1):
        await until_step(play, number)
        before = (play.load.answers[blue.text], play.load.answers[green.text])
        await until_step(play, number + 1)
        old, new = play.load.answers[blue.text] - before[0], play.load.answers[green.text] - before[1]
        play.check(f"version 2 had about {weight} % of the answers", abs(100 * new / (old + new) - weight) < 5)
        play.check("version 1 stayed active", number == len(WEIGHTS) or play.is_active(blue))
        passed = await play.decision("step-passed")
        play.say(
            f"Step {number}",
            f"{weight} % wanted; version 2 gave {new:,} of {old + new:,} answers, {100 * new / (old + new):.1f} %. The "
            f"history says: {_counted(passed['evidence']) or passed['detail']}",
        )
    await play.until_active(green)
    await play.until_confirmed(green)
    play.check("no request failed", not play.load.failures)
    play.say("Switched", "After the last step version 2 has all of the traffic. Not one request failed.")
    await play.until_phase(Phase.STEADY)
    return green


async def _bad(play: Play, green: Application) -> None:
    play.scene("version 3 fails 3 %")
    bad = await play.stage.start(SHOP, Colour.BLUE, "3")
    bad.fails_every = FAILS_EVERY
    play.stage.edit(bad)
    play.say("Version 3", f"It passes its gates, but fails one request in {FAILS_EVERY}. No health check sees that.")
    await until_step(play, 1)
    asked = play.load.requests
    await play.until("version 3 taken back", lambda: play.is_quarantined(bad, Outcome.ABORTED))
    end = await play.decision("gates-failed")
    asked = play.load.requests - asked
    await play.answers(green)
    failed = play.load.failures.total()
    play.check("version 2 stayed active", play.is_active(green))
    play.check("only requests that version 3 answered have failed", 0 < failed == play.failed_by_themselves())
    play.check("no second step began", bad.visits < asked / 2)
    play.say(
        "Back",
        f"At the first step, after {bad.visits:,} of {asked:,} requests: {failed} clients saw an error. The history "
        f"says: {end['detail']}",
    )


async def until_step(play: Play, number: int, of: int = len(WEIGHTS)) -> None:
    """Wait until a step is on, or what comes after the last one."""

    def is_there() -> bool:
        step = (play.status.get("rollout") or {}).get("step")
        if number > of:
            return step is None
        return step is not None and step["number"] == number

    await play.until(f"step {number}", is_there)


def _counted(evidence: list[str]) -> str:
    return "; ".join(evidence)


CANARY = Story(
    title="A release in steps, and a bad one taken back at the first, on a real Traefik",
    scenes=("version 1 on blue", "version 2, step by step", "version 3 fails 3 %", "end"),
    setting=Setting(
        services={SHOP: "/"},
        watch="3s",
        defaults=(
            "canary: {steps: [{weight: 5, for: 6s}, {weight: 25, for: 4s}, {weight: 50, for: 4s}]}",
            "analysis: {every: 1s, warmup: 1s, minRequests: 200, errors: {worseThanActive: 0.99}}",
        ),
    ),
    run=run,
)
