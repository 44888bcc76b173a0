"""What goes wrong around the daemon, on fixed servers: its file, its disk, its flags; what was served goes on."""

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from provider.traefik.process import LOOPBACK
from tests.support.daemon import FAST_CHECKS, Daemon, StartDaemon
from tests.support.disk import fill, mount
from tests.support.release import HOST, fixed, routed_shop, until_routed
from tests.support.traefik import Backend, Load, StartBackend, StartTraefik
from tests.support.waiting import eventually

BROKEN = """\
environment: production
services:
  shop:
    activ: green
    router: {entryPoints: [web]}
"""

# --- the desired-state file -----------------------------------------------------------------------------------------


def yaml_error(daemon: Daemon) -> None:
    daemon.write("services: {shop: [")


def schema_errors(daemon: Daemon) -> None:
    daemon.write(BROKEN)


def no_services(daemon: Daemon) -> None:
    daemon.write("environment: production\n")


def deleted(daemon: Daemon) -> None:
    daemon.file.unlink()


def directory(daemon: Daemon) -> None:
    daemon.file.unlink()
    daemon.file.mkdir()


WAYS_TO_BREAK = (yaml_error, schema_errors, no_services, deleted, directory)


async def test_a_file_that_cannot_be_accepted_changes_nothing_and_says_so_until_it_can(
    start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend
) -> None:
    """P4, P11."""
    daemon, traefik, blue, green = await routed_shop(start_daemon, start_traefik, start_backend)
    colour = "blue"
    async with Load(traefik.url("web"), HOST) as load:
        for make_unacceptable in WAYS_TO_BREAK:
            revision = await daemon.metric("bluegreen_document_revision")
            make_unacceptable(daemon)
            refused = await daemon.until_condition("desired-state-refused")
            assert str(daemon.file) in refused["message"]
            assert await daemon.metric("bluegreen_desired_state_last_reload_success") == 0
            (line,) = daemon.logged("desired state refused, what ran before keeps running")[-1:]
            assert all(problem.startswith(str(daemon.file)) for problem in line["problems"])
            assert (await daemon.status("shop"))["active"] == colour
            assert await daemon.metric("bluegreen_document_revision") == revision

            colour, body = ("green", "two") if colour == "blue" else ("blue", "one")
            if daemon.file.is_dir():
                daemon.file.rmdir()
            daemon.write(fixed(blue, green, active=colour))
            await load.until_all(body)
            await daemon.until_condition("desired-state-refused", holds=False)
            assert await daemon.metric("bluegreen_desired_state_last_reload_success") == 1
    assert load.failures == []
    assert len(daemon.logged("desired state refused, what ran before keeps running")) == len(WAYS_TO_BREAK)


async def test_the_file_that_comes_back_as_it_was_is_accepted_again(
    start_daemon: StartDaemon, start_backend: StartBackend
) -> None:
    daemon = await start_daemon(fixed(await start_backend("one"), None))
    text = daemon.file.read_text()
    for make_unacceptable in (deleted, schema_errors):
        make_unacceptable(daemon)
        await daemon.until_condition("desired-state-refused")
        daemon.write(text)
        await daemon.until_condition("desired-state-refused", holds=False)


async def test_a_file_that_goes_while_it_is_being_read_is_missed(
    start_daemon: StartDaemon, start_backend: StartBackend
) -> None:
    """P11: what the file is now counts, not what took long to validate."""
    daemon = await start_daemon(fixed(await start_backend("one"), None))
    await eventually(daemon.document)
    before = bytes_read(daemon)
    names = (f"    m{number}: {{headers: {{frameDeny: true}}}}\n" for number in range(30_000))
    daemon.write(daemon.file.read_text() + "http:\n  middlewares:\n" + "".join(names))
    size = daemon.file.stat().st_size
    await eventually(lambda: bytes_read(daemon) >= before + size)
    daemon.file.unlink()
    await eventually(lambda: daemon.logged("desired state refused, what ran before keeps running"))
    await eventually(lambda: len(daemon.logged("desired state loaded")) == 2)
    await daemon.until_condition("desired-state-refused")


def bytes_read(daemon: Daemon) -> int:
    """Return how much the process has read so far, as the kernel counts (proc(5))."""
    assert daemon.process is not None
    counts = Path(f"/proc/{daemon.process.pid}/io").read_text().split()
    return int(counts[counts.index("rchar:") + 1])


