"""The steps of a deployment, with a real daemon whose Docker is played; a real compose is used in integration/."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from provider.api.admin import admin_app
from provider.cli.client import compose, follow
from provider.cli.client.admin_api import Admin, service_path
from provider.cli.client.compose import ComposeError
from provider.cli.client.decisions import RolloutFailed
from provider.cli.client.follow import TimedOut
from provider.cli.deploy import lease as leasing
from provider.cli.deploy import release
from provider.cli.deploy.deployment import Deployment
from provider.cli.deploy.options import DeployOptions, DeployRefused
from provider.model import ByColour, Colour, Instant, Server
from provider.rollout import leases
from tests.support.running import Running, listening, running
from tests.support.waiting import eventually

DESIRED = (
    "environment: production\nservices:\n  shop:\n    router: {rule: 'Host(`shop.example.com`)'}\n"
    "    settle: 1ms\n    watch: 1ms\n    deadlines: {confirming: 500ms}\n"
)
COMPOSE = """\
#!/bin/sh
case "$*" in
*" config")
    if [ -e "rendered.$BLUEGREEN_COLOUR" ]; then cat "rendered.$BLUEGREEN_COLOUR"; exit; fi
    echo "services: {app: {labels: {bluegreen.service: shop, bluegreen.colour: $BLUEGREEN_COLOUR}}}"
    ;;
