"""The desired state in the store of several replicas: seeded, applied, refused, and kept in step (rule 62)."""

import asyncio
from pathlib import Path

import pytest

from provider.config.changes import Changed
from provider.controller import stored_desired
from provider.controller.desired_source import Submitted
from provider.controller.loading import Surroundings
from provider.model import Colour
from provider.model.document import text_key
from provider.model.errors import DesiredStateError, LeadershipLost, StoreConflict, StoreError, StoreUncertain
from provider.model.vocabulary import ChangeKind
from tests.support.applying import UNKNOWN, Shared, applying
from tests.support.running import shop
from tests.support.waiting import eventually

EMPTY = "environment: production\nservices: {}\n"
ONE, TWO = shop(active="blue"), shop(active="blue", more="    watch: 1h\n")


async def stored(folder: Path) -> str | None:
    """Return what the next term finds."""
    store = Shared(folder)
    try:
        return (await store.open(wait_s=10)).desired_text
    finally:
        await store.close()


async def test_an_empty_store_waits_for_the_first_text(tmp_path: Path) -> None:
    """Rule 62."""
    async with applying(tmp_path) as term:
        assert "no-desired-state" in term.daemon.codes()
        assert term.daemon.replica.not_ready() == "the store has no desired state yet: bluegreen apply FILE"
        done = await term.apply(ONE)
        assert done.changes == (Changed(None, ChangeKind.ADDED, ("environment",)), Changed("shop", ChangeKind.ADDED))
        assert "no-desired-state" not in term.daemon.codes()
        await term.daemon.judge(Colour.BLUE)
        await term.daemon.until_served(blue=["http://127.0.0.1:8081"])
    async with applying(tmp_path) as term:
        assert term.text == ONE


async def test_a_file_seeds_an_empty_store_only(tmp_path: Path) -> None:
    """Rule 62: files on several hosts cannot tell late delivery from a revert."""
    seed = tmp_path / "seed.yaml"
    seed.write_text(ONE)
    async with applying(tmp_path / "state", seed=seed) as term:
        await eventually(lambda: term.text == ONE)
        await term.apply(TWO)
        again = await term.desired.apply(Submitted(ONE, "seed.yaml", "", is_first=True))
        assert (again.already, term.text) == (True, TWO)
    async with applying(tmp_path / "state", seed=seed) as term:
        assert term.text == TWO


async def test_a_text_for_all_replicas_names_no_file_of_one_machine(tmp_path: Path) -> None:
    """Rule 62: what it named would be read on the leader, for everybody who may apply."""
    (tmp_path / "secret").write_text("0af1b2c3d4e5f607\n")
    route = f"    testRoute: {{header: {{name: X-Release, valueFile: {tmp_path / 'secret'}}}}}\n"
    async with applying(tmp_path / "state") as term:
        with pytest.raises(DesiredStateError, match=r"testRoute\.valueFile: is a file of one machine") as refused:
            await term.apply(shop(active="blue", more=route))
        assert "0af1b2c3d4e5f607" not in str(refused.value)
        assert term.text is None


async def test_a_file_that_cannot_seed_is_reported_and_apply_goes_on(tmp_path: Path) -> None:
    """P11: the process goes on, as others may know better."""
    seed = tmp_path / "seed.yaml"
    seed.write_text("environment: [\n")
    async with applying(tmp_path / "state", seed=seed) as term:
        await eventually(lambda: "desired-state-refused" in term.daemon.codes())
        assert "seed.yaml:2:1" in term.daemon.codes()["desired-state-refused"]
        await term.apply(ONE)
        assert not term.daemon.codes().keys() & {"desired-state-refused", "no-desired-state"}


async def test_a_text_is_stored_before_it_is_loaded_and_answered(tmp_path: Path) -> None:
    """Rule 62, P5."""
    async with applying(tmp_path) as term:
        await term.apply(ONE)
        term.store.failure = StoreError("etcd: no space")
        with pytest.raises(StoreError, match="no space"):
            await term.apply(TWO)
        assert term.text == ONE
        term.store.failure = None
        await term.apply(TWO)
        assert term.text == TWO
    assert await stored(tmp_path) == TWO


async def test_every_error_goes_to_the_caller_and_nothing_else_changes(tmp_path: Path) -> None:
    """P11, rule 62."""
    async with applying(tmp_path) as term:
        await term.apply(ONE)
        with pytest.raises(DesiredStateError) as refusal:
            await term.apply("environment: x\nservices: {a: {activ: blue}, b: 1}\n")
        assert [(one.file, one.line, one.path) for one in refusal.value.problems] == [
            ("edit.yaml", 2, "services.a"),
            ("edit.yaml", 2, "services.a.activ"),
            ("edit.yaml", 2, "services.b"),
        ]
        assert term.text == ONE
        assert term.daemon.codes().keys() <= {"nobody-polls"}


