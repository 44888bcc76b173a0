"""The verbs of a client against a real admin listener: what is asked, what is said, and how it ends."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from provider.cli.main import main
from provider.model import Colour, Decision, Event, Outcome
from provider.rollout.commands.types import Done
from provider.traefik.readback import Reading
from tests.support.operated import MANUAL, TWO, Bluegreen, operating

T1, T2 = "http://10.0.0.1:8080", "http://10.0.0.2:8080"
SETTLED = TWO.replace("watch: 1h", "watch: 1ms")


NOT_VERIFIED = "shop: not verified: the file names no Traefik to read back (traefik.api)\n"
ONE_API, TWO_APIS = (f"traefik: {{api: [{', '.join(names)}]}}\n" for names in ((T1,), (T1, T2)))


@pytest.fixture
async def bluegreen(tmp_path: Path) -> AsyncIterator[Bluegreen]:
    """A daemon on which blue is active and healthy."""
    async with operating(tmp_path / "state") as made:
        yield made


# --- commands --------------------------------------------------------------------------------------------------------


async def test_approve_says_what_it_did_and_what_was_done_already(bluegreen: Bluegreen) -> None:
    release = await bluegreen.release_is_in(MANUAL)
    await bluegreen.until(phase="approval")
    code, out, err = await bluegreen("approve", "shop", "--release", "0" * 8)
    assert (code, out) == (3, "")
    assert f"then bluegreen approve shop --release {release}" in err
    for _ in range(2):
        code, out, err = await bluegreen("approve", "shop")
        assert (code, out) == (2, "")
        assert err == (
            f"bluegreen: shop: release {release} in green waits for approval. Test it, then run: "
            f"bluegreen approve shop --release {release}\n"
        )
    printed = f"shop: release {release} is approved; to follow it: bluegreen wait shop\n{NOT_VERIFIED}"
    assert await bluegreen("approve", "shop", "--release", release) == (0, printed, "")
    await bluegreen.until(active="green")
    again = f"shop: nothing to do: release {release} is active; to follow it: bluegreen wait shop\n"
    assert await bluegreen("approve", "shop", "--release", release) == (0, again, "")


async def test_abort_pause_resume_and_retry_each_say_one_line(bluegreen: Bluegreen) -> None:
    release = await bluegreen.release_is_in(MANUAL)
    await bluegreen.until(phase="approval")
    assert await bluegreen("abort", "shop", "--reason", "no") == (0, "shop: rollout r1 is aborted\n", "")
    printed = "shop: nothing to do: no rollout of shop is under way\n"
    assert await bluegreen("abort", "shop") == (0, printed, "")
    assert await bluegreen("pause", "shop") == (0, "shop: shop is paused\n", "")
    assert await bluegreen("pause", "shop") == (0, "shop: nothing to do: shop was paused by ann\n", "")
    assert await bluegreen("resume", "shop") == (0, "shop: shop goes on\n", "")
    printed = f"shop: tried again: shop green {release}; to follow it: bluegreen wait shop\n"
    assert await bluegreen("retry", "shop") == (0, printed, "")


async def test_switch_takes_either_colour_in_any_case_and_only_the_release_that_is_meant(bluegreen: Bluegreen) -> None:
    release = await bluegreen.release_is_in(MANUAL.replace("active: auto", "active: blue"))
    code, out, err = await bluegreen("switch", "shop", "green", "--release", "other")
    assert (code, out, err) == (3, "", f"bluegreen: green of shop runs release {release}, not other\n")
    printed = "shop: rollout r1 to green has begun; to follow it: bluegreen wait shop\n"
    assert await bluegreen("switch", "shop", "Green", "--release", release) == (0, printed, "")


async def test_force_wants_a_reason_before_anything_is_asked() -> None:
    for arguments in (
        ["switch", "shop", "green", "--force"],
        ["rollback", "shop", "--force", "--reason", " "],
        ["deploy", "shop", "-f", "compose.yaml", "--force"],
    ):
        done = CliRunner().invoke(main, arguments, env={"BLUEGREEN_ADMIN": "http://127.0.0.1:1"})
        assert done.exit_code == 2
        assert "--force requires --reason" in done.stderr


async def test_rollback_leaves_the_release_that_was_active_when_it_was_asked_for(bluegreen: Bluegreen) -> None:
    """Rule 9: somebody else who was faster is success, and nothing is done twice."""
    release = await bluegreen.release_is_in()
    await bluegreen.until(active="green")
    printed = f"shop: blue of shop is active again\n{NOT_VERIFIED}"
    assert await bluegreen("rollback", "shop", "--reason", "it is bad") == (0, printed, "")
    printed = f"shop: nothing to do: release {release} of shop is not active any more\n{NOT_VERIFIED}"
    assert await bluegreen("rollback", "shop", "--from", release) == (0, printed, "")
    code, out, err = await bluegreen("rollback", "shop")
    assert (code, out) == (3, "")
    assert err.startswith("bluegreen: shop cannot be rolled back: ")


# --- the read-back ---------------------------------------------------------------------------------------------------


async def switched(bluegreen: Bluegreen, apis: str) -> None:
    """Let a release come in, which these Traefiks are to show."""
    await bluegreen.release_is_in(TWO + apis)
    await bluegreen.until(active="green")


async def test_a_rollback_waits_until_every_traefik_shows_it_and_says_so(bluegreen: Bluegreen) -> None:
    await switched(bluegreen, TWO_APIS)
    bluegreen.fetched()
    bluegreen.shows("green", T1, T2)
    async with bluegreen.begin("rollback", "shop") as process:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"shop: blue of shop is active again\n", "decided before it waits"
        bluegreen.fetched()
        bluegreen.shows("blue", T1)
        status = await bluegreen.status()
        assert (status["applied"]["by"], status["applied"]["of"], status["applied"]["verified"]) == (1, 2, False)
        bluegreen.shows("blue", T2)
        assert await process.communicate() == (b"shop: applied by 2 of 2 Traefiks\n", b"")
    assert process.returncode == 0


@pytest.mark.takes(12)
@pytest.mark.parametrize("fetched", [True, False], ids=["who fetched it does not show it", "nobody fetched it"])
async def test_a_rollback_that_does_not_reach_traefik_ends_with_5_and_stands(
    bluegreen: Bluegreen, fetched: bool
) -> None:
    await switched(bluegreen, ONE_API)
    bluegreen.fetched()
    bluegreen.shows("green", T1)
    async with bluegreen.begin("rollback", "shop", "--json") as process:
        await bluegreen.until(active="blue")
        if fetched:
            bluegreen.fetched()
        out, err = await process.communicate()
    why = "has fetched the document and does not show it" if fetched else "nobody has fetched it"
    assert process.returncode == 5
    assert "shop: applied by 0 of 1 Traefiks" in err.decode()
    assert why in err.decode()
    answer = json.loads(out)
    assert (answer["status"]["active"], answer["already"]) == ("blue", False)
    assert {key: answer["applied"][key] for key in ("by", "of", "verified", "refused")} == {
        "by": 0,
        "of": 1,
        "verified": False,
        "refused": True,
    }
    (missing,) = answer["applied"]["missing"]
    assert (missing["traefik"], missing["answers"], missing["fetched"]) == (T1, True, fetched)


async def test_a_rollback_that_no_api_can_prove_is_done_and_not_verified(bluegreen: Bluegreen) -> None:
    """P2: an API that is away, or another daemon's, says nothing of this one; nobody waits for it."""
    await switched(bluegreen, TWO_APIS)
    intake = bluegreen.daemon.controller.inputs
    intake.traefik_read(Reading(T1, cause="connection refused"))
    intake.traefik_read(Reading(T2, "bluegreen-0000000000ff", environment="staging"))
    code, out, err = await bluegreen("rollback", "shop")
    assert (code, err) == (0, "")
    first, printed = out.splitlines()
    assert first == "shop: blue of shop is active again"
    assert printed.startswith("shop: not verified: ")
    assert f"{T2} shows documents of another daemon, of environment staging" in printed