*" ps -q") echo NEW ;;
*) echo "$@" >>calls; while [ -e hold ]; do sleep 0.02; done ;;
esac
"""


def server(container: str, release: str) -> Server:
    return Server(f"http://{container}", release, version="1", container=container, deaths=0)


OLD, NEW, STRANGE = server("old", "aaaa"), server("NEW", "bbbb"), server("strange", "bbbb")


class Stage:
    """A daemon that follows a played Docker, and deployments to it; `lines` are what they logged."""

    def __init__(self, daemon: Running, admin: str, folder: Path) -> None:
        self.daemon, self.folder = daemon, folder
        self.admin, self.address = Admin(admin), admin
        self.lines: list[str] = []
        script = folder / "compose"
        script.write_text(COMPOSE)
        script.chmod(0o755)

    def docker(self, *, blue: tuple[Server, ...] = (OLD,), green: tuple[Server, ...] = ()) -> None:
        """List the containers there are."""
        self.daemon.list_docker(shop=ByColour(blue, green))

    async def status(self) -> dict[str, Any]:
        return dict(await asyncio.to_thread(self.admin.service, "shop"))

    async def until_active(self, colour: str) -> None:
        async def look() -> bool:
            return bool((await self.status())["active"] == colour)

        await eventually(look)

    async def until_logged(self, words: str) -> None:
        await eventually(lambda: any(words in line for line in self.lines))

    def begin(self, **more: Any) -> "asyncio.Task[str]":
        order = DeployOptions("shop", (str(self.folder / "compose"),), (Path("compose.yaml"),), "shop", {}, **more)
        made = Deployment(Admin(self.address), order, self.lines.append, lambda _: None)
        return asyncio.create_task(asyncio.to_thread(made.run))

    @property
    def calls(self) -> list[str]:
        """What compose was called with."""
        file = self.folder / "calls"
        return file.read_text().splitlines() if file.exists() else []

    async def events(self) -> list[str]:
        found: Any = await asyncio.to_thread(self.admin.get, "/api/v1/history?service=shop")
        return [row["event"] for row in found["history"]][::-1]


@pytest.fixture
async def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    for module in (compose, follow):
        monkeypatch.setattr(module, "CHECK_EVERY_S", 0.02)
    monkeypatch.chdir(tmp_path)
    async with (
        running(tmp_path / "state", docker=True) as daemon,
        listening(admin_app(daemon.replica)) as admin,
    ):
        daemon.load(DESIRED)
        daemon.controller.inputs.docker_connected(True, None)
        yield Stage(daemon, admin, tmp_path)
        (tmp_path / "hold").unlink(missing_ok=True)


@pytest.fixture
async def blue(stage: Stage) -> Stage:
    """The old release is active in blue."""
    stage.docker()
    await stage.daemon.judge(Colour.BLUE)
    await stage.until_active("blue")
    return stage


async def play(stage: Stage, new: Server = NEW) -> None:
    """Answer as Docker and the health checks do once the new container runs, until it has the traffic."""
    stage.docker(green=(new,))
    await stage.daemon.judge(Colour.GREEN, port="NEW")

    async def listed_again_whenever_asked() -> bool:
        if stage.daemon.edges.relisted:
            stage.daemon.edges.relisted.clear()
            stage.docker(green=(new,))
        return bool((await stage.status())["active"] == "green")

    await eventually(listed_again_whenever_asked)


async def test_a_deployment_takes_the_lease_starts_the_standby_and_follows_its_release(blue: Stage) -> None:
    """Rule 17."""
    done = blue.begin()
    await blue.until_logged("$ BLUEGREEN_COLOUR=green ")
    await play(blue)
    assert await done == (
        "shop: release bbbb is active in green, and its watch is over; blue is the rollback target while it runs, "
        "and may be stopped; no Traefik confirmed it, check: bluegreen status shop"
    )
    assert blue.calls == ["-p shop-green -f compose.yaml up -d"]
    assert blue.lines[0] == "shop: blue is active; the standby green is empty"
    assert "shop: release bbbb (1) runs in green" in blue.lines
    assert [line.partition(": ")[2] for line in blue.lines if line.startswith("shop r1: ")] == [
        "brings release bbbb to green",
        "healthy",
        "all gates passed",
        "switched to green; waiting for Traefik to confirm it",
        "not confirmed: nobody polls the document; the watch starts",
        "the watch is over",
    ]
    events = await blue.events()
    assert (events.count("lease-taken"), events[-1]) == (1, "lease-ended")


async def test_a_traefik_that_does_not_answer_is_told_of_and_refuses_nothing(blue: Stage) -> None:
    """Rule 36: P2, no evidence that its own provider sees the service, nor that it does not."""
    done = blue.begin(traefiks=("http://127.0.0.1:1",))
    await blue.until_logged("shop: not checked whether Traefik's own provider sees it: Traefik http://127.0.0.1:1")
    await play(blue)
    assert "release bbbb is active in green" in await done


async def in_step(stage: Stage, number: int) -> None:
    """Play until the rollout of what was started is in a step."""
    stage.docker(green=(NEW,))
    await stage.daemon.judge(Colour.GREEN, port="NEW")

    async def look() -> bool:
        if stage.daemon.edges.relisted:
            stage.daemon.edges.relisted.clear()
            stage.docker(green=(NEW,))
        rollout = (await stage.status())["rollout"]
        return bool(rollout and rollout["step"] and rollout["step"]["number"] == number)

    await eventually(look)


async def test_a_deployment_follows_steps_and_its_lease_ends_with_the_first(blue: Stage) -> None:
    """Rule 20: nothing is said of the lease, and a second deployment is refused with the way out."""
    blue.daemon.load(DESIRED + "    canary: {steps: [{weight: 10, for: 1h}, {weight: 50, for: 1h}]}\n")
    done = blue.begin()
    await blue.until_logged("$ BLUEGREEN_COLOUR=green ")
    await in_step(blue, 1)
    with pytest.raises(DeployRefused, match=r"is in step 1: the standby serves traffic. Wait until it is over .*abort"):
        await blue.begin()
    for number in (1, 2):
        await in_step(blue, number)
        await blue.until_logged(f"step {number} of 2: ")
        await asyncio.to_thread(blue.admin.command, "shop", "promote", {"step": number})
    await play(blue)
    assert "release bbbb is active in green" in await done
    said = [line.partition(": ")[2] for line in blue.lines if line.startswith("shop r1: ")]
    steps = [line for line in said if "step" in line]
    by = steps[1].partition(" ")[0]
    assert steps == [
        "step 1 of 2: 10 % for the candidate",
        f"{by} ended the time of step 1",
        f"passed step 1, 10 %, ended by {by}",
        "step 2 of 2: 50 % for the candidate",
        f"{by} ended the time of step 2",
        f"passed step 2, 50 %, ended by {by}",
    ]
    assert not any(" lease" in line for line in blue.lines)
    events = await blue.events()
    assert (events.count("lease-taken"), events.count("lease-ended")) == (1, 1)


async def test_the_lease_is_renewed_while_it_is_needed(blue: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leasing, "RENEW_EVERY_S", 0.0)
    (blue.folder / "hold").touch()
    done = blue.begin()

    await eventually(lambda: blue.calls)
    first = (await blue.status())["lease"]

    async def renewed() -> bool:
        lease = (await blue.status())["lease"]
        return bool(lease["id"] == first["id"] and lease["until"] > first["until"])

    await eventually(renewed)
    (blue.folder / "hold").unlink()
    await play(blue)
    assert "release bbbb is active in green" in await done
    events = await blue.events()
    later = events[events.index("unconfirmed") :]
    assert "lease-taken" not in later
    assert later.count("lease-renewed") <= 1, "one may have been on its way"
    assert events[-1] == "lease-ended"


async def test_a_lease_that_is_lost_while_compose_runs_stops_it(blue: Stage) -> None:
    (blue.folder / "hold").touch()
    done = blue.begin()
    await eventually(lambda: blue.calls)
    lease = (await blue.status())["lease"]
    await asyncio.to_thread(blue.admin.delete, f"{service_path('shop', 'lease')}?id={lease['id']}")
    with pytest.raises(DeployRefused, match=r"^shop: given up, the lease is lost$"):
        await done


async def test_a_lease_that_an_operator_ended_while_compose_runs_is_reported_with_who_and_why(blue: Stage) -> None:
    """Rule 17."""
    (blue.folder / "hold").touch()
    done = blue.begin()
    await eventually(lambda: blue.calls)
    now = Instant(0.0, datetime.now(UTC))
    ended = partial(
        leases.give_back, service="shop", lease_id=None, now=now, actor="ann", may_end_any=True, reason="no"
    )
    await blue.daemon.controller.command("shop", lambda snapshot, _: ended(snapshot))
    with pytest.raises(
        DeployRefused, match=r"given up, the lease is lost: the lease that \w+ held on shop was ended by ann: no"
    ):
        await done
    assert "lease-taken" not in (await blue.events())[-1:]


BOTH = (
    "services: {a: {labels: {bluegreen.service: shop, bluegreen.colour: blue}}, "
    "b: {labels: {bluegreen.service: shop, bluegreen.colour: green}}}"
)
RENDERED = {
    "both colours": (
        BOTH,
        "compose service a: it is labelled shop blue, and blue of shop is not deployed: it serves traffic",
    ),
    "a colour that is fixed": (
        "services: {app: {labels: {bluegreen.service: shop, bluegreen.colour: green}}}",
        "to start it all the same: --force and --reason",
    ),
    "no label": (
        "services: {app: {image: a}}",
        "none of the services that it starts has the label bluegreen.service=shop",
    ),
}


@pytest.mark.parametrize("shape", RENDERED)
async def test_a_file_that_would_start_anything_else_is_refused_before_anything_is_started(
    blue: Stage, shape: str
) -> None:
    """Rule 17."""
    text, words = RENDERED[shape]
    for colour in Colour:
        (blue.folder / f"rendered.{colour}").write_text(text)
    with pytest.raises(DeployRefused, match=re.escape(words)):
        await blue.begin()
    assert blue.calls == []
    assert "lease-taken" not in await blue.events()


async def test_force_starts_what_doctor_calls_critical_and_nothing_else(blue: Stage) -> None:
    """Rule 17."""
    for colour in Colour:
        (blue.folder / f"rendered.{colour}").write_text(RENDERED["a colour that is fixed"][0])
    done = blue.begin(force=True, reason="once")
    await eventually(lambda: blue.calls)
    await play(blue)
    assert "release bbbb is active in green" in await done
    for colour in Colour:
        (blue.folder / f"rendered.{colour}").write_text(RENDERED["both colours"][0])
    with pytest.raises(DeployRefused, match="it is labelled shop green, and green of shop is not deployed"):
        await blue.begin(force=True, reason="once more")


async def test_containers_of_others_in_the_standby_are_refused_before_anything_is_started(blue: Stage) -> None:
    """Rule 17: beside them the colour would be mixed for ever."""
    blue.docker(green=(STRANGE,))

    async def listed() -> bool:
        return bool((await blue.status())["colours"]["green"]["servers"])

    await eventually(listed)
    with pytest.raises(DeployRefused, match=r"strange of shop.*docker rm -f strange$"):
        await blue.begin()
    assert blue.calls == []
    assert (await blue.status())["lease"] is None


async def test_a_project_with_containers_of_the_active_colour_is_not_started_over_them(blue: Stage) -> None:
    """Rule 17: `up` would replace them."""
    blue.docker(blue=(server("NEW", "aaaa"),))
    await blue.daemon.judge(Colour.BLUE, port="NEW")
    with pytest.raises(DeployRefused, match="container NEW is a server of shop in blue: blue of shop is not deployed"):
        await blue.begin()
    assert blue.calls == []


async def test_a_rollout_that_does_not_begin_ends_with_the_reason(blue: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """P10: every wait has an end, and a true sentence at it."""
    monkeypatch.setattr(release, "BEGUN_WITHIN_S", 0.0)
    (blue.folder / "hold").touch()
    done = blue.begin()
    await eventually(lambda: blue.calls)
    await asyncio.to_thread(blue.admin.post, service_path("shop", "pause"), {"reason": "until monday"})
    blue.docker(green=(NEW,))
    (blue.folder / "hold").unlink()
    with pytest.raises(DeployRefused) as refusal:
        await done
    assert "release bbbb was started in green, but no rollout of it has begun in 0 s: " in str(refusal.value)
    assert "(until monday); go on with: bluegreen resume shop" in str(refusal.value)
    assert (await blue.status())["lease"] is None


async def test_a_release_that_its_last_part_makes_another_one_is_followed_on(blue: Stage) -> None:
    """Rule 40: several Compose services of one colour are one release, and start one after the other."""
    app, web = (replace(one, unit=one.container, kin="k") for one in (NEW, server("TWO", "cccc")))
    (blue.folder / "compose").write_text(COMPOSE.replace("echo NEW", "echo NEW; echo TWO"))
    (blue.folder / "hold").touch()
    done = blue.begin()
    await eventually(lambda: blue.calls)
    blue.docker(green=(app,))
    (blue.folder / "hold").unlink()
    await blue.until_logged("brings release bbbb to green")
    blue.docker(green=(app, web))
    await blue.until_logged("runs in green now, with every container of it")
    assert (await blue.status())["colours"]["green"]["release"] not in {None, "bbbb", "cccc"}
    await asyncio.to_thread(blue.admin.post, service_path("shop", "abort"), {"reason": "enough"})
    with pytest.raises(RolloutFailed, match=r"ended as aborted by \w+: enough$"):
        await done


async def test_a_colour_that_stays_mixed_ends_with_what_runs_in_it(
    blue: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P10: two Compose services of one colour that differ."""
    monkeypatch.setattr(release, "SEEN_WITHIN_S", 0.5)
    (blue.folder / "compose").write_text(COMPOSE.replace("echo NEW", "echo NEW; echo TWO"))
    done = blue.begin()
    await eventually(lambda: blue.calls)
    blue.docker(green=(NEW, server("TWO", "cccc")))
    with pytest.raises(DeployRefused, match="green is mixed, it must run a single release: bbbb in NEW, cccc in TWO"):
        await done