@pytest.mark.parametrize("make_unacceptable", [schema_errors, deleted])
async def test_a_first_start_without_an_acceptable_file_ends_with_all_that_is_wrong(
    start_daemon: StartDaemon, make_unacceptable: Callable[[Daemon], None]
) -> None:
    """P11, exit code 2."""
    daemon = await start_daemon("", start=False)
    make_unacceptable(daemon)
    code, words = await daemon.refuses_to_start()
    assert code == 2
    problems = [line for line in words.splitlines() if line.startswith(f"{daemon.file}:")]
    if make_unacceptable is deleted:
        assert problems == [f"{daemon.file}:1:1: cannot be read: No such file or directory"]
    else:
        assert [problem.split(": ")[1] for problem in problems] == ["services.shop.activ", "services.shop.router.rule"]


@pytest.mark.parametrize("make_unacceptable", [schema_errors, deleted])
async def test_a_start_without_an_acceptable_file_goes_on_with_the_one_accepted_last(
    start_daemon: StartDaemon, start_backend: StartBackend, make_unacceptable: Callable[[Daemon], None]
) -> None:
    """P4, P11: also where the daemon was stopped right after it had read the file."""
    blue, green = await start_backend("one"), await start_backend("two")
    daemon = await start_daemon(fixed(blue, green, active="blue"))
    await daemon.until("shop", active="blue", phase="steady")
    daemon.write(fixed(blue, green, active="green"))
    await eventually(lambda: len(daemon.logged("desired state loaded")) == 2)
    await daemon.stop()
    make_unacceptable(daemon)
    await daemon.start()
    await daemon.until("shop", active="green", phase="steady", desired="green")
    assert await daemon.condition("desired-state-refused")
    assert await daemon.metric("bluegreen_desired_state_last_reload_success") == 0
    daemon.write(fixed(blue, green, active="blue"))
    await daemon.until("shop", active="blue", phase="steady", conditions=[])


# --- first sight ------------------------------------------------------------------------------------------------------


@pytest.mark.takes(12)
async def test_an_undecided_service_holds_the_first_document_back_until_the_file_decides(
    start_daemon: StartDaemon, start_backend: StartBackend
) -> None:
    """Rule 1: also after a crash meanwhile, and although another service is decided."""
    blue, green, other = await start_backend("one"), await start_backend("two"), await start_backend("other")
    second = f"""\
  blog:
    router: {{rule: "Host(`blog.example.com`)"}}
    settle: 100ms
    healthCheck: {FAST_CHECKS}
    servers:
      blue: {{urls: ['{other.url}']}}
"""
    text = fixed(blue, green) + second
    daemon = await start_daemon(text)
    for _ in range(2):
        await daemon.until("blog", active="blue")
        await eventually(lambda: reason(daemon, "service shop is undecided: both colours have servers"))
        status = await daemon.until("shop", active=None)
        assert [condition["code"] for condition in status["conditions"]] == ["undecided"]
        assert "name one: bluegreen switch shop blue|green" in status["blocking"]
        await daemon.kill()
        await daemon.start()
    daemon.write(text.replace("active: auto", "active: auto\n    initial: green"))
    await daemon.until("shop", active="green", phase="steady", conditions=[])
    await eventually(daemon.document)
    assert (await daemon.get("/readyz"))[0] == 200


async def test_a_service_that_is_not_healthy_yet_holds_the_first_document_back(
    start_daemon: StartDaemon, start_backend: StartBackend
) -> None:
    """Rule 1."""
    blue = await start_backend("one")
    await blue.stop()
    daemon = await start_daemon(fixed(blue, None))
    await eventually(lambda: reason(daemon, "service shop has no healthy server in blue yet"))
    await blue.start()
    await eventually(daemon.document)


async def reason(daemon: Daemon, wanted: str) -> bool:
    """Tell whether both provider endpoints answer 503 for this reason."""
    for path in ("/traefik", "/readyz"):
        status, body, headers = await daemon.get(path)
        assert (status, headers.get("Content-Type")) == (503, "application/problem+json")
        assert wanted in body.decode()
    return True


# --- the state directory ----------------------------------------------------------------------------------------------


async def test_a_state_directory_that_cannot_be_written_ends_the_start(start_daemon: StartDaemon, disk: Path) -> None:
    daemon = await start_daemon("environment: production\nservices: {}\n", state=disk / "state", start=False)
    mount("-o", "remount,ro", str(disk))
    code, words = await daemon.refuses_to_start()
    assert code == 1
    assert f"{daemon.state}: cannot be written. Make the file system writable" in words


async def test_a_full_disk_ends_the_first_start(start_daemon: StartDaemon, disk: Path) -> None:
    daemon = await start_daemon("environment: production\nservices: {}\n", state=disk / "state", start=False)
    fill(disk)
    code, words = await daemon.refuses_to_start()
    assert code == 1
    assert f"{daemon.state}" in words
    assert "no room left on the disk" in words


