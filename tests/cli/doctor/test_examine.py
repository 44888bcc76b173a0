"""What the doctor learns from a daemon, and what it then does not look at."""

from pathlib import Path

from click.testing import CliRunner

from provider.api.about import About
from provider.api.admin import admin_app
from provider.cli.client.admin_api import Admin
from provider.cli.doctor.examine import Options, examine
from provider.cli.doctor.findings import Code, Report
from provider.cli.main import main
from provider.controller.state import State
from provider.model import Instant
from provider.model import api_types as api
from tests.support.running import Running, listening, running, shop
from tests.support.worlds import BLUE

OUT_OF_REACH = "/proc/self/nothing"


async def ask(daemon: Running, about: About, **options: object) -> Report:
    async with listening(admin_app(daemon.replica, about=about)) as address:
        given = {"traefiks": (), "docker": "none", **options}
        return await examine(Options(Admin(address), **given))  # type: ignore[arg-type]  # those of Options


def skipped(report: Report) -> dict[str, str]:
    return {one.what: one.because for one in report.skipped}


class Elsewhere(About):
    """How a daemon in a container tells of itself: its files are at places that this machine does not have."""

    async def answer(self, state: State, now: Instant) -> api.Daemon:
        answer = await super().answer(state, now)
        return {
            **answer,
            "files": [{"role": role, "path": str(path), "place": "0:1"} for role, path in self.files.items()],
        }


async def test_files_at_the_same_path_that_are_others_are_not_taken_for_the_daemons(tmp_path: Path) -> None:
    """P2: the daemon may run in a container, where the same path is another file."""
    file, state = tmp_path / "production.yaml", tmp_path / "state"
    file.write_text(shop())
    file.chmod(0o666)
    files = {"desired-state": file, "state-dir": state}
    async with running(state) as daemon:
        daemon.load(shop())
        same = await ask(daemon, About(files=files))
        elsewhere = await ask(daemon, Elsewhere(files=files))
        named = await ask(daemon, Elsewhere(files=files), desired_state=file)
    assert Code.FILE_WRITABLE in [one.code for one in same.findings]
    assert Code.FILE_WRITABLE not in [one.code for one in elsewhere.findings]
    assert "docker exec DAEMON" in skipped(elsewhere)[f"files: desired-state {file}, state-dir {state}"]
    assert skipped(elsewhere)["the desired state"] == "no file to read here: name it with --desired-state"
    assert Code.FILE_WRITABLE in [one.code for one in named.findings], "whoever names it knows it"


async def test_a_file_that_the_daemon_itself_does_not_find_is_missing(tmp_path: Path) -> None:
    async with running(tmp_path / "state") as daemon:
        daemon.load(shop())
        found = await ask(daemon, About(files={"tokens-file": Path(OUT_OF_REACH)}))
    assert [one.where for one in found.findings if one.code is Code.FILE_MISSING] == [f"tokens-file {OUT_OF_REACH}"]


async def test_the_engine_is_the_daemons_unless_it_has_none_or_another_is_named(tmp_path: Path) -> None:
    state, gone = tmp_path / "state", f"unix://{tmp_path}/none.sock"
    async with running(state) as daemon:
        daemon.load(shop())
        without = await ask(daemon, About(), docker=None)
        its_own = await ask(daemon, About(docker_enabled=True, docker=gone, files={"state-dir": state}), docker=None)
        named = await ask(daemon, About(), docker=gone)
    assert skipped(without)["Docker"] == "the daemon was started with --docker none"
    for found in (its_own, named):
        assert [one.where for one in found.findings if one.code is Code.DOCKER_UNREACHABLE] == [f"Docker {gone}"]


async def test_without_a_daemon_all_else_is_checked(tmp_path: Path) -> None:
    file = tmp_path / "production.yaml"
    file.write_text(shop(more="    activ: blue\n"))
    admin = Admin(f"unix:{tmp_path / 'none'}")
    found = await examine(Options(admin, desired_state=file, traefiks=(), docker="none"))
    assert [one.code for one in found.findings] == [Code.NO_DAEMON, Code.DESIRED_STATE_REFUSED]
    assert f"{file}:8:5: services.shop.activ" in found.findings[1].what
    assert found.findings[1].fix.startswith(f"bluegreen validate {file}")


async def test_the_daemons_clock_is_compared_with_ours(tmp_path: Path) -> None:
    async with running(tmp_path / "state") as daemon:
        daemon.load(shop())
        await daemon.judge(BLUE)
        found = await ask(daemon, About())
    assert Code.CLOCK_SKEW not in [one.code for one in found.findings]
    assert "daemon" in found.checked[0]
    assert "(production: shop)" in found.checked[0]


def test_bad_usage_is_reported_before_anything_is_asked_and_nothing_checked_is_no_pass(tmp_path: Path) -> None:
    """P2."""
    nothing = ("--admin", "none", "--docker", "none", "--traefik", "none")
    for arguments, words in (
        (nothing, "nothing to check"),
        (("--traefik", "traefik:8080"), "'traefik:8080' is not a URL: write http://HOST:PORT, or none"),
        (("--ignore", "nonsense"), "'nonsense' is not a finding"),
        (("-f", str(tmp_path / "none.yaml")), "none.yaml does not exist (-f)"),
    ):
        done = CliRunner().invoke(main, ["doctor", *arguments])
        assert (done.exit_code, done.stdout) == (2, "")
        assert words in done.stderr


def test_a_set_up_that_is_checked_without_a_daemon_ends_by_what_was_found(tmp_path: Path) -> None:
    file = tmp_path / "production.yaml"
    file.write_text(shop())
    alone = ("doctor", "--docker", "none", "--desired-state", str(file))
    done = CliRunner().invoke(main, [*alone, "--admin", "none"])
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (0, "no findings; 3 skipped")
    file.chmod(0o666)
    done = CliRunner().invoke(main, [*alone, "--admin", "none"])
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (3, "1 warning; 3 skipped")
    assert f"    fix: chmod o-w {file}" in done.stdout
    done = CliRunner().invoke(main, [*alone, "--admin", f"unix:{tmp_path / 'none'}"])
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (6, "1 critical, 1 warning; 2 skipped")
