import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TextIO

import pytest

from provider.config import MAX_BYTES
from provider.config.directory import Whole
from provider.config.file import DesiredStateFile, directories
from provider.model.errors import DesiredStateError
from tests.support.waiting import eventually

NEVER_POLL_S = 3600.0


class Reports:
    def __init__(self) -> None:
        self.all: list[str] = []

    def on_text(self, whole: Whole) -> None:
        self.all.append(whole.text)

    def on_unreadable(self, error: DesiredStateError) -> None:
        self.all.append(f"refused: {error}")

    async def last_is(self, expected: str) -> None:
        def look() -> bool:
            assert self.all[-1:] == [expected]
            return True

        await eventually(look)

    async def last_begins(self, expected: str) -> None:
        await eventually(lambda: self.all[-1].startswith(expected))


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


def make(path: Path) -> None:
    path.mkdir()


def move(path: Path, name: str) -> None:
    path.replace(path.with_name(name))


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


class TestDirectory:
    """Rule 41."""

    @pytest.fixture
    def files(self, tmp_path: Path) -> Path:
        path = tmp_path / "conf.d"
        path.mkdir()
        (path / "base.yaml").write_text("environment: x\n")
        (path / "shop.yaml").write_text("services:\n  shop: {}\n")
        return path

    def services(self, *names: str) -> str:
        files = "".join(f"  # {name}.yaml\n  {name}: {{}}\n" for name in names)
        return f"environment: x\nservices:\n{files}"

    async def test_a_file_that_is_added_edited_renamed_and_removed_is_seen(self, files: Path) -> None:
        async with watched(files) as reports:
            assert reports.all == [self.services("shop")]
            write(files / "cart.yaml", "services:\n  cart: {}\n")
            await reports.last_is(self.services("cart", "shop"))
            replace(files / "cart.yaml", "services:\n  cart: {hold: true}\n")
            await reports.last_is(self.services("cart", "shop").replace("cart: {}", "cart: {hold: true}"))
            move(files / "cart.yaml", "z.yaml")
            await reports.last_is(self.services("shop", "z").replace("z: {}", "cart: {hold: true}"))
            remove(files / "z.yaml")
            await reports.last_is(self.services("shop"))

    async def test_a_half_written_file_takes_nothing_of_the_others_and_is_followed_by_the_whole(
        self, files: Path
    ) -> None:
        async with watched(files) as reports:
            with open_to_write(files / "cart.yaml") as half:
                half.write("services:\n  cart: {")
                half.flush()
                await reports.last_begins("refused: ")
                half.write("}\n")
            await reports.last_is(self.services("cart", "shop"))
            assert all(text.startswith("refused: ") for text in reports.all[1:-1])

    async def test_a_directory_that_is_emptied_or_replaced_is_reported_and_seen_again(self, files: Path) -> None:
        async with watched(files) as reports:
            for number in range(2):
                shutil.rmtree(files)
                await reports.last_begins("refused: ")
                make(files)
                write(files / "one.yaml", f"environment: x{number}\n")
                await reports.last_is(f"environment: x{number}\n")

    async def test_a_config_map_of_kubernetes_is_followed_as_a_whole(self, tmp_path: Path) -> None:
        """It swaps one symlink; no text is reported that has files of both versions."""
        mount = tmp_path / "mount"
        mount.mkdir()

        def publish(version: str) -> None:
            (mount / f"..{version}").mkdir()
            (mount / f"..{version}" / "base.yaml").write_text(f"environment: {version}\n")
            (mount / f"..{version}" / "shop.yaml").write_text(f"services:\n  {version}: {{}}\n")
            (mount / "..data_tmp").symlink_to(f"..{version}")
            (mount / "..data_tmp").replace(mount / "..data")

        publish("v0")
        for name in ("base.yaml", "shop.yaml"):
            (mount / name).symlink_to(f"..data/{name}")
        async with watched(mount) as reports:
            for number in range(1, 20):
                publish(f"v{number}")
                if number % 5 == 0:
                    await reports.last_is(f"environment: v{number}\nservices:\n  # shop.yaml\n  v{number}: {{}}\n")
            await reports.last_is("environment: v19\nservices:\n  # shop.yaml\n  v19: {}\n")
            assert all(text.split()[1] in text.split("services:")[1] for text in reports.all)

    async def test_a_symlink_to_another_directory_is_seen(self, files: Path, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(files)
        async with watched(tmp_path / "link") as reports:
            (tmp_path / "other").mkdir()
            (tmp_path / "other" / "one.yaml").write_text("environment: y\n")
            (tmp_path / "new").symlink_to(tmp_path / "other")
            move(tmp_path / "new", "link")
            await reports.last_is("environment: y\n")

    def test_every_file_that_cannot_be_read_is_reported_and_none_is_taken(self, files: Path) -> None:
        (files / "bad.yaml").write_bytes(b"\xff")
        (files / "gone.yaml").symlink_to("nowhere")
        (files / "pipe.yaml").mkdir()
        with pytest.raises(DesiredStateError) as refused:
            DesiredStateFile(files).read()
        assert [str(one).removeprefix(f"{files}/") for one in refused.value.problems] == [
            "bad.yaml:1:1: is not UTF-8: byte 0xff",
            "gone.yaml:1:1: cannot be read: No such file or directory",
            "pipe.yaml:1:1: is not a regular file",
        ]

    def test_all_files_together_have_a_sane_size(self, files: Path) -> None:
        for name in "abc":
            (files / f"{name}.yaml").write_text("#" * (MAX_BYTES // 2))
        with pytest.raises(DesiredStateError, match="more than 5 MiB in all"):
            DesiredStateFile(files).read()

    def test_files_that_never_hold_still_are_left_for_later(self, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        contents = iter(range(1000))

        def read_and_edit(path: Path) -> str:
            (files / "shop.yaml").write_text(f"# {next(contents)}" * next(contents))
            return path.read_text()

        monkeypatch.setattr("provider.config.directory.read_file", read_and_edit)
        with pytest.raises(DesiredStateError, match="its files change while they are read"):
            DesiredStateFile(files).read()


class TestRefused:
    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda path: path.mkdir(), "1:1: has no *.yaml: name a file, or a directory of them"),
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
