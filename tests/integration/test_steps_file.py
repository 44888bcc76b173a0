"""A release in steps as the desired-state file has it: from its keys to what clients of a real Traefik get."""

from provider.traefik.process import Traefik
from tests.support.daemon import Daemon, StartDaemon
from tests.support.release import HOST, fixed, until_routed
from tests.support.stepping import ask
from tests.support.traefik import Load, StartBackend, StartTraefik
from tests.support.waiting import eventually

VALUE = "d41f0c9be7a25613"
TESTED = "    approval: manual\n    testRoute: {header: {name: X-Release, valueFile: value}}\n"


async def answers(traefik: Traefik, body: str, **headers: str) -> bool:
    return (await ask(traefik.url("web"), HOST, headers=headers)).body == body


async def test_a_candidate_is_reached_by_the_value_in_a_file_that_nothing_shows(
    start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend
) -> None:
    """Rule 24."""
    blue, green = await start_backend("one"), await start_backend("two")
    daemon = await start_daemon(fixed(blue, None, more=TESTED), start=False)
    (daemon.file.parent / "value").write_text(f"{VALUE}\n")
    await daemon.start()
    traefik = await start_traefik(daemon.endpoint)
    await until_routed(daemon, traefik.url("web"), "one")
    daemon.write(fixed(blue, green, more=TESTED))
    status = await daemon.until("shop", phase="approval")
    assert await eventually(lambda: answers(traefik, "two", **{"X-Release": VALUE}))
    assert await answers(traefik, "one")
    assert await answers(traefik, "one", **{"X-Release": "another"})
    assert VALUE not in f"{status}{daemon.words()}"
    assert VALUE not in str(await daemon.history("shop"))


async def test_a_file_whose_value_is_gone_changes_nothing_and_says_so(
    start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend
) -> None:
    """P4, P11, rule 13: neither an edit nor a start of the daemon takes anything away."""
    blue = await start_backend("one")
    daemon = await start_daemon(fixed(blue, None, more=TESTED), start=False)
    value = daemon.file.parent / "value"
    value.write_text(VALUE)
    await daemon.start()
    traefik = await start_traefik(daemon.endpoint)
    await until_routed(daemon, traefik.url("web"), "one")
    value.unlink()
    daemon.write(fixed(blue, None, more=TESTED) + "    minServers: 1\n")
    refused = await daemon.until_condition("desired-state-refused")
    assert f"{value} cannot be read: No such file or directory" in refused["message"]
    daemon.write(fixed(blue, None, more=TESTED))
    await daemon.kill()
    await daemon.start()
    await daemon.until_condition("desired-state-outdated")
    assert await answers(traefik, "one")


async def test_the_steps_of_a_file_give_a_release_its_traffic_bit_by_bit(
    start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend
) -> None:
    """Rule 19."""
    blue, green = await start_backend("one"), await start_backend("two")
    steps = "    canary: {steps: [{weight: 20, approval: manual}, {weight: 60, for: 500ms}]}\n"
    daemon = await start_daemon(fixed(blue, None, more=steps))
    traefik = await start_traefik(daemon.endpoint)
    await until_routed(daemon, traefik.url("web"), "one")
    daemon.write(fixed(blue, green, more=steps))
    await first_step(daemon)
    async with Load(traefik.url("web"), HOST) as load:
        await load.until_answer("two")
        await load.until_answer("one")
        status = await daemon.status("shop")
        assert status["weights"] == {"blue": 80, "green": 20}
        release = status["rollout"]["release"]
        code, answer = await daemon.command("shop", "approve", release=release, step=1)
        assert code in {200, 202}, answer  # 202 while Traefik has yet to show the step
        await load.until_all("two")
    assert load.failures == []
    assert (await daemon.status("shop"))["active"] == "green"


async def first_step(daemon: Daemon) -> None:
    status = await daemon.until("shop", phase="shifting", active="blue")
    assert status["rollout"]["step"]["number"] == 1
    assert status["rollout"]["step"]["of"] == 2
