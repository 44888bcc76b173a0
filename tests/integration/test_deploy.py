"""`bluegreen deploy` with a real Docker Compose and Engine: rule 17 and its exit codes."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bench.engine import Engine
from provider.cli.client.compose import find_command
from provider.model.errors import BluegreenError
from tests.support.components import missing
from tests.support.daemon import FAST_CHECKS, Daemon, StartDaemon
from tests.support.paths import ROOT
from tests.support.release import HOST, until_routed
from tests.support.traefik import Load, StartTraefik
from tests.support.waiting import eventually

DESIRED = f"""\
environment: production
services:
  shop:
    router: {{rule: "Host(`{HOST}`)", entryPoints: [web]}}
    settle: 200ms
    watch: 1s
    healthCheck: {FAST_CHECKS}
"""
UNWATCHED = DESIRED + "    deadlines: {confirming: 200ms}\n"
"""Nobody polls, so nobody confirms."""
SMOKE = "    smokeTests: [{name: home, path: /, contains: 'shop green 2'}]\n"
COMPOSE = """\
version: "2.4"
services:
  app:
    image: bluegreen-test
    network_mode: bridge
    environment:
      BODY: shop ${BLUEGREEN_COLOUR} ${TAG}
    labels:
      bluegreen.service: shop
      bluegreen.colour: ${BLUEGREEN_COLOUR}
      bluegreen.version: ${TAG}
"""


class Deploys:
    """Runs `bluegreen deploy` against one daemon, from a folder of its own that holds the compose file."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine, self.folder = engine, folder
        self.file = folder / "compose.yaml"
        self.file.write_text(COMPOSE)

    @asynccontextmanager
    async def begin(self, daemon: Daemon, tag: str, *more: str, **environment: str) -> AsyncIterator["Deploy"]:
        command = (sys.executable, "-m", "provider", "deploy", "shop", "-f", "compose.yaml", "-e", f"TAG={tag}", *more)
        own = {"DOCKER_HOST": self.engine.url, "BLUEGREEN_ADMIN": daemon.admin_url, "BLUEGREEN_COLOUR": "red"}
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), **own, **environment},
            stdout=PIPE,
            stderr=STDOUT,
        )
        deploy = Deploy(process)
        try:
            yield deploy
        finally:
            if process.returncode is None:
                process.kill()
            self.go()  # a slow compose that is left over holds its output open
            await deploy.ends()

    async def bluegreen(self, daemon: Daemon, *arguments: str) -> tuple[int, str]:
        """Run another verb of a client."""
        environment = {**os.environ, "BLUEGREEN_ADMIN": daemon.admin_url}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "provider", *arguments), env=environment, stdout=PIPE, stderr=STDOUT
        )
        text, _ = await process.communicate()
        return process.returncode or 0, text.decode()

    async def first(self, daemon: Daemon) -> None:
        """Start version 1 in blue by Compose alone, which takes a fifth of the time of a deployment."""
        await self.compose("shop-blue", "up", "-d", BLUEGREEN_COLOUR="blue", TAG="1")

        async def look() -> bool:
            found = await daemon.status("shop")
            blue = found.get("colours", {"blue": {"servers": []}})["blue"]["servers"]
            servers = [(server["health"], server["published"]) for server in blue]
            return (found.get("active"), servers) == ("blue", [("healthy", True)])

        await eventually(look)

    async def compose(self, project: str, *arguments: str, **environment: str) -> None:
        process = await asyncio.create_subprocess_exec(
            *(*find_command(), "-p", project, "-f", "compose.yaml", *arguments),
            cwd=self.folder,
            env={**os.environ, "DOCKER_HOST": self.engine.url, **environment},
            stdout=PIPE,
            stderr=STDOUT,
        )
        text, _ = await process.communicate()
        assert process.returncode == 0, text.decode()

    def slow(self) -> str:
        """Return a compose that starts nothing until `go`."""
        (self.folder / "go").unlink(missing_ok=True)
        script = self.folder / "slow-compose"
        script.write_text(SLOW.replace("COMMAND", " ".join(find_command())))
        script.chmod(0o755)
        return str(script)

    def go(self) -> None:
        """Let a slow compose start what it was asked to start."""
        (self.folder / "go").touch()

    async def run(self, daemon: Daemon, tag: str, *more: str, **environment: str) -> tuple[int, str]:
        async with self.begin(daemon, tag, *more, **environment) as deploy:
            return await deploy.ends(), deploy.text

    def remove(self) -> None:
        for project in ("shop-blue", "shop-green", "shop-hand", "staging-shop-blue", "staging-shop-green"):
            label = {"label": f"com.docker.compose.project={project}"}
            self.engine.remove(*(found["Id"] for found in self.engine.api.containers(all=True, filters=label)))


