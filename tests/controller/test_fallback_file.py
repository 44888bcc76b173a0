"""The file that is written after each document: when, how, and what happens when it cannot be."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest
import yaml

from provider.controller import fallback_file
from provider.controller.fallback_file import CONDITION, WriteFile, WriteFileRefused, check
from provider.controller.publication import Publication, Published
from provider.observability.active_conditions import Conditions
from provider.observability.metrics import Metrics
from provider.runtime.files import replace_file
from provider.traefik.document.render import assemble, render_pass_through
from tests.support.waiting import eventually


def publish(publication: Publication, name: str) -> None:
    """Publish a document with one router of this name."""
    extra = render_pass_through({"http": {"routers": {name: {"rule": "R", "service": "s"}}}})
    revision = publication.last.revision + 1 if publication.last else 1
    publication.put(Published(assemble([], extra), revision, extra=extra))


class Running:
    def __init__(self, path: Path) -> None:
        self.path, self.publication = path, Publication()
        self.conditions, self.metrics = Conditions(), Metrics()
        self.file = WriteFile(path, self.publication.after, self.conditions, self.metrics)

    def names(self) -> set[str]:
        return set(orjson.loads(self.path.read_bytes())["http"]["routers"]) if self.path.exists() else set()

    async def until(self, name: str) -> None:
        await eventually(lambda: self.names() == {name})

    def failing(self) -> float | None:
        return self.metrics.registry.get_sample_value("bluegreen_write_file_failing")


@asynccontextmanager
async def running(path: Path) -> AsyncIterator[Running]:
    of = Running(path)
    task = asyncio.create_task(of.file.run())
    try:
        yield of
    finally:
        assert not task.done()
        task.cancel()


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fallback_file, "SETTLE_S", 0.01)
    monkeypatch.setattr(fallback_file, "RETRY_S", 0.01)


async def test_each_document_is_written_and_nothing_else_is_left_beside_it(tmp_path: Path) -> None:
    async with running(tmp_path / "shop.yaml") as of:
        for name in ("a", "b"):
            publish(of.publication, name)
            await of.until(name)
    assert names_in(tmp_path) == ["shop.yaml"]


async def test_a_file_of_an_earlier_life_stays_until_there_is_a_document(tmp_path: Path) -> None:
    """P4."""
    path = tmp_path / "shop.yaml"
    path.write_text('{"http": {"routers": {"old": {}}}}')
    async with running(path) as of:
        for _ in range(20):
            await asyncio.sleep(0)
        assert of.names() == {"old"}
        publish(of.publication, "a")
        await of.until("a")


async def test_of_documents_in_a_row_the_last_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fallback_file, "SETTLE_S", 0.2)
    written: list[bytes] = []
    replace = replace_file

    def note(path: Path, content: bytes, *, mode: int) -> None:
        written.append(content)
        replace(path, content, mode=mode)

    monkeypatch.setattr(fallback_file, "replace_file", note)
    async with running(tmp_path / "shop.yaml") as of:
        for number in range(20):
            publish(of.publication, f"r{number}")
            await asyncio.sleep(0)
        await of.until("r19")
    assert len(written) == 1


async def test_what_is_written_already_is_not_written_again(tmp_path: Path) -> None:
    """P12: Traefik would read it again. A restart of the daemon is the usual case."""
    path = tmp_path / "shop.yaml"
    async with running(path) as of:
        publish(of.publication, "a")
        await of.until("a")
    before = path.stat()
    again = Running(path)
    publish(again.publication, "a")
    await again.file.flush(again.publication.last)
    assert path.stat().st_ino == before.st_ino
    path.unlink()
    publish(again.publication, "a")
    await again.file.flush(again.publication.last)
    assert again.names() == {"a"}


async def test_what_the_loop_had_no_time_for_is_written_at_the_end(tmp_path: Path) -> None:
    of = Running(tmp_path / "shop.yaml")
    await of.file.flush(None)
    assert not of.path.exists()
    publish(of.publication, "a")
    await of.file.flush(of.publication.last)
    assert of.names() == {"a"}


async def test_a_new_file_is_for_its_group_and_a_replaced_one_for_whom_it_was_for(tmp_path: Path) -> None:
    of = Running(tmp_path / "shop.yaml")
    publish(of.publication, "a")
    await of.file.flush(of.publication.last)
    assert stat.S_IMODE(of.path.stat().st_mode) == 0o640
    of.path.chmod(0o604)
    publish(of.publication, "b")
    await of.file.flush(of.publication.last)
    assert of.names() == {"b"}
    assert stat.S_IMODE(of.path.stat().st_mode) == 0o604


async def test_a_directory_that_is_missing_is_reported_until_it_is_there(tmp_path: Path) -> None:
    path = tmp_path / "later" / "shop.yaml"
    async with running(path) as of:
        publish(of.publication, "a")
        await eventually(lambda: CONDITION in of.conditions)
        (condition,) = of.conditions
        assert condition.message.startswith(f"{path} is not up to date")
        assert "No such file or directory; make its directory exist" in condition.message
        assert of.failing() == 1
        path.parent.mkdir()
        await of.until("a")
        await eventually(lambda: CONDITION not in of.conditions)
        assert of.failing() == 0


async def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = Running(tmp_path / "shop.yaml")
    publish(of.publication, "a")
    await of.file.flush(of.publication.last)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    publish(of.publication, "b")
    await of.file.flush(of.publication.last)
    assert of.names() == {"a"}
    assert names_in(tmp_path) == ["shop.yaml"]
    assert "No space left on device" in next(iter(of.conditions)).message
    monkeypatch.undo()
    await of.file.flush(of.publication.last)
    assert of.names() == {"b"}
    assert CONDITION not in of.conditions


async def test_a_disk_that_hangs_is_reported_and_its_writes_stay_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fallback_file, "LIMIT_S", 0.05)
    fifo = tmp_path / "hangs"
    os.mkfifo(fifo)
    of = Running(tmp_path / "shop.yaml")
    replace = replace_file

    def hang(path: Path, content: bytes, *, mode: int) -> None:
        fifo.read_bytes()
        replace(path, content, mode=mode)

    monkeypatch.setattr(fallback_file, "replace_file", hang)
    task = asyncio.create_task(of.file.run())
    publish(of.publication, "a")
    await eventually(lambda: CONDITION in of.conditions)
    assert "did not answer within 0.05 s" in next(iter(of.conditions)).message
    monkeypatch.setattr(fallback_file, "replace_file", replace_file)
    fifo.write_bytes(b"go on")
    await eventually(lambda: CONDITION not in of.conditions)
    publish(of.publication, "b")
    await of.until("b")
    task.cancel()


@pytest.mark.parametrize("name", ["shop.json", "shop.toml", "shop", "shop.yaml.new"])
def test_a_name_that_traefik_does_not_read_is_refused_with_the_way_out(name: str) -> None:
    with pytest.raises(WriteFileRefused, match=r"Let it end in \.yaml or \.yml; what it holds is YAML"):
        check(Path("/etc/traefik") / name)


@pytest.mark.parametrize("name", ["shop.yaml", "shop.yml", "shop.YAML"])
def test_a_name_that_traefik_reads_is_taken(name: str) -> None:
    check(Path(name))


@pytest.mark.parametrize("split_above", [2000, 2])
def test_the_document_of_another_replica_makes_the_same_file(split_above: int) -> None:
    """Rule 61: as objects; it is taken apart, whether it is split or not."""
    passed = {
        "http": {
            "routers": {f"r{number}": {"rule": f"Path(`/{number}`)", "service": "s@http"} for number in range(5)},
            "middlewares": {"compress": {"compress": {}}},
            "services": {"s": {"loadBalancer": {"servers": [{"url": "http://10.0.0.1"}]}}},
        },
        "tcp": {"routers": {"db": {"rule": "HostSNI(`*`)", "service": "db"}}},
        "tls": {"certificates": [{"certFile": "a", "keyFile": "b"}], "stores": {"default": {}}},
    }
    extra = render_pass_through(passed, "production")
    document = assemble([], extra, split_above=split_above)
    assert document.is_json is (split_above == 2000)
    contents = []
    for is_from_here in (True, False):
        written = fallback_file._content(Published(document, 1, extra=extra, is_from_here=is_from_here))
        contents.append(yaml.safe_load(written))
    for content in contents:
        (marker,) = [name for name in content["http"]["middlewares"] if name.startswith("bluegreen-")]
        headers = content["http"]["middlewares"].pop(marker)["headers"]["customResponseHeaders"]
        assert headers["X-Bluegreen-Environment"] == "production"
    assert contents[0] == contents[1]
    assert contents[0]["http"]["routers"]["r0"]["service"] == "s"