async def test_with_no_wait_nothing_is_said_of_traefik(bluegreen: Bluegreen) -> None:
    await switched(bluegreen, ONE_API)
    bluegreen.shows("green", T1)
    assert await bluegreen("rollback", "shop", "--no-wait") == (0, "shop: blue of shop is active again\n", "")


async def test_a_daemon_that_ends_meanwhile_leaves_a_decision_that_stands(
    bluegreen: Bluegreen, monkeypatch: pytest.MonkeyPatch
) -> None:
    from provider.cli.client.admin_api import Admin, NoDaemon
    from provider.cli.client.read_back import read_back

    def nobody(_: object, name: str) -> dict[str, object]:
        raise NoDaemon(f"no daemon answers for {name}")

    monkeypatch.setattr(Admin, "service", nobody)
    missing = [{"traefik": T1, "answers": True, "fetched": None, "reason": "not yet"}]
    applied: Any = {"by": 0, "of": 1, "verified": False, "refused": True, "detail": "", "missing": missing}
    done: Any = {"status": {"phase": "steady", "rollout": None}, "applied": applied}
    found = await asyncio.to_thread(read_back, Admin(bluegreen.admin), "shop", done)
    assert found is not None
    assert not found["refused"]
    assert found["detail"] == "decided and recorded, but not confirmed: no daemon answers for shop"