async def test_containers_of_others_in_the_colour_are_named(blue: Stage) -> None:
    """They make the colour another release than the one that was started, or hide that there is none."""
    done = blue.begin(timeout_s=60.0)
    await eventually(lambda: blue.calls)
    blue.docker(green=(STRANGE,))
    await blue.until_logged("shop: green also has containers that are not of shop-green, remove them: strange")
    await play(blue)
    assert "release bbbb is active in green" in await done


async def test_a_release_that_is_gone_when_we_check_is_followed_by_what_the_history_says(blue: Stage) -> None:
    """One that crashes at its start comes and goes."""
    (blue.folder / "hold").touch()
    done = blue.begin()
    await eventually(lambda: blue.calls)
    blue.docker(green=(NEW,))

    async def begun() -> bool:
        return "begun" in await blue.events()

    await eventually(begun)
    blue.docker()
    (blue.folder / "hold").unlink()
    await blue.until_logged("shop: release bbbb was seen in green, but does not run now")
    await blue.until_logged("shop r1: brings release bbbb to green")
    await asyncio.to_thread(blue.admin.post, service_path("shop", "abort"), {"reason": "it crashes"})
    with pytest.raises(
        RolloutFailed, match=r"rollout r1 of release bbbb in green ended as aborted by \w+: it crashes$"
    ):
        await done


