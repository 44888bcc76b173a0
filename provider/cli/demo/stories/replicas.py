"""Three replicas over three nodes of etcd, and the leader killed in the middle of a release."""

import asyncio

from provider.cli.demo.application import Application
from provider.cli.demo.load import CLIENTS, EVERY_S
from provider.cli.demo.play import Play, Story
from provider.cli.demo.replicated import Replica, ReplicatedStage
from provider.cli.demo.stage import SHOP, Setting
from provider.cli.demo.wait import LIMIT_S, StoryFailed
from provider.model import Colour, ColourState, Verb


async def run(play: Play) -> None:
    """Play it; no request may fail."""
    stage = play.stage
    assert isinstance(stage, ReplicatedStage), "the story has a stage of its own"
    blue, green = stage.applications
    leader = await _opening(play, stage, blue)
    await _release(play, stage, leader)
    heir = await _killed(play, stage, leader, blue)
    await _switched(play, stage, leader, green)
    await _back(play, stage, leader, green)
    await _rolled_back(play, stage, heir, blue)
    play.scene("end")


async def _opening(play: Play, stage: ReplicatedStage, blue: Application) -> Replica:
    leader = await stage.leader()
    names = ", ".join(stage.replicas)
    play.say(
        "Replicas",
        f"Replicas {names} of the daemon share a store of three etcd nodes. Replica {leader.name} leads: it checks and "
        "decides. The others serve what it has committed. Beside each is a Traefik that polls it.",
    )
    play.say(
        "Load",
        f"Version 1 of a {SHOP} runs on blue. {CLIENTS} clients send {CLIENTS / EVERY_S:.0f} requests a second, to the "
        "three Traefiks in turn. A lost request is not retried: it counts as failed.",
    )
    await play.answers(blue)
    return leader


async def _release(play: Play, stage: ReplicatedStage, leader: Replica) -> None:
    play.scene("gates")
    follower = _follower(stage, leader)
    done = await follower.daemon.command(SHOP, Verb.SWITCH, "ann", {"colour": Colour.GREEN})
    play.check(f"the switch begins a rollout, not {done}", done.status == 202)
    play.say(
        "Release",
        f"Version 2 runs on green, and is still warming up. Ann types, on the machine of replica {follower.name}: "
        f"bluegreen switch {SHOP} green. Replica {follower.name} passes it on to the leader.",
    )
    await play.until("the rollout", lambda: play.status["rollout"])
    await play.until("green found unhealthy", lambda: play.status["colours"]["green"]["state"] == ColourState.UNHEALTHY)
    play.say("Gate", f"Closed. Replica {leader.name} says: {play.status['blocking']}")


async def _killed(play: Play, stage: ReplicatedStage, leader: Replica, blue: Application) -> Replica:
    play.scene("leader killed")
    rollout = play.status["rollout"]["id"]
    await stage.kill(leader)
    killed_s = play.now_s()
    try:
        async with asyncio.timeout(LIMIT_S):
            heir = await stage.leader()
    except TimeoutError:
        raise StoryFailed(f"no replica leads {LIMIT_S:g} s after replica {leader.name} was killed") from None
    took_s = play.now_s() - killed_s
    await stage.update()
    await play.until("the rollout of the next leader", lambda: (play.status["rollout"] or {}).get("id") == rollout)
    play.say(
        "Killed",
        f"In the middle of the release replica {leader.name} is killed (kill -9). Replica {heir.name} leads "
        f"{took_s * 1000:,.0f} ms later, and goes on with the same rollout, {rollout}.",
    )
    await play.answers(blue)
    play.check("no request has reached version 2", stage.applications[1].visits == 0)
    return heir


async def _switched(play: Play, stage: ReplicatedStage, killed: Replica, green: Application) -> None:
    play.scene("version 2 on green")
    begun_s, before = play.now_s(), play.status["revision"]
    green.is_warm = True
    took_s = [await play.first_answer(green, begun_s, one.entry) for one in stage.alive]
    await play.until_active(green)
    after = await play.next_revision(before)
    play.check("version 2 passed its smoke test before its first request", green.tests_before_visit)
    play.say(
        "Switch",
        f"Version 2 is warm and passes its gates. It answers through two Traefiks after {took_s[0]:.1f} s and "
        f"{took_s[1]:.1f} s (revision {before} became {after}). The Traefik of replica {killed.name} cannot know: it "
        "routes to version 1, which runs on.",
    )
    await play.answers(green)
    play.check("no Traefik has lost a request", not play.load.failures)


async def _back(play: Play, stage: ReplicatedStage, killed: Replica, green: Application) -> None:
    play.scene("replica back")
    begun_s = play.now_s()
    await stage.start_again(killed)
    await play.first_answer(green, begun_s, killed.entry)
    took_s = play.now_s() - begun_s
    await play.until_confirmed(green)
    play.check("the replica that is back follows", (await stage.leader()) is not killed)
    play.say(
        "Back",
        f"Replica {killed.name} is started again. It follows, catches up from the store, and its Traefik routes to "
        f"version 2 after {took_s:.1f} s. Now every Traefik has confirmed the switch.",
    )
    await play.answers(green)


async def _rolled_back(play: Play, stage: ReplicatedStage, leader: Replica, blue: Application) -> None:
    play.scene("rollback")
    follower = _follower(stage, leader)
    release, begun_s = play.release_of(stage.applications[1]), play.now_s()
    done = await follower.daemon.command(SHOP, Verb.ROLLBACK, "bob", {"from": release})
    play.check(f"the rollback is done at once, not {done}", done.status == 200)
    took_s = [await play.first_answer(blue, begun_s, one.entry) for one in stage.alive]
    play.say(
        "Rollback",
        f"Bob types, on the machine of replica {follower.name}, which follows: bluegreen rollback {SHOP}. Version 1 "
        f"answers through all three Traefiks {max(took_s):.1f} s after the command.",
    )
    await play.answers(blue)
    newest = int(play.status["revision"])
    await play.until(
        "every replica at the last document", lambda: all(one.revisions[-1] == newest for one in stage.alive)
    )
    rows = [row["event"] for row in await follower.daemon.history(SHOP)]
    play.check("the history has one switch, and one rollback", rows.count("shifted") == rows.count("rolled-back") == 1)
    play.check("no replica ever went back", all(one.is_ever_rising for one in stage.replicas.values()))
    play.say(
        "Revisions",
        f"The documents of all three replicas only went forward, to revision {newest}. The history has one switch and "
        "one rollback.",
    )


def _follower(stage: ReplicatedStage, leader: Replica) -> Replica:
    return next(one for one in stage.alive if one is not leader)


REPLICAS = Story(
    title="The leader of three replicas killed in a release, under a steady load",
    scenes=("version 1 on blue", "gates", "leader killed", "version 2 on green", "replica back", "rollback", "end"),
    setting=Setting(services={SHOP: "/"}, watch="1m", active=Colour.BLUE),
    run=run,
    stage=ReplicatedStage,
)