async def test_a_command_that_moves_no_traffic_waits_for_no_traefik(bluegreen: Bluegreen) -> None:
    await bluegreen.release_is_in(MANUAL + ONE_API)
    bluegreen.shows("blue", T1)
    await bluegreen.until(phase="approval")
    code, out, _ = await bluegreen("abort", "shop", "--json")
    assert (code, json.loads(out)["applied"]) == (0, None)
    printed = "shop: rollout r2 to green has begun; to follow it: bluegreen wait shop\n"
    assert await bluegreen("switch", "shop", "green") == (0, printed, "")


# --- what the daemon does not know -----------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["abort", "rollback", "explain", "history", "wait"])
async def test_a_service_that_the_daemon_does_not_know_is_a_usage_error(bluegreen: Bluegreen, verb: str) -> None:
    code, out, err = await bluegreen(verb, "pay/../shop")
    assert (code, out) == (2, "")
    assert err == "bluegreen: the desired state has no service 'pay/../shop'; it has: shop\n"


@pytest.mark.parametrize("verb", ["abort", "explain", "history"])
def test_without_a_daemon_every_verb_ends_with_6(verb: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, [verb, "shop", "--admin", f"unix:{tmp_path / 'none'}"])
    assert (done.exit_code, done.stdout) == (6, "")


# --- explain and history ---------------------------------------------------------------------------------------------


async def test_explain_says_it_in_sentences_or_as_json(bluegreen: Bluegreen) -> None:
    code, out, err = await bluegreen("explain", "shop")
    assert (code, err) == (0, "")
    assert out.startswith("shop: blue serves traffic: release ")
    code, as_json, _ = await bluegreen("explain", "shop", "--json")
    assert out.splitlines() == json.loads(as_json)["explanation"]


async def test_the_history_is_whole_lines_in_a_pipe_and_the_evidence_is_shown_when_asked_for(
    bluegreen: Bluegreen,
) -> None:
    await bluegreen.release_is_in()
    await bluegreen.until(phase="watching")
    code, out, err = await bluegreen("history", "shop")
    assert (code, err) == (0, "")
    header, *lines = out.splitlines()
    assert header.split() == ["TIME", "SERVICE", "EVENT", "COLOUR", "RELEASE", "ROLLOUT", "OUTCOME", "ACTOR", "DETAIL"]
    events = [line.split()[3] for line in lines]
    assert events[0] == "first-sight"
    assert events[-2:] == ["shifted", "unconfirmed"]
    code, verbose, _ = await bluegreen("history", "--verbose")
    assert "    shop green http://127.0.0.1:8082: healthy\n" in verbose
    code, as_json, _ = await bluegreen("history", "--json", "--limit", "1")
    (newest,) = json.loads(as_json)
    assert newest["event"] == "unconfirmed"
    at = newest["at"]
    code, out, _ = await bluegreen("history", "--since", at)
    assert out.splitlines()[-1].split()[3] == "unconfirmed"
    assert "first-sight" not in out
    assert (await bluegreen("history", "--since", "2999-01-01"))[1] == "no decisions in that time\n"
    assert "first-sight" in (await bluegreen("history", "--since", "1h"))[1]


