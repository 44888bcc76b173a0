"""The verbs of a client while a rollout is in steps, against a real admin listener."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from provider.cli.main import main
from tests.support.operated import TWO, Bluegreen, operating
from tests.support.waiting import eventually

T1 = "http://10.0.0.1:8080"
STEPS = TWO + "    canary: {steps: [{weight: 10, for: 1h}, {weight: 50, for: 1h}]}\n"
APPROVED = TWO + "    canary: {steps: [{weight: 10, for: 1ms, approval: manual}, {weight: 50, for: 1h}]}\n"
NOT_VERIFIED = "shop: not verified: the file names no Traefik to read back (traefik.api)\n"
QUICK = TWO.replace("watch: 1h", "watch: 1ms")


@pytest.fixture
async def bluegreen(tmp_path: Path) -> AsyncIterator[Bluegreen]:
    async with operating(tmp_path / "state") as made:
        yield made


async def in_step(bluegreen: Bluegreen, number: int, **wanted: object) -> Any:
    """Wait until the rollout is in a step; return its status."""

    async def look() -> Any:
        found = (await bluegreen.status())["rollout"]
        assert found is not None
        assert found["step"] is not None
        shown = {key: found["step"][key] for key in wanted}
        assert (found["step"]["number"], shown) == (number, wanted), found["step"]
        return found

    return await eventually(look)


async def begun(bluegreen: Bluegreen, text: str = STEPS) -> str:
    """Let a release come in, and wait until its first step is on; return the release."""
    release = await bluegreen.release_is_in(text)
    await in_step(bluegreen, 1)
    return release


async def test_promote_ends_the_step_that_is_on_and_says_what_traefik_shows(bluegreen: Bluegreen) -> None:
    """Rule 20: the command names the step that it saw, so two of them end one step only."""
    release = await begun(bluegreen)
    printed = f"shop: the time of step 1 is over; to follow it: bluegreen wait shop\n{NOT_VERIFIED}"
    assert await bluegreen("promote", "shop", "--reason", "all is quiet") == (0, printed, "")
    assert (await bluegreen.status())["weights"] == {"blue": 50, "green": 50}
    code, out, err = await bluegreen("promote", "shop", "--step", "1")
    assert (code, err) == (0, "")
    assert out.startswith("shop: nothing to do: step 1 is over; ")
    await in_step(bluegreen, 2)
    code, out, err = await bluegreen("promote", "shop", "--step", "3")
    assert (code, out, err) == (3, "", "bluegreen: step 3 has not begun: shop is in step 2\n")
    code, _, err = await bluegreen("promote", "shop", "--release", "other")
    assert code == 3
    assert "release other was to be promoted" in err
    code, out, _ = await bluegreen("promote", "shop", "--release", release, "--json")
    assert (code, json.loads(out)["applied"]["of"]) == (0, 0)
    assert (await bluegreen.until(active="green"))["phase"] == "watching"


async def test_promote_in_full_ends_all_steps(bluegreen: Bluegreen) -> None:
    await begun(bluegreen)
    code, out, err = await bluegreen("promote", "shop", "--full", "--no-wait")
    assert (code, out, err) == (0, "shop: the time of all steps is over; to follow it: bluegreen wait shop\n", "")
    await bluegreen.until(active="green")


async def test_promote_without_steps_is_refused_and_force_wants_a_reason(bluegreen: Bluegreen) -> None:
    code, out, err = await bluegreen("promote", "shop")
    assert (code, out, err) == (3, "", "bluegreen: no rollout of shop is in steps: bluegreen explain shop\n")
    assert (await bluegreen("promote", "shop", "--force"))[0] == 2
    assert (await bluegreen("promote", "shop", "--step", "0"))[0] == 2


async def test_promote_waives_no_approval_and_says_what_the_step_waits_for(bluegreen: Bluegreen) -> None:
    """Rule 20: only `--force --reason` does."""
    release = await begun(bluegreen, APPROVED)
    command = f"bluegreen approve shop --release {release} --step 1"
    code, out, err = await bluegreen("promote", "shop")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == f"shop: step 1 of release {release} waits for approval: {command}"
    assert (await bluegreen("promote", "shop", "--force", "--reason", "nobody is there"))[0] == 0
    await in_step(bluegreen, 2)


async def test_approve_is_of_the_step_that_was_looked_at(bluegreen: Bluegreen) -> None:
    """Rule 20: the command line fills in the step, and one that is over is no error."""
    release = await begun(bluegreen, APPROVED)
    code, out, err = await bluegreen("approve", "shop")
    assert (code, out) == (2, "")
    assert err == (
        f"bluegreen: shop: release {release} in green is in step 1 of 2 (10 %), and what follows needs approval. Look "
        f"at it, then run: bluegreen approve shop --release {release} --step 1\n"
    )
    assert (await bluegreen("approve", "shop", "--release", release, "--step", "2"))[0] == 3
    printed = f"shop: step 1 is approved; to follow it: bluegreen wait shop\n{NOT_VERIFIED}"
    assert await bluegreen("approve", "shop", "--release", release) == (0, printed, "")
    found = await in_step(bluegreen, 2)
    assert found["step"]["approval"] is None
    code, out, err = await bluegreen("approve", "shop", "--release", release, "--step", "1")
    assert (code, err) == (0, "")
    assert out.startswith("shop: nothing to do: step 1 is over")


async def test_a_rollback_in_steps_leaves_the_release_of_the_candidate(bluegreen: Bluegreen) -> None:
    """Rule 20: it is an abort, and blue has all of the traffic again."""
    release = await begun(bluegreen)
    code, out, err = await bluegreen("rollback", "shop", "--reason", "errors")
    assert (code, out, err) == (0, f"shop: rollout r1 is aborted\n{NOT_VERIFIED}", "")
    status = await bluegreen.until(phase="steady")
    assert (status["weights"], status["quarantined"][0]["release"]) == ({"blue": 100, "green": 0}, release)


@pytest.mark.takes(12)
@pytest.mark.parametrize("verb", ["abort", "rollback"])
async def test_an_abort_that_a_traefik_does_not_show_ends_with_5_and_stands(bluegreen: Bluegreen, verb: str) -> None:
    await bluegreen.release_is_in(STEPS.replace("confirming: 1ms", "confirming: 1h") + f"traefik: {{api: [{T1}]}}\n")
    await in_step(bluegreen, 1)
    bluegreen.fetched()
    bluegreen.shows("green", T1, share=10)
    async with bluegreen.begin(verb, "shop") as process:
        await bluegreen.until(phase="steady")
        bluegreen.fetched()
        _, err = await process.communicate()
    assert process.returncode == 5
    assert "shop: applied by 0 of 1 Traefiks: " in err.decode()
    assert (await bluegreen.status())["weights"] == {"blue": 100, "green": 0}


async def test_promote_waits_until_every_traefik_shows_the_next_step(bluegreen: Bluegreen) -> None:
    await bluegreen.release_is_in(STEPS.replace("confirming: 1ms", "confirming: 1h") + f"traefik: {{api: [{T1}]}}\n")
    await in_step(bluegreen, 1, until=None)
    bluegreen.fetched()
    bluegreen.shows("green", T1, share=10)
    async with bluegreen.begin("promote", "shop") as process:
        assert process.stdout is not None
        first = await process.stdout.readline()
        assert first == b"shop: the time of step 1 is over; to follow it: bluegreen wait shop\n"
        await in_step(bluegreen, 2)
        bluegreen.fetched()
        bluegreen.shows("green", T1, share=50)
        assert await process.communicate() == (b"shop: applied by 1 of 1 Traefiks\n", b"")
    assert process.returncode == 0


# --- wait ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "until", ["step:0", "step:100", "step:", "step", "step:two", "step:-1", "step: 1", "step:1\u0661"]
)
def test_a_step_that_cannot_be_is_a_usage_error(until: str) -> None:
    done = CliRunner().invoke(main, ["wait", "shop", "--until", until, "--admin", "unix:/nowhere"])
    assert done.exit_code == 2
    assert f"{until!r} is none of confirmed, steady and step:N, where N is a number from 1 to 99" in done.stderr


async def test_wait_is_over_in_the_step_or_beyond_it(bluegreen: Bluegreen) -> None:
    release = await bluegreen.release_is_in(STEPS)
    assert (await bluegreen("wait", "shop", "--until", "step:1"))[0] == 0
    code, _, err = await bluegreen("wait", "shop", "--until", "step:2", "--timeout", "0")
    assert code == 5
    assert err.startswith("bluegreen: shop: timed out: in phase shifting: step 1 of 2 (10 %) lasts until ")
    async with bluegreen.begin("wait", "shop", "--release", release, "--until", "step:2") as waiting:
        assert waiting.stdout is not None
        assert (await waiting.stdout.readline()).startswith(b"shop: step 1 of 2 (10 %) lasts until ")
        assert (await bluegreen("promote", "shop"))[0] == 0
        out = (await waiting.stdout.read()).decode()
        assert await waiting.wait() == 0
    assert "shop r1: ann ended the time of step 1\n" in out
    assert "shop r1: passed step 1, 10 %, ended by ann\nshop r1: step 2 of 2: 50 % for the candidate\n" in out
    assert (await bluegreen("promote", "shop", "--full"))[0] == 0
    await bluegreen.until(active="green")
    for until in ("step:1", "step:9"):
        assert (await bluegreen("wait", "shop", "--release", release, "--until", until, "--timeout", "5"))[0] == 0


async def test_wait_for_a_step_ends_with_4_when_the_rollout_is_aborted(bluegreen: Bluegreen) -> None:
    release = await begun(bluegreen)
    async with bluegreen.begin("wait", "shop", "--until", "step:2") as waiting:
        assert waiting.stdout is not None
        await waiting.stdout.readline()
        assert (await bluegreen("abort", "shop", "--reason", "no"))[0] == 0
        _, said = await waiting.communicate()
    assert waiting.returncode == 4
    assert said.decode() == f"bluegreen: shop: rollout r1 of release {release} in green ended as aborted by ann: no\n"
    assert (await bluegreen("wait", "shop", "--release", release, "--until", "step:1"))[0] == 4


async def test_wait_follows_steps_until_the_watch_is_over(bluegreen: Bluegreen) -> None:
    steps = QUICK + "    canary: {steps: [{weight: 10, for: 1ms}, {weight: 50, for: 1h}]}\n"
    await bluegreen.release_is_in(steps)
    await in_step(bluegreen, 2)
    async with bluegreen.begin("wait", "shop") as waiting:
        assert waiting.stdout is not None
        await waiting.stdout.readline()
        assert (await bluegreen("promote", "shop"))[0] == 0
        out = (await waiting.stdout.read()).decode()
        assert await waiting.wait() == 0
    assert "shop r1: switched to green" in out
    assert out.splitlines()[-1].startswith("shop: green is active with release ")