class Deploy:
    """One deployment that runs; `text` is what it has said."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process, self.text = process, ""
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.text += line.decode()

    async def until_printed(self, words: str) -> None:
        def look() -> bool:
            assert words in self.text, self.text
            return True

        await eventually(look)

    async def ends(self) -> int:
        async with asyncio.timeout(120):
            await self._reading
            return await self.process.wait()


@pytest.fixture
def deploys(engine: Engine, tmp_path: Path) -> Iterator[Deploys]:
    try:
        find_command()
    except BluegreenError as error:
        missing("docker", str(error))
    folder = tmp_path / "application"
    folder.mkdir()
    made = Deploys(engine, folder)
    yield made
    made.remove()


async def test_deploys_go_through_one_after_the_other_and_lose_no_request(
    start_daemon: StartDaemon, start_traefik: StartTraefik, engine: Engine, deploys: Deploys
) -> None:
    """Section 6.4: 0 when the watch is over. The first one of all starts blue."""
    daemon = await start_daemon(DESIRED, docker=engine.url)
    traefik = await start_traefik(daemon.endpoint)
    code, text = await deploys.run(daemon, "1")
    assert code == 0, text
    assert text.splitlines()[-1].endswith("is active in blue")
    await until_routed(daemon, traefik.url("web"), "shop blue 1\n")
    async with Load(traefik.url("web"), HOST) as load:
        for tag, colour in (("2", "green"), ("3", "blue")):
            code, text = await deploys.run(daemon, tag)
            assert code == 0, text
            await load.until_all(f"shop {colour} {tag}\n")
            status = await daemon.until("shop", active=colour, phase="steady", confirmed=True, lease=None)
            release = status["colours"][colour]["release"]
            assert f"BLUEGREEN_COLOUR={colour}" in text
            assert f"release {release} ({tag}) runs in {colour}" in text
            assert f"release {release} is active in {colour}, and its watch is over" in text
            assert "\x1b" not in text
    assert load.failures == []
    events = [line["event"] for line in (await history(daemon))[::-1]]
    assert events.count("lease-taken") == events.count("lease-ended") == 2


@pytest.mark.takes(40)
async def test_a_deployment_in_steps_says_each_and_ends_as_the_watch_is_over(
    start_daemon: StartDaemon, start_traefik: StartTraefik, engine: Engine, deploys: Deploys
) -> None:
    """Rule 20: its lease ends with the first step, and nothing is said of that; another deployment is refused."""
    steps = "    canary: {steps: [{weight: 20, for: 1ms, approval: manual}, {weight: 50, for: 1ms}]}\n"
    daemon = await start_daemon(DESIRED + steps, docker=engine.url)
    traefik = await start_traefik(daemon.endpoint)
    await deploys.first(daemon)
    await until_routed(daemon, traefik.url("web"), "shop blue 1\n")
    async with Load(traefik.url("web"), HOST) as load, deploys.begin(daemon, "2") as deploy:
        await deploy.until_printed("waits for approval of step 1")
        code, text = await deploys.run(daemon, "3")
        assert (code, "is in step 1: the standby serves traffic" in text) == (3, True), text
        release = (await daemon.status("shop"))["rollout"]["release"]
        code, text = await deploys.bluegreen(daemon, "approve", "shop", "--release", release)
        assert code == 0, text
        assert await deploy.ends() == 0, deploy.text
        await load.until_all("shop green 2\n")
    assert load.failures == []
    for words in (
        "step 1 of 2: 20 % for the candidate",
        "passed step 1, 20 %",
        "step 2 of 2: 50 %",
        "switched to green",
    ):
        assert f"shop r1: {words}" in deploy.text
    assert " lease" not in deploy.text
    events = [line["event"] for line in (await history(daemon))[::-1]]
    assert events.count("lease-taken") == events.count("lease-ended") == 1


SLOW = """\
#!/bin/sh
case "$*" in
*" up "*)
    echo compose begins
    while [ ! -e go ]; do sleep 0.05; done
    ;;