@pytest.mark.parametrize("since", ["yesterday", "2026-13-01", "-1h", "5 minutes", "2026"])
def test_a_since_that_is_neither_date_nor_duration_says_what_to_write(since: str) -> None:
    done = CliRunner().invoke(main, ["history", f"--since={since}", "--admin", "unix:/nowhere"])
    if since == "2026":  # a number is one of seconds
        assert done.exit_code == 6
        return
    assert done.exit_code == 2
    assert "is neither a date, such as 2026-01-31 or 2026-01-31T12:00:00Z, nor a duration, such as 2h" in done.stderr


# --- wait ------------------------------------------------------------------------------------------------------------


async def test_wait_ends_at_once_where_it_is_so(bluegreen: Bluegreen) -> None:
    code, out, err = await bluegreen("wait", "shop")
    assert (code, err) == (0, "")
    assert out.startswith("shop: blue is active with release ")
    assert out.endswith(", not confirmed, steady\n")
    code, out, _ = await bluegreen("wait", "shop", "--active", "blue", "--json")
    assert (code, json.loads(out)["active"]) == (0, "blue")


async def test_wait_times_out_with_5_and_says_what_is_missing(bluegreen: Bluegreen) -> None:
    assert await bluegreen("wait", "shop", "--active", "green", "--timeout", "0s") == (
        5,
        "",
        "bluegreen: shop: timed out: blue is active, not green\n",
    )
    code, _, err = await bluegreen("wait", "shop", "--until", "confirmed", "--timeout", "0.1")
    assert code == 5
    assert err == "bluegreen: shop: timed out: blue is active, but not confirmed: not every Traefik has applied it\n"
    code, _, err = await bluegreen("wait", "shop", "--timeout", "soon")
    assert code == 2
    assert "'soon' is no duration: write numbers with units, such as 300ms, 5s or 1m30s, or plain seconds" in err


async def test_wait_follows_a_release_until_its_watch_is_over(bluegreen: Bluegreen) -> None:
    release = await bluegreen.release_is_in(SETTLED + "    approval: manual\n")
    await bluegreen.until(phase="approval")
    async with bluegreen.begin("wait", "shop") as waiting:
        assert waiting.stdout is not None
        first = (await waiting.stdout.readline()).decode()
        assert first == f"shop: release {release} waits for approval: bluegreen approve shop --release {release}\n"
        assert (await bluegreen("approve", "shop", "--release", release))[0] == 0
        rest = (await waiting.stdout.read()).decode()
        assert await waiting.wait() == 0
    assert "shop r1: approved by ann\nshop r1: all gates passed\n" in rest
    assert f"shop r1: the watch is over\nshop: green is active with release {release}, not confirmed, steady\n" in rest


async def test_wait_ends_with_4_when_the_rollout_ends_otherwise(bluegreen: Bluegreen) -> None:
    release = await bluegreen.release_is_in(MANUAL)
    await bluegreen.until(phase="approval")
    async with bluegreen.begin("wait", "shop", "--until", "confirmed", "--timeout", "60") as waiting:
        assert waiting.stdout is not None
        assert waiting.stderr is not None
        await waiting.stdout.readline()
        assert (await bluegreen("abort", "shop", "--reason", "not today"))[0] == 0
        assert await waiting.wait() == 4
        printed = (await waiting.stderr.read()).decode()
    assert printed == f"bluegreen: shop: rollout r1 of release {release} in green ended as aborted by ann: not today\n"