@pytest.mark.takes(13)
async def test_a_second_daemon_on_the_same_state_learns_who_holds_it(
    start_daemon: StartDaemon, start_backend: StartBackend
) -> None:
    """Rule 13."""
    text = fixed(await start_backend("one"), None)
    first = await start_daemon(text)
    second = await start_daemon(text, state=first.state, start=False)
    code, words = await second.refuses_to_start()
    assert code == 1
    assert first.process is not None
    assert f"{first.state}: is held by another daemon (pid {first.process.pid} on " in words
    assert await first.alive()


def damage(database: Path) -> None:
    database.write_bytes(b"no database" + database.read_bytes()[11:])


def make_newer(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA user_version = 99")


@pytest.mark.parametrize(
    ("change", "wanted"),
    [(damage, "is damaged. Stop the daemon and restore"), (make_newer, "has schema version 99, and this bluegreen")],
)
async def test_a_database_that_cannot_be_read_ends_the_start_and_stays_as_it_is(
    start_daemon: StartDaemon, start_backend: StartBackend, change: Callable[[Path], None], wanted: str
) -> None:
    """Rule 13: never a silent fresh start."""
    daemon = await start_daemon(fixed(await start_backend("one"), None))
    await daemon.until("shop", active="blue")
    await daemon.stop()
    database = daemon.state / "bluegreen.db"
    change(database)
    content = database.read_bytes()
    code, words = await daemon.refuses_to_start()
    assert code == 1
    assert f"{database}: {wanted}" in words
    assert database.read_bytes() == content


async def test_decisions_are_taken_on_a_full_disk_from_the_room_kept_back(
    start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend, disk: Path
) -> None:
    """Rule 13: a decision frees the ballast, an observation does not."""
    blue, green = await start_backend("one"), await start_backend("two")
    daemon = await start_daemon(fixed(blue, green, active="blue"), state=disk / "state")
    traefik = await start_traefik(daemon.endpoint)
    await until_routed(daemon, traefik.url("web"), "one")
    ballast = daemon.state / "ballast"
    filler = fill(disk)
    await green.stop()
    await eventually(lambda: daemon.logged("server unhealthy"))
    await daemon.until_condition("store-failing")
    await green.start()
    await daemon.until_checked(50)
    assert ballast.exists()
    async with Load(traefik.url("web"), HOST) as load:
        daemon.write(fixed(blue, green, active="green"))
        await load.until_all("two")
        assert not ballast.exists()
        filler.unlink()
        await daemon.until_condition("store-failing", holds=False)
        await eventually(ballast.exists)
    assert load.failures == []


async def test_a_store_without_any_room_freezes_decisions_while_health_is_followed(
    start_daemon: StartDaemon, start_backend: StartBackend, disk: Path
) -> None:
    """P4, P5, rule 13: what was frozen is decided when there is room again."""
    blue, twin, green = await start_backend("one"), await start_backend("one"), await start_backend("two")

    def file(active: str) -> str:
        return fixed(blue, green, active=active).replace(f"'{blue.url}'", f"'{blue.url}', '{twin.url}'")

    daemon = await start_daemon(file("blue"), state=disk / "state")
    await eventually(lambda: served(daemon, "shop-blue", blue, twin))
    (daemon.state / "ballast").unlink()
    filler = fill(disk)
    daemon.write(file("green"))
    failing = await daemon.until_condition("store-failing")
    assert failing["severity"] == "critical"
    assert "decisions are frozen" in failing["message"]
    assert "no room left on the disk. Make room" in failing["message"]
    assert await daemon.metric("bluegreen_store_failing") == 1
    await twin.stop()
    await eventually(lambda: served(daemon, "shop-blue", blue))
    status = await daemon.status("shop")
    assert (status["active"], status["phase"], status["rollout"]) == ("blue", "steady", None)
    filler.unlink()
    status = await daemon.until("shop", active="green", phase="steady")
    assert "store-failing" not in {condition["code"] for condition in status["conditions"]}
    assert await daemon.metric("bluegreen_store_failing") == 0


async def test_a_database_that_was_moved_away_freezes_decisions_until_it_is_back(
    start_daemon: StartDaemon, start_backend: StartBackend
) -> None:
    """Rule 13."""
    blue, green = await start_backend("one"), await start_backend("two")
    daemon = await start_daemon(fixed(blue, green, active="blue"))
    await eventually(daemon.document)
    database, aside = daemon.state / "bluegreen.db", daemon.state / "aside"
    database.rename(aside)
    shutil.copy(aside, database)
    daemon.write(fixed(blue, green, active="green"))
    failing = await daemon.until_condition("store-failing")
    assert f"{database}: was removed or replaced while the daemon ran" in failing["message"]
    assert (await daemon.status("shop"))["active"] == "blue"
    aside.replace(database)
    await daemon.until("shop", active="green", phase="steady", conditions=[])


@pytest.mark.parametrize("way", ["full", "moved"])
async def test_a_daemon_whose_store_fails_still_ends_cleanly(
    start_daemon: StartDaemon, start_backend: StartBackend, disk: Path, way: str
) -> None:
    """SIGTERM: exit 0; the revision goes on although its last number could not be written (P6)."""
    daemon = await start_daemon(fixed(await start_backend("one"), None), state=disk / "state")
    await eventually(daemon.document)
    revision = await daemon.metric("bluegreen_document_revision")
    assert revision is not None
    database, aside, filler = daemon.state / "bluegreen.db", daemon.state / "aside", None
    if way == "full":
        (daemon.state / "ballast").unlink()
        filler = fill(disk)
    else:
        database.rename(aside)
    assert await daemon.stop() == 0
    if filler is not None:
        filler.unlink()
    else:
        aside.rename(database)
    await daemon.start()
    await eventually(daemon.document)
    assert (await daemon.metric("bluegreen_document_revision") or 0) > revision


# --- flags ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flag", ["--listen", "--admin-listen"])
async def test_an_address_in_use_ends_the_start(
    start_daemon: StartDaemon, start_backend: StartBackend, flag: str
) -> None:
    taken = await start_backend("one")
    daemon = await start_daemon(fixed(taken, None), start=False)
    daemon.arguments += [flag, f"{LOOPBACK}:{taken.port}"]
    code, words = await daemon.refuses_to_start()
    assert code == 1
    assert f"cannot listen on {LOOPBACK}:{taken.port}: Address already in use; stop what listens there" in words


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--listen", "8900"),
        ("--listen", "127.0.0.1:http"),
        ("--admin-listen", "127.0.0.1:70000"),
        ("--admin-listen", "unix:"),
        ("--docker", "nonsense"),
        ("--docker", "ftp://127.0.0.1:21"),
        ("--write-file", "/nowhere/shop.json"),
    ],
)
async def test_a_flag_that_cannot_be_right_is_a_usage_error(start_daemon: StartDaemon, flag: str, value: str) -> None:
    """Exit code 2."""
    daemon = await start_daemon("environment: production\nservices: {}\n", start=False)
    daemon.arguments += [flag, value]
    code, words = await daemon.refuses_to_start()
    assert code == 2
    assert words.startswith("bluegreen: ")
    assert value in words


