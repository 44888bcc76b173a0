"""The one owner of mutable state: what it publishes, when, and what it says meanwhile."""

import asyncio
import contextlib
import sqlite3
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from structlog.testing import capture_logs

from provider import config
from provider.config.diff import edit
from provider.controller.tracked_services import TrackedServices
from provider.docker.labels import Scope
from provider.model import ByColour, Decision, Event, Health, Instant, Outcome, Server, Verb
from provider.model.errors import ChangeTooLarge, DesiredStateError
from provider.rollout import commands
from provider.rollout.commands.types import Command
from provider.runtime.clock import clock
from provider.store import Change, StoredServers
from provider.store.sqlite import SqliteStore
from provider.traefik.document import rest
from tests.support.running import Running, Stubborn, running, shop, url
from tests.support.waiting import eventually
from tests.support.worlds import BLUE, GREEN


def in_docker(more: str = "", service: str = "shop") -> str:
    return (
        f"environment: production\nservices:\n  {service}:\n    router: {{rule: 'Host(`{service}.example.com`)'}}\n"
        f"    settle: 1ms\n    healthCheck: {{mode: docker}}\n{more}"
    )


def container(number: int, release: str, health: Health = Health.HEALTHY) -> Server:
    return Server(f"http://10.0.0.{number}:80", release, container=f"c{number}", docker_health=health)


def reason(of: Running) -> str | None:
    return of.controller.publisher.draft.held_back(clock())


# --- the first document --------------------------------------------------------------------------------------------


async def test_the_first_document_waits_for_a_healthy_server_and_says_so(tmp_path: Path) -> None:
    """Rule 1."""
    async with running(tmp_path) as daemon:
        assert reason(daemon) == "no desired state was accepted yet"
        daemon.load(shop())
        await eventually(lambda: reason(daemon) == "service shop has no healthy server in blue yet")
        assert daemon.controller.published is None
        await daemon.judge(BLUE)
        published = await daemon.until_served(blue=[url("8081")])
        assert published.revision == 1
        assert daemon.metric("document_revision") == 1
        assert daemon.metric("document_bytes") == len(published.document.body)


async def test_the_first_document_has_no_server_that_nobody_has_judged(tmp_path: Path) -> None:
    """Rule 3: only what was in a document stays until proven unhealthy."""
    async with running(tmp_path) as daemon:
        daemon.load(shop(blue="8081 8082"))
        await daemon.judge(BLUE, port="8081")
        await daemon.until_served(blue=[url("8081")])
        await daemon.judge(BLUE, port="8082")
        await daemon.until_served(blue=[url("8081"), url("8082")])


async def test_an_undecided_service_holds_the_first_document_back_until_the_file_decides(tmp_path: Path) -> None:
    """Rule 1."""
    async with running(tmp_path) as daemon:
        daemon.load(shop(green="8082"))
        await eventually(lambda: "undecided" in str(reason(daemon)))
        daemon.load(shop(green="8082", more="    initial: green\n"))
        await daemon.judge(GREEN)
        await daemon.until_served(green=[url("8082")])


async def test_a_file_without_services_gives_a_document_with_its_marker_alone(tmp_path: Path) -> None:
    """P4: never `{}`."""
    async with running(tmp_path) as daemon:
        daemon.load("environment: production\nservices: {}\n")
        content = await eventually(daemon.content)
        published = daemon.controller.published
        assert published is not None
        assert content["http"].keys() == {"middlewares"}
        assert content["http"]["middlewares"].keys() == {published.document.marker}


async def test_a_document_that_would_route_nothing_waits_for_a_service_whatever_else_it_holds(tmp_path: Path) -> None:
    """P4: a Traefik may still route by what an earlier life of the daemon gave it."""
    extra = "tls: {options: {default: {minVersion: VersionTLS12}}}\nhttp: {middlewares: {a: {compress: {}}}}\n"
    async with running(tmp_path, docker=True) as daemon:
        daemon.load(shop(blue=None, more=extra))
        daemon.list_docker()
        await eventually(lambda: reason(daemon) == "no service has an active colour yet")
        assert daemon.controller.published is None