async def test_wait_goes_on_with_the_release_when_its_group_begins_a_larger_rollout(bluegreen: Bluegreen) -> None:
    """Rule 11: what is superseded so is not another release, and no failure."""
    grouped = MANUAL.replace("    initial: blue\n", "    initial: blue\n    group: front\n")
    pay = (
        grouped.partition("services:\n")[2].replace("  shop:", "  pay:").replace("shop.", "pay.").replace("808", "809")
    )
    without = pay.replace(", green: {urls: ['http://127.0.0.1:8092']}", "")
    bluegreen.daemon.load(grouped + without)
    for service in ("shop", "pay"):
        await bluegreen.daemon.judge(Colour.BLUE, service=service)
    await bluegreen.until(phase="waiting")
    async with bluegreen.begin("wait", "shop") as waiting:
        assert waiting.stdout is not None
        await waiting.stdout.readline()
        bluegreen.daemon.load(grouped + pay)
        text = ""
        while "brings release" not in text:
            text = (await waiting.stdout.readline()).decode()
            assert text
        rollout = (await bluegreen.status())["rollout"]
        assert text == f"shop {rollout['id']}: brings release {rollout['release']} to green\n"
        assert (await bluegreen("abort", "pay"))[0] == 0
        assert await waiting.wait() == 4


async def test_wait_is_about_the_release_under_way_unless_the_colour_is_named(bluegreen: Bluegreen) -> None:
    """An approval that was given a moment ago is not confirmed because the release before it is."""
    from provider.cli.client.wait import Goal, Until, missing_to

    any_one, blue = (Goal(Until.CONFIRMED, active) for active in (None, "blue"))
    status: Any = {**await bluegreen.status(), "confirmed": True, "phase": "approval", "rollout": {"id": "r1"}}
    assert missing_to(status, any_one) == "in phase approval"
    assert missing_to(status, blue) is None
    watching: Any = {**status, "phase": "watching"}
    assert missing_to(watching, any_one) is None
    assert missing_to(watching, Goal(Until.STEADY)) == "in phase watching"
    undecided: Any = {**status, "active": None}
    assert missing_to(undecided, Goal(Until.STEADY)) is not None


async def test_wait_does_not_take_the_release_before_for_the_one_that_is_coming(bluegreen: Bluegreen) -> None:
    """A deployment that has the lease, or a release that is wanted, is what a pipeline waits for."""
    from provider.cli.client.wait import Goal, Until, missing_to

    steady: Any = {**await bluegreen.status(), "confirmed": True}
    leased: Any = {**steady, "lease": {"holder": "ci", "until": "", "warning": None}}
    wanted: Any = {
        **steady,
        "wanted": {"colour": "green", "release": "r2"},
        "blocking": "release r2 waits: paused by ann",
    }
    for until in Until:
        assert missing_to(steady, Goal(until)) is None
        assert missing_to(leased, Goal(until)) == "ci is deploying, and no rollout has begun yet"
        assert str(missing_to(wanted, Goal(until))).endswith("has not begun yet: release r2 waits: paused by ann")
        assert missing_to(leased, Goal(until), has_switched=True) is None
        warned: Any = {**steady, "lease": {"holder": "ci", "until": "", "warning": "green was rolled back by ann"}}
        assert missing_to(warned, Goal(until)) is None, "it gives up by itself"
        assert missing_to(leased, Goal(until, active="blue")) is None, "what is named is there"


async def test_a_release_is_waited_for_by_its_id_or_its_version(bluegreen: Bluegreen) -> None:
    from provider.cli.client.wait import Goal, Until, missing_to

    status: Any = {**await bluegreen.status(), "confirmed": True}
    colours = {"blue": {"release": "r1", "version": "1.4.1"}, "green": {"release": "r2", "version": "1.4.2"}}
    status |= {"colours": colours}
    for name in ("r1", "1.4.1"):
        assert missing_to(status, Goal(Until.CONFIRMED, release=name)) is None
    assert missing_to(status, Goal(Until.CONFIRMED, release="1.4.2")) == "release r1 is active, and 1.4.2 runs in green"
    missing = missing_to(status, Goal(Until.STEADY, release="r3"))
    assert missing == "release r1 is active, and r3 does not run"


