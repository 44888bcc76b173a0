"""Two services that switch only together."""

from provider.cli.demo.application import Application
from provider.cli.demo.play import Play, Story
from provider.cli.demo.stage import SHOP, Setting
from provider.model import Colour, Outcome, Phase, Verb

API = "api"
BOTH_BLUE, BOTH_GREEN = (Colour.BLUE,) * 2, (Colour.GREEN,) * 2


async def run(play: Play) -> None:
    """Play it; no request may fail."""
    await play.opening()
    shop = await _neither(play)
    await _both(play, shop)
    await _back(play)
    play.scene("end")


async def _neither(play: Play) -> Application:
    play.scene("neither moves")
    shop, broken = await play.start("2"), await play.start("2", API)
    broken.passes_test = False
    play.stage.edit(shop, broken)
    play.say(
        "Version 2",
        "Version 2 of both starts on green, named by one edit. Nothing is wrong with shop; api fails its smoke test.",
    )
    await play.until(
        "both quarantined", lambda: all(play.is_quarantined(one, Outcome.ABORTED) for one in (shop, broken))
    )
    end = await play.decision("gates-failed", API)
    await _answers_of_both(play, Colour.BLUE)
    play.check("nobody reached version 2 of either", shop.visits == broken.visits == 0)
    play.check("every document had both at blue", set(play.stage.seen) == {BOTH_BLUE})
    play.say("Neither", f"One of the two failed, so neither switched. The history says: {end['detail']}")
    return shop


async def _both(play: Play, shop: Application) -> None:
    play.scene("both move")
    api = await play.start("3", API)
    revision, begun_s = play.status["revision"], play.now_s()
    play.stage.edit(api)
    play.say("Version 3", "Version 3 of api starts on green: it is fixed. With version 2 of shop it forms a new set.")
    took_s = [await play.first_answer(one, begun_s) for one in (shop, api)]
    await play.until_confirmed(shop)
    after = await play.next_revision(revision)
    await _answers_of_both(play, Colour.GREEN)
    play.check("both moved", play.is_active(shop) and play.is_active(api))
    _check_never_mixed(play)
    play.say(
        "Both",
        f"Both moved in one document (revision {revision} became {after}): version 2 of shop "
        f"answered after {took_s[0]:.1f} s, version 3 of api after {took_s[1]:.1f} s.",
    )
    await play.until_phase(Phase.STEADY)
    play.check("both stayed active", play.is_active(shop) and play.is_active(api))
    play.say("Steady", "Confirmed by Traefik's API, and the watch is over.")


async def _back(play: Play) -> None:
    play.scene("both go back")
    blue = [one for one in play.stage.applications if one.colour is Colour.BLUE]
    left = play.stage.named[API, Colour.GREEN]
    begun_s = play.now_s()
    done = await play.command("ann", Verb.ROLLBACK, API, **{"from": play.release_of(left)})
    play.check(f"the rollback is done at once, not {done}", done.status == 200 and not done.content["already"])
    took_s = max([await play.first_answer(one, begun_s) for one in blue])
    play.check("both went back", all(play.is_active(one) for one in blue))
    await _answers_of_both(play, Colour.BLUE)
    _check_never_mixed(play)
    play.say("Back", f"bluegreen rollback {API} rolled both back: version 1 of both answered within {took_s:.1f} s.")
    count = play.stage.seen.total()
    play.say(
        "In step",
        f"The document, and what Traefik applied, were read {count:,} times meanwhile: "
        f"{play.stage.seen[BOTH_BLUE]:,} times both at blue, {play.stage.seen[BOTH_GREEN]:,} times both at green, "
        "never one new and one old.",
    )


async def _answers_of_both(play: Play, colour: Colour) -> None:
    for service in (SHOP, API):
        await play.answers(play.stage.named[service, colour])


def _check_never_mixed(play: Play) -> None:
    play.check(
        f"no document had one new and one old: {play.stage.seen}", set(play.stage.seen) <= {BOTH_BLUE, BOTH_GREEN}
    )


GROUP = Story(
    title="Two services that switch only together, on a real Traefik under a steady load",
    scenes=("both on blue", "neither moves", "both move", "both go back", "end"),
    setting=Setting(services={SHOP: "/", API: "/api"}, watch="2s"),
    run=run,
)