async def test_a_daemon_killed_before_its_first_document_starts_as_on_an_empty_store(tmp_path: Path) -> None:
    """Rule 1: what was reserved for documents that never were must not pass for a document."""
    saved: set[str] = set()

    class Noted(SqliteStore):
        async def save_servers(self, servers: Mapping[str, StoredServers]) -> None:
            await super().save_servers(servers)
            saved.update(servers)

    async with running(tmp_path, orderly=False, store=Noted) as daemon:
        daemon.load(shop())
        await eventually(lambda: "shop" in saved)
    async with running(tmp_path) as daemon:
        daemon.load(shop())
        await eventually(lambda: reason(daemon) == "service shop has no healthy server in blue yet")
        assert daemon.controller.published is None


# --- a release -----------------------------------------------------------------------------------------------------


async def release(daemon: Running) -> None:
    """Bring up blue, then switch to a green that is healthy."""
    daemon.load(shop())
    await daemon.judge(BLUE)
    await daemon.until_served(blue=[url("8081")])
    daemon.load(shop(green="8082"))
    await daemon.judge(GREEN)
    await daemon.until_served(green=[url("8082")])


async def test_a_release_switches_in_one_document_once_it_is_healthy(tmp_path: Path) -> None:
    """P1, P3; the log has a line a change, and the counters count once."""
    async with running(tmp_path) as daemon:
        with daemon.recording(), capture_logs() as logs:
            await release(daemon)
        assert [orjson.loads(one.document.body)["http"]["services"].keys() for one in daemon.documents] == [
            {"shop", "shop-blue"},
            {"shop", "shop-green"},
        ]
        assert [one.revision for one in daemon.documents] == [1, 2]
        assert daemon.metric("switches_total", service="shop", colour="green", trigger="file") == 1
        # It is not over yet, and counted from zero on: a rate knows nothing of what begins with 1.
        counted = {outcome: daemon.metric("rollouts_total", service="shop", outcome=outcome) for outcome in Outcome}
        assert counted == dict.fromkeys(Outcome, 0.0)
        assert daemon.metric("rollout_phase_duration_seconds_count", phase="waiting") == 1
        told = [line["event"] for line in logs]
        assert Counter(told) == {
            **dict.fromkeys(("desired state loaded", "server healthy", "document published"), 2),
            **dict.fromkeys(("first-sight", "begun", "ready", "tested", "approved", "shifted"), 1),
        }
        shifted = logs[told.index("shifted")]
        assert (shifted["service"], shifted["colour"], shifted["phase"]) == ("shop", "green", "confirming")


async def test_a_group_switches_in_one_document(tmp_path: Path) -> None:
    """P3, rule 11."""

    def both(colours: str) -> str:
        services = "".join(
            f"  {name}: {{group: front, settle: 1ms, initial: blue, router: {{rule: 'Host(`{name}`)'}}, servers: "
            f"{{{colours.replace('PORT', port)}}}}}\n"
            for name, port in (("cart", "91"), ("shop", "92"))
        )
        return f"environment: production\nservices:\n{services}"

    blue = "blue: {urls: ['http://127.0.0.1:80PORT']}"
    async with running(tmp_path) as daemon:
        daemon.load(both(blue))
        for name in ("cart", "shop"):
            await daemon.judge(BLUE, service=name)
        await eventually(lambda: daemon.served("cart") and daemon.served("shop"))
        with daemon.recording():
            daemon.load(both(blue + ", green: {urls: ['http://127.0.0.1:81PORT']}"))
            await daemon.judge(GREEN, service="cart")
            await daemon.judge(GREEN, service="shop")
            await daemon.until_served("shop", green=[url("8192")])
        kinds = [set(orjson.loads(one.document.body)["http"]["services"]) for one in daemon.documents]
        assert kinds[-1] == {"cart", "cart-green", "shop", "shop-green"}
        assert all(kind in (kinds[-1], {"cart", "cart-blue", "shop", "shop-blue"}) for kind in kinds)


