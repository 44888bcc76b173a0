import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TextIO

import pytest

from provider.config import MAX_BYTES
from provider.config.file import DesiredStateFile, directories
from provider.model.errors import DesiredStateError
from tests.support.waiting import eventually

NEVER_POLL_S = 3600.0


class Reports:
    def __init__(self) -> None:
        self.all: list[str] = []

    def on_text(self, text: str) -> None:
        self.all.append(text)

    def on_unreadable(self, error: DesiredStateError) -> None:
        self.all.append(f"refused: {error}")

    async def last_is(self, expected: str) -> None:
        def look() -> bool:
            assert self.all[-1:] == [expected]
            return True

        await eventually(look)


@asynccontextmanager
async def watched(path: Path, *, poll_s: float = NEVER_POLL_S) -> AsyncIterator[Reports]:
    """Watch a file until its first report is in."""
    reports = Reports()
    task = asyncio.create_task(DesiredStateFile(path, poll_s=poll_s).run(reports.on_text, reports.on_unreadable))
    try:
        await eventually(lambda: reports.all)
        yield reports
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "etc" / "production.yaml"
    path.parent.mkdir()
    path.write_text("one")
    return path


def write(path: Path, text: str) -> None:
    path.write_text(text)


def open_to_write(path: Path) -> TextIO:
    return path.open("w")


def remove(path: Path) -> None:
    path.unlink()


def replace(path: Path, text: str) -> None:
    beside = path.with_name(".new")
    beside.write_text(text)
    beside.replace(path)


async def test_the_text_is_reported_at_once(file: Path) -> None:
    async with watched(file) as reports:
        assert reports.all == ["one"]


async def test_every_atomic_replacement_is_seen(file: Path) -> None:
    async with watched(file) as reports:
        for number in range(5):
            replace(file, f"text {number}")
            await reports.last_is(f"text {number}")


async def test_a_half_written_text_is_followed_by_the_whole(file: Path) -> None:
    async with watched(file) as reports:
        with open_to_write(file) as half:
            half.write("begun ")
            half.flush()
            await reports.last_is("begun ")
            half.write("and done")
        await reports.last_is("begun and done")


async def test_a_file_that_is_deleted_is_reported_and_seen_when_it_is_back(file: Path) -> None:
    async with watched(file) as reports:
        remove(file)
        await reports.last_is(f"refused: {file}:1:1: cannot be read: No such file or directory")
        write(file, "back")
        await reports.last_is("back")


async def test_a_directory_that_is_deleted_and_recreated_is_watched_again(file: Path) -> None:
    async with watched(file) as reports:
        for number in range(3):
            shutil.rmtree(file.parent)
            await reports.last_is(f"refused: {file}:1:1: cannot be read: No such file or directory")
            file.parent.mkdir()
            write(file, f"back {number}")
            await reports.last_is(f"back {number}")
            replace(file, f"edited {number}")
            await reports.last_is(f"edited {number}")


async def test_a_file_whose_directory_does_not_exist_yet_is_seen_when_it_appears(tmp_path: Path) -> None:
    file = tmp_path / "not" / "yet" / "production.yaml"
    async with watched(file) as reports:
        assert reports.all == [f"refused: {file}:1:1: cannot be read: No such file or directory"]
        file.parent.mkdir(parents=True)
        write(file, "here")
        await reports.last_is("here")


async def test_a_kubernetes_swap_of_the_data_symlink_is_seen(tmp_path: Path) -> None:
    for version in ("one", "two", "three"):
        (tmp_path / f"..{version}").mkdir()
        (tmp_path / f"..{version}" / "production.yaml").write_text(version)
    (tmp_path / "..data").symlink_to("..one")
    (tmp_path / "production.yaml").symlink_to("..data/production.yaml")
    async with watched(tmp_path / "production.yaml") as reports:
        for version in ("two", "three"):
            (tmp_path / "..data_tmp").symlink_to(f"..{version}")
            (tmp_path / "..data_tmp").replace(tmp_path / "..data")
            await reports.last_is(version)


async def test_an_edit_of_what_a_symlink_leads_to_is_seen(tmp_path: Path, file: Path) -> None:
    link = tmp_path / "links" / "production.yaml"
    link.parent.mkdir()
    link.symlink_to(file)
    async with watched(link) as reports:
        replace(file, "edited behind the symlink")
        await reports.last_is("edited behind the symlink")


async def test_a_symlink_further_up_that_is_set_elsewhere_is_seen(tmp_path: Path, file: Path) -> None:
    release = tmp_path / "release-2"
    release.mkdir()
    (release / file.name).write_text("two")
    current = tmp_path / "current"
    current.symlink_to(file.parent)
    async with watched(current / file.name) as reports:
        current.unlink()
        current.symlink_to(release)
        await reports.last_is("two")


async def test_a_change_without_a_notification_is_found_by_the_poll(
    file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setattr("provider.config.file.directories", lambda _: {tmp_path / "elsewhere"})
    async with watched(file, poll_s=0.05) as reports:
        write(file, "two")
        await reports.last_is("two")


async def test_without_any_watch_left_the_poll_goes_on(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_watches_left(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("provider.config.file.awatch", no_watches_left)
    async with watched(file, poll_s=0.01) as reports:
        write(file, "two")
        await reports.last_is("two")


async def test_what_leaves_the_text_as_it_was_is_not_reported(file: Path) -> None:
    async with watched(file) as reports:
        replace(file, "one")
        os.utime(file)
        (file.parent / "other.yaml").write_text("another file")
        replace(file, "two")
        await reports.last_is("two")
        assert reports.all == ["one", "two"]


class TestRefused:
    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda path: path.mkdir(), "1:1: is not a regular file"),
            (os.mkfifo, "1:1: is not a regular file"),
            (lambda path: path.write_bytes(b"a: 1\nb: \xc3\xbc \xff"), "2:6: is not UTF-8: byte 0xff"),
            (
                lambda path: path.write_bytes(b"#" * (MAX_BYTES + 300_000)),
                "1:1: 5.3 MiB are too much: a desired-state file has 5 MiB at most",
            ),
        ],
    )
    def test_what_is_no_text_file_of_a_sane_size(
        self, tmp_path: Path, make: Callable[[Path], object], message: str
    ) -> None:
        path = tmp_path / "production.yaml"
        make(path)
        with pytest.raises(DesiredStateError) as refused:
            DesiredStateFile(path).read()
        assert str(refused.value) == f"{path}:{message}"

    @pytest.mark.skipif(os.geteuid() == 0, reason="root reads files of mode 000 as well")
    def test_a_file_without_permission(self, file: Path) -> None:
        file.chmod(0)
        with pytest.raises(DesiredStateError, match="cannot be read: Permission denied"):
            DesiredStateFile(file).read()


def test_a_loop_of_symlinks_ends_and_is_reported(tmp_path: Path) -> None:
    loop = tmp_path / "production.yaml"
    loop.symlink_to(loop.name)
    assert directories(loop) == {tmp_path}
    with pytest.raises(DesiredStateError, match="Too many levels of symbolic links"):
        DesiredStateFile(loop).read()