async def test_wait_right_after_a_release_was_started_waits_for_that_release(bluegreen: Bluegreen) -> None:
    """Section 6.4: 0 says that the old colour may be stopped, so it may not be said of the release before."""
    async with bluegreen.begin("wait", "shop") as waiting:
        release = await bluegreen.release_is_in(SETTLED)
        assert await waiting.wait() == 0
        assert waiting.stdout is not None
        assert f"shop: green is active with release {release}" in (await waiting.stdout.read()).decode()
    code, out, _ = await bluegreen("wait", "shop", "--release", release)
    assert (code, release in out) == (0, True)


async def test_wait_for_a_release_that_failed_before_ends_with_4(bluegreen: Bluegreen) -> None:
    release = await bluegreen.release_is_in(MANUAL)
    await bluegreen.until(phase="approval")
    assert (await bluegreen("abort", "shop", "--reason", "no"))[0] == 0
    code, _, err = await bluegreen("wait", "shop", "--release", release, "--timeout", "1m")
    assert (code, f"release {release} in green ended as aborted: no" in err) == (4, True)


async def test_an_ending_is_seen_though_the_clock_was_set_back(bluegreen: Bluegreen) -> None:
    """Rule 14: what is new in the history is found by the rows that are known, not by their dates."""
    from provider.cli.client.admin_api import Admin
    from provider.cli.client.follow import FollowedService

    followed = FollowedService(Admin(bluegreen.admin), "shop", lambda _: None)
    await asyncio.to_thread(followed.begin)
    controller = bluegreen.daemon.controller
    early = Decision(
        datetime(2020, 1, 1, tzinfo=UTC), "shop", Event.ABORTED, Colour.GREEN, "r2", outcome=Outcome.ABORTED
    )
    await controller.command("shop", lambda snapshot, _: Done(snapshot, (early,), ""))
    (row,) = await asyncio.to_thread(followed.new_decisions)
    assert (row["event"], row["at"][:4]) == ("aborted", "2020")
    assert await asyncio.to_thread(followed.new_decisions) == []


# --- deploy, before it starts anything -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-e", "TAG"], "'TAG' is not NAME=VALUE, such as TAG=1.4.2"),
        (["-e", "BLUEGREEN_COLOUR=red"], "BLUEGREEN_COLOUR is set by deploy itself"),
        (["--project-prefix", "Shop"], "'Shop' cannot begin the name of a compose project"),
        (["--timeout", "x"], "'x' is no duration"),
        (["-f", "missing.yaml"], "missing.yaml does not exist (-f)"),
        (["--image", "shop:2"], "--image, --swarm-service, --replicas and --with-registry-auth need --swarm"),
        (["--swarm"], "Missing option '--image', which --swarm needs"),
        (["--swarm", "--image", "shop:2"], "it takes no -f and no --project-prefix"),
    ],
)
def test_deploy_refuses_bad_usage_with_2(arguments: list[str], words: str, tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.touch()
    done = CliRunner().invoke(main, ["deploy", "shop", "-f", str(file), "--admin", "unix:/nowhere", *arguments])
    assert (done.exit_code, done.stdout) == (2, "")
    assert words in done.stderr


def test_deploy_needs_a_compose_file_or_a_swarm() -> None:
    done = CliRunner().invoke(main, ["deploy", "shop", "--admin", "unix:/nowhere"])
    assert done.exit_code == 2
    assert "Missing option '-f' / '--file', or --swarm and --image" in done.stderr


async def test_deploy_refuses_with_3_what_would_get_no_traffic_and_starts_nothing(
    bluegreen: Bluegreen, tmp_path: Path
) -> None:
    file = tmp_path / "compose.yaml"
    file.touch()
    deploy = ("deploy", "shop", "-f", str(file), "--compose", "false")
    code, out, err = await bluegreen(*deploy, "--color", "blue")
    assert (code, out) == (3, "")
    assert err == "bluegreen: shop: blue is active, and deploy changes only the standby, green\n"
    code, _, err = await bluegreen(*deploy)
    assert code == 3
    assert "its servers are in the desired-state file" in err
    assert (await bluegreen.status())["lease"] is None