# --- groups, and Traefik as it comes ----------------------------------------------------------------------------------


async def test_a_group_switches_in_one_document(start_daemon: StartDaemon, start_backend: StartBackend) -> None:
    """P3, rule 11: no document shows one member switched and the other not."""
    backends = [await start_backend(f"{number}") for number in range(4)]

    def file(active: str) -> str:
        first = fixed(*backends[:2], active=active).replace("    settle", "    group: storefront\n    settle")
        cart = fixed(*backends[2:], active=active, more="    group: storefront\n").partition("services:\n")[2]
        return first + cart.replace("shop", "cart")

    daemon = await start_daemon(file("blue"))
    await eventually(daemon.document)
    seen = set()

    async def look(wanted: str) -> bool:
        services = (await daemon.document())["http"]["services"]
        colours = tuple(services[name]["weighted"]["services"][0]["name"] for name in ("cart", "shop"))
        seen.add(colours)
        return colours == (f"cart-{wanted}", f"shop-{wanted}")

    for wanted in ("green", "blue") * 5:
        daemon.write(file(wanted))
        end = asyncio.get_running_loop().time() + 60
        while not await look(wanted):
            assert asyncio.get_running_loop().time() < end, daemon.words()
    assert seen == {("cart-blue", "shop-blue"), ("cart-green", "shop-green")}


async def test_a_release_reaches_a_traefik_that_polls_as_it_comes(
    start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend
) -> None:
    """The whole thing with Traefik's default poll interval and throttle."""
    blue, green = await start_backend("one"), await start_backend("two")
    daemon = await start_daemon(fixed(blue, None))
    await eventually(daemon.document)
    traefik = await start_traefik(daemon.endpoint, poll_interval_s=5.0, throttle_s=2.0)
    await until_routed(daemon, traefik.url("web"), "one")
    async with Load(traefik.url("web"), HOST) as load:
        await load.until_all("one")
        daemon.write(fixed(blue, green))
        await load.until_all("two")
    assert load.failures == []
    assert traefik.errors() == ()


async def served(daemon: Daemon, name: str, *backends: Backend) -> bool:
    """Tell whether the document has exactly these servers under a load balancer."""
    services = (await daemon.document()).get("http", {}).get("services", {})
    found = {server["url"] for server in services.get(name, {}).get("loadBalancer", {}).get("servers", ())}
    return found == {backend.url for backend in backends}