esac
exec COMMAND "$@"
"""


async def test_a_second_deployment_at_once_is_refused_with_the_holder(
    start_daemon: StartDaemon, engine: Engine, deploys: Deploys
) -> None:
    """Rule 17: exit code 3; the first one is not disturbed."""
    daemon = await start_daemon(UNWATCHED, docker=engine.url)
    await deploys.first(daemon)
    async with deploys.begin(daemon, "2", "--compose", deploys.slow(), LOGNAME="ann") as first:
        await first.until_printed("compose begins")
        code, text = await deploys.run(daemon, "3", LOGNAME="ben")
        assert (code, text.count("\n")) == (3, 1)
        assert text.startswith("bluegreen: shop: ann deploys shop and holds its lease until ")
        deploys.go()
        assert await first.ends() == 0, first.text
    assert (await daemon.until("shop", active="green", lease=None))["colours"]["green"]["version"] == "2"


async def test_a_release_that_fails_its_smoke_test_ends_with_4_and_the_reason(
    start_daemon: StartDaemon, engine: Engine, deploys: Deploys
) -> None:
    """P1, P9; deployed once more it is not new, so that it has to be asked for, and fails again."""
    daemon = await start_daemon(UNWATCHED + SMOKE, docker=engine.url)
    await deploys.first(daemon)
    code, text = await deploys.run(daemon, "bad")
    assert code == 4, text
    assert "shop r1: smoke tests failed\n" in text
    end = text.splitlines()[-1]
    assert end.startswith("bluegreen: shop: rollout r1 of release ")
    assert "ended as aborted: gate smoke of shop: home failed on " in end
    await daemon.until("shop", active="blue", phase="steady", lease=None)
    code, text = await deploys.run(daemon, "bad")
    assert code == 4, text
    assert (
        "failed before (aborted in rollout r1), requesting its rollout: bluegreen switch shop green --release " in text
    )
    assert text.splitlines()[-1].startswith("bluegreen: shop: rollout r2 of release ")
    code, text = await deploys.run(daemon, "2")
    assert code == 0, text
    assert "; no Traefik confirmed it, check: bluegreen status shop" in text


async def test_what_is_active_already_is_deployed_again_by_asking_for_the_rollback_target(
    start_daemon: StartDaemon, engine: Engine, deploys: Deploys
) -> None:
    """The same compose file and tags in the colour that stands by: nothing is started, and nothing begins by itself."""
    daemon = await start_daemon(UNWATCHED, docker=engine.url)
    await deploys.first(daemon)
    assert (await deploys.run(daemon, "2"))[0] == 0
    code, text = await deploys.run(daemon, "1")
    assert code == 0, text
    assert " is not new in this colour, requesting its rollout: bluegreen switch shop blue --release " in text
    await daemon.until("shop", active="blue", phase="steady", lease=None)


async def test_a_rollback_in_between_stops_compose_before_it_changes_what_has_the_traffic_again(
    start_daemon: StartDaemon, engine: Engine, deploys: Deploys
) -> None:
    """Rule 17: a rollback ignores the lease and warns its holder."""
    daemon = await start_daemon(UNWATCHED, docker=engine.url)
    await deploys.first(daemon)
    assert (await deploys.run(daemon, "2"))[0] == 0
    async with deploys.begin(daemon, "3", "--compose", deploys.slow()) as deploy:
        await deploy.until_printed("compose begins")
        code, text = await deploys.bluegreen(daemon, "rollback", "shop", "--reason", "checkout fails")
        assert code == 0, text
        assert text.startswith("shop: blue of shop is active again\n")
        assert await deploy.ends() == 3, deploy.text
    assert "shop: given up, as green was rolled back by " in deploy.text
    assert deploy.text.rstrip().endswith(": checkout fails. Check that first: bluegreen explain shop")
    status = await daemon.until("shop", active="blue", lease=None)
    assert [server["version"] for server in status["colours"]["blue"]["servers"]] == ["1"]


async def test_an_interrupt_leaves_the_rollout_running_and_says_how_to_go_on(
    start_daemon: StartDaemon, engine: Engine, deploys: Deploys
) -> None:
    daemon = await start_daemon(UNWATCHED + "    approval: manual\n", docker=engine.url)
    await deploys.first(daemon)
    async with deploys.begin(daemon, "2") as deploy:
        await deploy.until_printed("waits for approval")
        deploy.process.send_signal(signal.SIGINT)
        assert await deploy.ends() == 130
    assert deploy.text.splitlines()[-1] == (
        "bluegreen: interrupted: shop: rollout r1 continues; to follow it: bluegreen wait shop; "
        "to abort it: bluegreen abort shop"
    )
    status = await daemon.until("shop", phase="approval", lease=None)
    code, text = await deploys.run(daemon, "2", "--timeout", "1s")
    assert code == 5, text
    approve = f"bluegreen approve shop --release {status['rollout']['release']}"
    assert f"timed out: in phase approval: release {status['rollout']['release']} waits for approval: {approve}" in text
    assert text.rstrip().endswith("the rollout continues, to follow it: bluegreen wait shop")
    assert (await deploys.bluegreen(daemon, *approve.split()[1:]))[0] == 0
    code, text = await deploys.bluegreen(daemon, "wait", "shop", "--active", "green", "--timeout", "1m")
    assert code == 0, text
    assert text.splitlines()[-1].startswith("shop: green is active with release ")


async def test_an_interrupt_while_compose_runs_gives_the_lease_back_and_switches_nothing(
    start_daemon: StartDaemon, engine: Engine, deploys: Deploys
) -> None:
    daemon = await start_daemon(UNWATCHED, docker=engine.url)
    await deploys.first(daemon)
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        async with deploys.begin(daemon, "2", "--compose", deploys.slow()) as deploy:
            await deploy.until_printed("compose begins")
            deploy.process.send_signal(number)
            assert await deploy.ends() == code
        assert "interrupted: shop: compose was stopped, and what it has started in green stays: TAG=2 " in deploy.text
        await daemon.until("shop", active="blue", rollout=None, lease=None)


async def test_a_file_with_both_colours_is_refused_before_anything_is_started(
    start_daemon: StartDaemon, engine: Engine, deploys: Deploys
) -> None:
    """Rule 17: the active colour would be replaced without a gate, as the labels say that it is part of the project."""
    daemon = await start_daemon(UNWATCHED, docker=engine.url)
    await deploys.first(daemon)
    before = (await daemon.until("shop", active="blue"))["colours"]["blue"]["servers"]
    _, _, body = COMPOSE.partition("  app:\n")
    blue, green = (f"  {colour}:\n{body.replace('${BLUEGREEN_COLOUR}', colour)}" for colour in ("blue", "green"))
    deploys.file.write_text(f'version: "2.4"\nservices:\n{blue}{green}')
    for more in ((), ("--force", "--reason", "now")):
        code, text = await deploys.run(daemon, "2", *more)
        assert code == 3, text
        assert "compose service blue: it is labelled shop blue, and blue of shop is not deployed" in text
    status = await daemon.until("shop", active="blue", rollout=None, lease=None)
    assert (status["colours"]["blue"]["servers"], status["colours"]["green"]["servers"]) == (before, [])


async def test_the_containers_of_another_environment_are_not_replaced(
    start_daemon: StartDaemon, engine: Engine, deploys: Deploys
) -> None:
    """Rules 17 and 18: both have the same project on one engine, and each daemon sees its own containers only."""
    labelled = COMPOSE + "      bluegreen.environment: %s\n"
    deploys.file.write_text(labelled % "production")
    production = await start_daemon(UNWATCHED, docker=engine.url)
    await deploys.first(production)
    before = (await production.status("shop"))["colours"]["blue"]["servers"]
    deploys.file.write_text(labelled % "staging")
    initial = "    deadlines: {confirming: 200ms}\n    initial: green\n"
    staging = await start_daemon(DESIRED.replace("production", "staging") + initial, docker=engine.url)
    await staging.until("shop", active="green")
    code, text = await deploys.run(staging, "2")
    assert code == 3, text
    container = before[0]["container"]
    assert f"container {container} is a server of shop in blue of environment production" in text
    assert "choose another --project-prefix" in text
    assert (await production.status("shop"))["colours"]["blue"]["servers"] == before
    code, text = await deploys.run(staging, "2", "--project-prefix", "staging-shop")
    assert code == 0, text
    assert (await production.status("shop"))["colours"]["blue"]["servers"] == before


async def test_containers_that_were_started_by_hand_in_the_standby_are_named_with_how_to_remove_them(
    start_daemon: StartDaemon, engine: Engine, deploys: Deploys
) -> None:
    """Rule 17: beside them the colour would be mixed, and no rollout would ever begin."""
    daemon = await start_daemon(UNWATCHED, docker=engine.url)
    await deploys.first(daemon)
    await deploys.compose("shop-hand", "up", "-d", BLUEGREEN_COLOUR="green", TAG="1.5")
    status = await daemon.until("shop", active="green", phase="steady")
    stranger = status["colours"]["green"]["servers"][0]["container"]
    code, text = await deploys.run(daemon, "2")
    assert code == 0, text
    code, text = await deploys.run(daemon, "3")
    assert code == 3, text
    assert f"green has containers that are not of shop-green ({stranger} of shop)" in text
    assert text.rstrip().endswith(f"docker rm -f {stranger}")
    assert (await daemon.until("shop", active="blue", lease=None))["colours"]["green"]["servers"][0]["version"] == "1.5"


async def test_a_compose_that_fails_ends_with_1_and_gives_the_lease_back(
    start_daemon: StartDaemon, engine: Engine, deploys: Deploys
) -> None:
    daemon = await start_daemon(UNWATCHED, docker=engine.url)
    await deploys.first(daemon)
    deploys.file.write_text(COMPOSE.replace("bluegreen-test", "bluegreen-test-none/such:1"))
    code, text = await deploys.run(daemon, "2")
    assert code == 1, text
    assert "bluegreen: compose failed with exit code 1, and nothing was switched." in text
    await daemon.until("shop", active="blue", rollout=None, lease=None)
    code, text = await deploys.run(daemon, "2", "--compose", "no-such-compose")
    assert code == 1, text
    assert text.splitlines()[-1].startswith("bluegreen: no-such-compose cannot run, and nothing was started: ")
    await daemon.until("shop", active="blue", rollout=None, lease=None)


async def test_a_deployment_outlives_a_daemon_that_is_killed_and_started_again(
    start_daemon: StartDaemon, engine: Engine, deploys: Deploys
) -> None:
    """P5, seen from outside."""
    daemon = await start_daemon(UNWATCHED + "    approval: manual\n", docker=engine.url)
    await deploys.first(daemon)
    async with deploys.begin(daemon, "2") as deploy:
        await deploy.until_printed("waits for approval")
        await daemon.kill()
        await deploy.until_printed("retrying for 30 s")
        await daemon.start()
        status = await daemon.until("shop", phase="approval")
        command = ("approve", "shop", "--release", status["rollout"]["release"])
        assert (await deploys.bluegreen(daemon, *command))[0] == 0
        assert await deploy.ends() == 0, deploy.text


async def history(daemon: Daemon) -> list[dict[str, object]]:
    import orjson

    _, body, _ = await daemon.get("/api/v1/history?service=shop", base=daemon.admin_url)
    return list(orjson.loads(body)["history"])