async def test_a_container_that_the_daemon_never_sees_ends_with_what_to_check(
    blue: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release, "SEEN_WITHIN_S", 0.0)
    with pytest.raises(ComposeError) as error:
        await blue.begin()
    assert "the daemon sees none of its containers as a server of shop in green; nothing was switched" in str(
        error.value
    )
    assert "bluegreen.service=shop and bluegreen.colour=${BLUEGREEN_COLOUR}" in str(error.value)
    assert (await blue.status())["lease"] is None


async def test_out_of_time_it_says_what_is_missing(blue: Stage) -> None:
    with pytest.raises(TimedOut, match=r"^shop: timed out: no container of shop-green is a running server of shop in"):
        await blue.begin(timeout_s=0.1)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (
            lambda text: text + "    hold: true\n",
            "rollouts are stopped, by hold: true in the file or by bluegreen pause",
        ),
        (lambda text: text + "    active: blue\n", "says active: blue, so green would get no traffic"),
    ],
    ids=["held", "pinned"],
)
async def test_what_would_get_no_traffic_is_not_started(blue: Stage, edit: Callable[[str], str], words: str) -> None:
    blue.daemon.load(edit(DESIRED))

    async def edited() -> bool:
        status = await blue.status()
        return bool(status["paused"] or status["desired"] == "blue")

    await eventually(edited)
    with pytest.raises(DeployRefused, match=words):
        await blue.begin()
    assert blue.calls == []
    assert "lease-taken" not in await blue.events()


async def test_the_first_deployment_of_all_makes_its_colour_active(stage: Stage) -> None:
    stage.docker(blue=())
    done = stage.begin(colour=Colour.GREEN)
    await eventually(lambda: stage.calls)
    stage.docker(blue=(), green=(NEW,))
    await stage.daemon.judge(Colour.GREEN)
    assert await done == "shop: release bbbb is active in green"
    assert stage.calls == ["-p shop-green -f compose.yaml up -d"]


async def test_where_both_colours_run_and_none_is_active_an_operator_has_to_choose(stage: Stage) -> None:
    """Rule 1."""
    stage.docker(green=(NEW,))

    async def listed() -> bool:
        return bool((await stage.status())["colours"]["green"]["servers"])

    await eventually(listed)
    with pytest.raises(DeployRefused, match=r"undecided: both colours have servers; name one: bluegreen switch shop"):
        await stage.begin()
    assert stage.calls == []