async def test_what_changes_nothing_in_the_document_publishes_nothing(tmp_path: Path) -> None:
    """P12."""
    async with running(tmp_path) as daemon:
        await release(daemon)
        before = daemon.controller.published
        daemon.load(shop(green="8082", more="    deadlines: {waiting: 3m}\n"))
        await daemon.judge(BLUE, Health.UNHEALTHY)
        await eventually(lambda: "8081" in str(sick(daemon)))
        daemon.controller.loop_failed("publish", ValueError("made up"))
        await eventually(lambda: not daemon.controller.queues.unpublished._asked)
        assert daemon.controller.published is before


def sick(daemon: Running) -> list[str]:
    health = daemon.controller.state.services["shop"].health
    return [key.url for key, found in health.items() if found.health is Health.UNHEALTHY]


async def test_a_server_that_fails_leaves_the_document_and_comes_back(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        daemon.load(shop(blue="8081 8082"))
        await daemon.judge(BLUE)
        await daemon.until_served(blue=[url("8081"), url("8082")])
        with capture_logs() as logs:
            await daemon.judge(BLUE, Health.UNHEALTHY, port="8082")
            await daemon.until_served(blue=[url("8081")])
            await eventually(lambda: logs)
        assert logs[0] == {
            "event": "server unhealthy",
            "log_level": "warning",
            "service": "shop",
            "colour": BLUE,
            "server": url("8082"),
            "cause": "connection refused",
        }
        await daemon.judge(BLUE, port="8082")
        await daemon.until_served(blue=[url("8081"), url("8082")])


@pytest.mark.parametrize("turns", range(4))
async def test_a_reload_while_a_document_is_being_made_takes_no_service_away(tmp_path: Path, turns: int) -> None:
    """P4: the loop lets others work between two hundreds of services, and a reload may be among them."""

    def many(rule: str) -> str:
        services = "".join(
            f"  s{number}: {{active: blue, router: {{rule: 'Host(`{rule}`)'}}, servers: "
            f"{{blue: {{urls: ['http://127.0.0.1:{9000 + number}']}}}}}}\n"
            for number in range(450)
        )
        return f"environment: production\nservices:\n{services}"

    async with running(tmp_path, orderly=False) as daemon:
        before, after = (config.load(many(rule), "desired.yaml") for rule in ("before", "after"))
        with capture_logs():
            daemon.controller.desired_loaded(edit(None, before), "before")
            for name in before.services:
                await daemon.judge(BLUE, service=name)
            await eventually(daemon.content)
        with daemon.recording(), capture_logs():
            daemon.controller.loop_failed("a loop", ValueError("made up"))
            for _ in range(turns):
                await asyncio.sleep(0)
            daemon.controller.desired_loaded(edit(before, after), "after")
            await eventually(lambda: b"before" not in daemon.documents[-1].document.body)
        assert {len(orjson.loads(one.document.body)["http"]["routers"]) for one in daemon.documents} == {450}


async def test_a_service_that_is_renamed_is_dark_at_no_moment(tmp_path: Path) -> None:
    """P4: the new name is decided before the old one leaves the document."""
    async with running(tmp_path) as daemon:
        daemon.load(shop())
        await daemon.judge(BLUE)
        await daemon.until_served(blue=[url("8081")])
        with daemon.recording():
            daemon.load(shop().replace("  shop:", "  store:"))
            await daemon.until_served("store", blue=[url("8081")])
            await eventually(lambda: "shop" not in daemon.content()["http"]["routers"])
        assert all(orjson.loads(one.document.body)["http"].get("routers") for one in daemon.documents)


async def test_a_service_that_leaves_the_file_leaves_the_document_and_is_probed_no_more(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        daemon.load(shop())
        await daemon.judge(BLUE)
        await daemon.until_served(blue=[url("8081")])
        daemon.load("environment: production\nservices: {}\n")
        await daemon.until_served()
        assert daemon.edges.probes == {"shop": frozenset()}
        daemon.load(shop(green="8082"))
        await eventually(lambda: daemon.controller.state.services["shop"].state.active is BLUE)


# --- restarts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("orderly", [True, False], ids=["stopped", "killed"])
async def test_a_restart_publishes_the_same_bytes_under_a_higher_revision(tmp_path: Path, orderly: bool) -> None:
    """P5, P6; nothing is asked of the servers first (rule 3)."""
    async with running(tmp_path, orderly=orderly) as daemon:
        await release(daemon)
        before = daemon.controller.published
        stored = daemon.controller.state.services["shop"].published
        await eventually(lambda: not daemon.controller.queues.unsaved._asked)
    assert before is not None
    async with running(tmp_path) as daemon:
        daemon.load(shop(green="8082"))
        after = await daemon.until_served(green=[url("8082")])
        assert after.document == before.document
        assert after.revision > before.revision
        assert orderly is (after.revision == before.revision + 1)
        assert daemon.controller.state.services["shop"].published == stored


async def test_after_a_restart_the_last_servers_are_served_while_docker_does_not_answer(tmp_path: Path) -> None:
    """P4, rule 4."""
    one, two = container(1, "r1"), container(2, "r1")
    async with running(tmp_path, docker=True) as daemon:
        daemon.load(in_docker())
        assert daemon.edges.scope == Scope("production")
        daemon.controller.inputs.docker_connected(True, None)
        daemon.list_docker(shop=ByColour((one, two), ()))
        await daemon.until_served(blue=[one.url, two.url])
    async with running(tmp_path, docker=True) as daemon:
        daemon.load(in_docker())
        daemon.controller.inputs.docker_connected(False, "no such file")
        await daemon.until_served(blue=[one.url, two.url])
        assert daemon.codes() == {
            "docker-away": "Docker does not answer: the last known servers are served, no release is switched to "
            "(no such file)"
        }
        assert daemon.metric("docker_connected") == 0
        daemon.controller.inputs.docker_connected(True, None)
        daemon.list_docker(shop=ByColour((two,), ()))
        await daemon.until_served(blue=[two.url])
        assert daemon.codes() == {}


# --- Docker --------------------------------------------------------------------------------------------------------


async def test_a_candidate_in_docker_is_listed_once_more_before_the_switch(tmp_path: Path) -> None:
    """Rule 6."""
    blue, green = container(1, "r1"), container(2, "r2")
    async with running(tmp_path, docker=True) as daemon:
        daemon.controller.inputs.docker_connected(True, None)
        daemon.load(in_docker())
        daemon.list_docker(shop=ByColour((blue,), ()))
        await daemon.until_served(blue=[blue.url])
        daemon.list_docker(shop=ByColour((blue,), (green,)))
        await eventually(lambda: daemon.edges.relisted)
        assert daemon.edges.relisted == ["shop"]
        assert daemon.served() == {"blue": [blue.url]}
        now_s = asyncio.get_running_loop().time()
        daemon.controller.inputs.docker_service("shop", ByColour((blue,), (green,)), now_s)
        await daemon.until_served(green=[green.url])
        assert daemon.metric("switches_total", service="shop", colour="green", trigger="docker") == 1


async def test_containers_of_a_service_that_the_file_does_not_name_are_reported(tmp_path: Path) -> None:
    async with running(tmp_path, docker=True) as daemon:
        daemon.load(in_docker())
        daemon.list_docker(pay=ByColour((container(1, "r1"),), ()), cart=ByColour((container(2, "r1"),), ()))
        fix = "; add each to the file, or correct its label bluegreen.service"
        assert daemon.codes() == {"not-in-file": "containers name services that the file does not: cart, pay" + fix}
        daemon.controller.inputs.docker_service("pay", ByColour((), ()), 0.0)
        assert daemon.codes() == {"not-in-file": "containers name services that the file does not: cart" + fix}
        daemon.load(in_docker(service="cart"))
        assert daemon.codes() == {}


async def test_containers_that_are_ignored_are_reported_and_logged_once(tmp_path: Path) -> None:
    """P11."""
    async with running(tmp_path, docker=True) as daemon:
        with capture_logs() as logs:
            for _ in range(2):
                daemon.controller.inputs.docker_warnings({"web-1": "bluegreen.colour is 'red'", "web-2": "no port"})
        assert daemon.codes() == {"containers": "web-1: bluegreen.colour is 'red'; web-2: no port"}
        assert len(logs) == 1
        daemon.controller.inputs.docker_warnings({})
        assert daemon.codes() == {}


# --- a file that is refused, a store that fails, a loop that fails --------------------------------------------------


async def test_a_refused_file_changes_nothing_and_is_reported_until_a_good_one_comes(tmp_path: Path) -> None:
    """P11."""
    async with running(tmp_path) as daemon:
        daemon.load(shop())
        await daemon.judge(BLUE)
        before = await daemon.until_served(blue=[url("8081")])
        with pytest.raises(DesiredStateError) as refused, capture_logs() as logs:
            daemon.load(shop(more="    activ: blue\n"))
        with capture_logs() as logs:
            for _ in range(2):
                daemon.controller.inputs.desired_refused(refused.value)
        assert [line["log_level"] for line in logs] == ["error"]
        assert "desired-state-refused" in daemon.controller.conditions
        assert "desired.yaml:8:5: services.shop.activ: unknown key" in daemon.codes()["desired-state-refused"]
        assert daemon.metric("desired_state_last_reload_success") == 0
        assert daemon.controller.published is before
        daemon.load(shop())
        assert not daemon.controller.inputs.desired_is_refused
        assert daemon.metric("desired_state_last_reload_success") == 1


async def test_while_the_store_fails_decisions_freeze_and_observations_go_on(tmp_path: Path) -> None:
    """Rule 13, P5: nothing that is not on disk is published, and what is seen still is."""
    stores = []

    def open_stubborn(folder: Path) -> SqliteStore:
        stores.append(Stubborn(folder))
        return stores[0]

    async with running(tmp_path, store=open_stubborn) as daemon:
        daemon.load(shop(blue="8081 8083"))
        await daemon.judge(BLUE)
        await daemon.until_served(blue=[url("8081"), url("8083")])
        stores[0].full = True
        daemon.load(shop(blue="8081 8083", green="8082", active="green"))
        await daemon.judge(GREEN)
        await eventually(lambda: "store-failing" in daemon.codes())
        assert "No space left on device" in daemon.codes()["store-failing"]
        assert daemon.metric("store_failing") == 1
        await daemon.judge(BLUE, Health.UNHEALTHY, port="8083")
        await daemon.until_served(blue=[url("8081")])
        assert {row.event for row in await daemon.store.history()} == {"first-sight"}
        stores[0].full = False
        await daemon.until_served(green=[url("8082")])
        await eventually(lambda: daemon.metric("store_failing") == 0)
        assert "store-failing" not in daemon.codes()


async def test_what_is_too_large_for_one_commit_is_decided_in_parts_and_a_group_by_itself_is_set_aside(
    tmp_path: Path,
) -> None:
    """P4: one group that its store does not take keeps no other from being decided on."""

    class Narrow(SqliteStore):
        async def commit(self, change: Change) -> None:
            if len(change.groups) > 2 or "s3" in change.groups:
                raise ChangeTooLarge(f"a change of {len(change.groups)} groups is too large")
            await super().commit(change)

    router = "router: {rule: 'Host(`x`)'}"
    services = "".join(
        f"  s{number}: {{{router}, servers: {{blue: {{urls: ['http://127.0.0.1:{9000 + number}']}}}}}}\n"
        for number in range(7)
    )
    async with running(tmp_path, store=Narrow) as daemon:
        daemon.load(f"environment: production\nservices:\n{services}")
        for number in range(7):
            await daemon.judge(BLUE, service=f"s{number}")
        states, others = daemon.controller.state.states, {f"s{number}" for number in range(7)} - {"s3"}
        await eventually(lambda: {name for name, one in states.items() if one.active} == others)
        await eventually(lambda: daemon.controller.state.set_aside == {"s3"})
        assert "a change of 1 groups is too large" in daemon.codes()["internal-error"]
        assert "store-failing" not in daemon.codes()
        with pytest.raises(ChangeTooLarge):
            await daemon.controller.command(
                "s3", lambda snapshot, now: commands.command(snapshot, Command(Verb.PAUSE, "s3", "ann"), now)
            )


async def test_an_edit_of_the_file_that_switches_is_one_transaction(tmp_path: Path) -> None:
    """Rule 13: the decision and the text that it follows are on disk together."""
    written: list[Change | str] = []

    class Noted(SqliteStore):
        async def commit(self, change: Change) -> None:
            written.append(change)
            await super().commit(change)

        async def save_desired(self, text: str, *, expect: str | None = None) -> None:
            written.append(text)
            await super().save_desired(text, expect=expect)

    async with running(tmp_path, store=Noted) as daemon:
        daemon.load(shop(green="8082", active="blue"))
        await daemon.judge(BLUE)
        await daemon.judge(GREEN)
        await daemon.until_served(blue=[url("8081")])
        await eventually(lambda: daemon.controller.queues.unsaved.is_at_rest)
        written.clear()
        edited = shop(green="8082", active="green")
        daemon.load(edited)
        await eventually(lambda: any(row.event is Event.SHIFTED for row in changes(written)))
        assert [one.desired_text for one in written if isinstance(one, Change) and one.desired_text] == [edited]
        assert edited not in written
        await eventually(lambda: daemon.controller.queues.unsaved.is_at_rest)
        assert edited not in written


def changes(written: list[Change | str]) -> list[Decision]:
    return [row for one in written if isinstance(one, Change) for row in one.decisions]


async def test_an_edit_of_the_file_on_which_nothing_is_decided_is_stored(tmp_path: Path) -> None:
    """Rule 13."""
    async with running(tmp_path, orderly=False) as daemon:
        daemon.load(shop(active="blue"))
        await daemon.judge(BLUE)
        await daemon.until_served(blue=[url("8081")])
        daemon.load(edited := f"# a comment\n{shop(active='blue')}")
        assert isinstance(daemon.store, SqliteStore)
        written = f"{(tmp_path / 'bluegreen.db').as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(written, uri=True)) as reader:
            await eventually(lambda: reader.execute("SELECT text FROM desired").fetchone() == (edited,))


async def test_a_decision_is_on_disk_before_its_document_is_published(tmp_path: Path) -> None:
    """P5."""
    committed: list[Change] = []

    class Slow(SqliteStore):
        async def commit(self, change: Change) -> None:
            before = daemon.controller.published
            for _ in range(20):
                await asyncio.sleep(0)
            await super().commit(change)
            assert daemon.controller.published is before
            committed.append(change)

    async with running(tmp_path, store=Slow) as daemon:
        await release(daemon)
    assert [row.event for change in committed for row in change.decisions][-1] == "shifted"


async def test_a_loop_that_failed_is_reported_and_everything_is_looked_at_again(tmp_path: Path) -> None:
    """P4."""
    async with running(tmp_path) as daemon:
        daemon.load(shop())
        await daemon.judge(BLUE)
        before = await daemon.until_served(blue=[url("8081")])
        tracked = daemon.controller.state.services["shop"]
        tracked.fragment = replace(tracked.fragment, digest=b"damaged") if tracked.fragment else None
        daemon.controller.loop_failed("publish", ValueError("made up"))
        await eventually(lambda: tracked.fragment and tracked.fragment.digest != b"damaged")
        assert daemon.controller.published is before
        assert daemon.codes()["internal-error"].startswith("publish failed by a fault of this program")
        assert "ValueError('made up')" in daemon.codes()["internal-error"]


async def test_events_of_docker_are_counted(tmp_path: Path) -> None:
    async with running(tmp_path, docker=True) as daemon:
        daemon.controller.inputs.docker_event("start")
        assert daemon.metric("docker_events_total", action="start") == 1


async def test_a_group_that_trips_the_daemon_up_is_set_aside_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P4: what is served of it stays, and a change of the file tries again."""
    pay = "  pay:\n    router: {rule: 'Host(`pay.example.com`)'}\n    servers: {blue: {urls: ['http://127.0.0.1:8091']}}\n"
    async with running(tmp_path) as daemon:
        daemon.load(shop(blue="8081 8082", more=pay))
        await daemon.judge(BLUE)
        await daemon.judge(BLUE, service="pay")
        await daemon.until_served("pay", blue=[url("8091")])
        before = daemon.served()
        refresh = TrackedServices.refresh

        def fail(of: TrackedServices, key: str, now: Instant) -> None:
            if key == "shop":
                raise ValueError("made up")
            refresh(of, key, now)

        with monkeypatch.context() as faulty:
            faulty.setattr(TrackedServices, "refresh", fail)
            await daemon.judge(BLUE, Health.UNHEALTHY, port="8082")
            await eventually(lambda: "shop is served as it was" in daemon.codes().get("internal-error", ""))
            assert "ValueError('made up')" in daemon.codes()["internal-error"]
        await daemon.judge(BLUE, Health.UNHEALTHY, port="8082")
        known = daemon.controller.state.services["pay"].health
        await daemon.judge(BLUE, Health.UNHEALTHY, service="pay")
        await eventually(lambda: daemon.controller.state.services["pay"].health != known)
        assert daemon.served() == before
        daemon.load(shop(blue="8081 8082", more=pay.replace("8091", "8092")))
        await daemon.until_served(blue=[url("8081")])
        assert "internal-error" not in daemon.codes()


async def test_an_outage_is_reported_when_it_comes_and_when_it_goes(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        daemon.load(shop())
        await daemon.judge(BLUE)
        await daemon.until_served(blue=[url("8081")])
        with capture_logs() as logs:
            await daemon.judge(BLUE, Health.UNHEALTHY)
            await eventually(lambda: [line for line in logs if line["event"] == "none-healthy"])
            await daemon.judge(BLUE)
            await eventually(lambda: [line for line in logs if line["event"] == "no longer none-healthy"])
    told = next(line for line in logs if line["event"] == "none-healthy")
    assert told["log_level"] == "critical"
    assert told["message"].startswith("blue is active and none of its 1 servers is healthy")


async def test_after_a_gap_in_our_own_time_nothing_is_decided_on_what_was_seen_before(tmp_path: Path) -> None:
    """P4, rule 14: evidence from before it is void, and what is served stays."""
    blue, green = container(1, "r1"), container(2, "r2")
    async with running(tmp_path, docker=True) as daemon:
        daemon.load(in_docker())
        daemon.list_docker(shop=ByColour((blue,), (green,)))
        daemon.controller.inputs.docker_connected(True, None)
        controller = daemon.controller
        controller.slept(3600.0)
        assert daemon.edges.voided == 2  # the health checks, and Docker's edge
        assert not controller.state.docker.connected
        assert not any(tracked.probed or tracked.checks for tracked in controller.state.services.values())
        before = [published.document.body for published in daemon.documents]
        controller.inputs.docker_connected(True, None)
        queues = controller.queues
        await eventually(lambda: queues.undecided.is_at_rest and queues.unpublished.is_at_rest)
        assert [published.document.body for published in daemon.documents][: len(before)] == before


async def test_a_daemon_whose_document_nobody_fetches_comes_to_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P4: what is due and will not happen is not looked at again and again, with no time left for anything else."""
    monkeypatch.setattr(rest, "APPLIES_IN_S", 0.0)
    monkeypatch.setattr(rest, "AFTER_S", 0.0)
    async with running(tmp_path) as daemon:
        daemon.load(shop(more="    deadlines: {confirming: 1ms}\n"))
        await daemon.judge(BLUE)
        await daemon.until_served(blue=[url("8081")])
        due_mono_s = daemon.controller.state.rest.due_mono_s
        assert due_mono_s is not None
        await eventually(lambda: clock().mono_s > due_mono_s and daemon.controller.queues.unpublished.is_at_rest)
        daemon.load(shop(more="    deadlines: {confirming: 2ms}\n"))
        await eventually(lambda: daemon.controller.queues.unpublished.is_at_rest)