async def test_the_desired_state_of_another_environment_is_refused(tmp_path: Path) -> None:
    """Rule 62, section 3: a pipeline that was given the wrong address takes no service away."""
    async with applying(tmp_path) as term:
        await term.apply(ONE)
        with pytest.raises(DesiredStateError) as refusal:
            await term.apply("# ours\nenvironment: staging\nservices: {}\n")
        (problem,) = refusal.value.problems
        assert (problem.file, problem.line, problem.path) == ("edit.yaml", 2, "environment")
        assert "'staging' is another one than that of this store, 'production'" in problem.message
        assert term.text == ONE


async def test_what_the_document_may_not_show_here_is_refused(tmp_path: Path) -> None:
    """Validated exactly as a file is."""
    public = Surroundings("0.0.0.0:8900", is_private=False, writes_file=False)
    async with applying(tmp_path, surroundings=public) as term:
        with pytest.raises(DesiredStateError, match="carry secrets"):
            await term.apply(EMPTY + "traefik: {defaultCertificate: generated}\n")


async def test_no_services_at_all_are_meant_only_if_the_text_says_so(tmp_path: Path) -> None:
    """Rule 12."""
    async with applying(tmp_path) as term:
        await term.apply(ONE)
        with pytest.raises(DesiredStateError, match=r"write 'services: \{\}' if that is what is meant"):
            await term.apply("environment: production\nservices:\n")
        await term.apply(EMPTY)
        assert term.text == EMPTY


async def test_a_text_replaces_only_the_one_that_is_expected(tmp_path: Path) -> None:
    """Rule 62."""
    async with applying(tmp_path) as term:
        with pytest.raises(StoreConflict, match="no desired state is stored"):
            await term.apply(ONE, expect=text_key(TWO))
        await term.apply(ONE)
        with pytest.raises(StoreConflict, match=f"is {text_key(ONE)}, and {text_key(TWO)} was expected"):
            await term.apply(TWO, expect=text_key(TWO))
        await term.apply(TWO, expect=text_key(ONE))
        assert (await term.apply(TWO, expect=text_key(TWO))).already


async def test_a_text_that_is_in_force_is_there_already(tmp_path: Path) -> None:
    """A pipeline may apply again, even where newer rules refuse what is stored (rule 13)."""
    outdated = EMPTY + "http: {middlewares: {sec: {headers: {frameDenyy: true}}}}\n"
    store = Shared(tmp_path)
    await store.open(wait_s=10)
    await store.save_desired(outdated)
    await store.close()
    async with applying(tmp_path) as term:
        assert "<stored>:3:38: http.middlewares.sec.headers.frameDenyy" in term.daemon.codes()["desired-state-outdated"]
        assert (await term.apply(outdated)).already
        with pytest.raises(DesiredStateError, match="frameDenyy"):
            await term.apply(outdated + "# edited\n")


async def test_a_preview_changes_nothing(tmp_path: Path) -> None:
    async with applying(tmp_path) as term:
        await term.apply(ONE)
        found = await term.desired.preview(Submitted(TWO, "edit.yaml", "ann", text_key(ONE)))
        assert found.changes == (Changed("shop", ChangeKind.CHANGED, ("watch",)),)
        with pytest.raises(StoreConflict):
            await term.desired.preview(Submitted(TWO, "edit.yaml", "ann", text_key(TWO)))
        assert term.text == ONE
    assert await stored(tmp_path) == ONE


@pytest.mark.parametrize("is_late", [True, False])
async def test_the_store_and_what_runs_come_together_after_an_unknown_outcome(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_late: bool
) -> None:
    """Rule 62: whether the text was stored then or not."""
    monkeypatch.setattr(stored_desired, "RETRY_S", 0.01)
    async with applying(tmp_path) as term:
        await term.apply(ONE)
        term.store.failure, term.store.is_late = UNKNOWN, is_late
        with pytest.raises(StoreUncertain, match="bluegreen desired shows what is in force"):
            await term.apply(TWO, expect=text_key(ONE))
        assert term.text == ONE
        with pytest.raises(StoreUncertain):
            await term.apply(EMPTY)  # surely not done, and not after the other one either
        term.store.failure = None
        await eventually(lambda: term.text == TWO)
    assert await stored(tmp_path) == TWO


async def test_the_end_of_a_term_answers_who_waits(tmp_path: Path) -> None:
    """Rule 60: a follower sends on what was surely not done."""
    async with applying(tmp_path) as term:
        term.store.hangs = True
        begun, waiting = (asyncio.ensure_future(term.apply(text)) for text in (ONE, TWO))
        await asyncio.sleep(0)
        await eventually(lambda: term.desired._waiting.qsize() == 1)
        await term.end()
        with pytest.raises(StoreUncertain):
            await begun
        with pytest.raises(LeadershipLost):
            await waiting
