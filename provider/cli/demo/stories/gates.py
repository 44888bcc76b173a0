"""A release that passes one gate after the other."""

import aiohttp

from provider.cli.demo.application import Application
from provider.cli.demo.load import REQUEST_S, cause
from provider.cli.demo.play import Play, Story
from provider.cli.demo.stage import PREVIEW_HOST, SHOP, Setting
from provider.cli.demo.wait import StoryFailed
from provider.model import Gate, GateState, Outcome, Phase, Verb


async def run(play: Play) -> None:
    """Play it; no request may fail."""
    blue = await play.opening()
    play.scene("health")
    green = await play.start("2")
    play.stage.edit(green)
    play.say("Release", "Version 2 starts on green, and an edit of the file names it.")
    await play.until_phase(Phase.APPROVAL)
    _gates(play, green)
    await _preview(play, blue, green)
    await _approval(play, blue, green)
    await _switch(play, green)
    play.scene("end")


def _gates(play: Play, green: Application) -> None:
    found = play.status["rollout"]["gates"]
    play.check("the health gate is passed", found[Gate.HEALTH]["state"] == GateState.PASSED)
    play.say(
        "Health",
        f"Passed: {green.checks_passed} checks in a row so far, and the servers have not changed for 1 s (settle).",
    )
    play.scene("smoke")
    (test,) = play.status["rollout"]["smoke"]
    play.check("the smoke gate is passed", found[Gate.SMOKE]["state"] == GateState.PASSED and test["passed"])
    play.check("the smoke test was made of version 2", green.tests)
    play.say(
        "Smoke",
        f"Passed: {test['test']} was answered as the file requires, in {test['duration'] * 1000:.0f} ms. No client "
        "request has reached version 2 yet.",
    )


async def _preview(play: Play, blue: Application, green: Application) -> None:
    play.scene("preview")
    before = play.load.answers[blue.text]
    await play.until("Traefik has the preview's router", lambda: f"{SHOP}-preview" in play.stage.routers)
    seen = await _ask_for_preview(play)
    play.check(f"the preview shows version 2, not {seen!r}", seen == green.text)
    await play.answers(blue)
    play.check("no request of the load reached version 2", green.visits == 0)
    play.say(
        "Preview",
        f"http://{PREVIEW_HOST}/ answers: {seen}. Meanwhile all {play.load.answers[blue.text] - before:,} production "
        "requests reached version 1.",
    )


async def _ask_for_preview(play: Play) -> str:
    """Ask Traefik for the preview."""
    url = play.stage.traefik.url("web")
    timeout = aiohttp.ClientTimeout(total=REQUEST_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(url, headers={"Host": PREVIEW_HOST}) as answer,
        ):
            return (await answer.text()).strip()
    except (aiohttp.ClientError, TimeoutError) as error:
        raise StoryFailed(f"the preview does not answer: {cause(error)}") from error


async def _approval(play: Play, blue: Application, green: Application) -> None:
    play.scene("approve")
    play.say("Approval", f"The daemon waits: {play.status['blocking']}")
    other = play.release_of(blue)
    refused = await play.command("ann", Verb.APPROVE, release=other)
    play.check(f"an approval of another release is refused, not {refused}", refused.status == 409)
    play.check("the refused approval changed nothing", play.status["phase"] == Phase.APPROVAL)
    play.say("Refused", f"Ann approves release {other} by mistake. The daemon answers: {refused.content['detail']}")
    await play.answers(blue)
    play.check("no request of the load reached version 2", green.visits == 0)


async def _switch(play: Play, green: Application) -> None:
    release, revision, begun_s = play.release_of(green), play.status["revision"], play.now_s()
    done = await play.command("ann", Verb.APPROVE, release=release)
    play.check(f"the approval is taken, not {done}", done.status == 200)
    play.scene("switch")
    took_s = await play.first_answer(green, begun_s)
    after = await play.next_revision(revision)
    play.say(
        "Switch",
        f"Ann approves release {release}. Version 2 answered {took_s:.1f} s later, by one document "
        f"(revision {revision} became {after}).",
    )
    play.scene("confirm")
    await play.until_confirmed(green)
    proof = await play.decision("confirmed")
    play.say("Confirmed", f"Read back from Traefik: {'; '.join(proof['evidence'])}.")
    play.scene("watch")
    await play.until_phase(Phase.STEADY)
    end = await play.decision("watched")
    play.check("the rollout ended as switched", end["outcome"] == Outcome.SWITCHED and play.is_active(green))
    await play.until("version 1 ready as the rollback target", lambda: play.status["rollback"]["ready"])
    play.say(
        "Watched",
        f"For {play.stage.setting.watch}, without a failure: steady. Version 1 keeps running, as the rollback target.",
    )


GATES = Story(
    title="One gate after the other, on a real Traefik under a steady load",
    scenes=("blue", "health", "smoke", "preview", "approve", "switch", "confirm", "watch", "end"),
    setting=Setting(services={SHOP: "/"}, watch="3s", approval="manual", preview=True),
    run=run,
)
