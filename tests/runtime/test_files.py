"""Files that are read again when they change, and files that are replaced."""

import errno
import os
import stat
from pathlib import Path

import pytest

from provider.runtime.files import FileRefused, Followed, read_text, replace_file


class Reader:
    """Follows one file, whose content must be a number."""

    def __init__(self, path: Path) -> None:
        self.reads = 0
        self.reported: list[str | None] = []
        self._path = path
        self.followed = Followed(
            (path,), self._read, lambda refusal: self.reported.append(None if refusal is None else str(refusal))
        )

    def _read(self) -> int:
        self.reads += 1
        text = read_text(self._path)
        if not text.isdecimal():
            raise FileRefused(f"{self._path}: no number")
        return int(text)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "number"
    made.write_text("1")
    return made


def replace(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def test_a_file_is_read_once_until_it_changes(path: Path) -> None:
    reader = Reader(path)
    assert [reader.followed.current() for _ in range(3)] == [1, 1, 1]
    assert (reader.reads, reader.reported) == (1, [])
    replace(path, "2")
    assert [reader.followed.current() for _ in range(3)] == [2, 2, 2]
    assert (reader.reads, reader.reported) == (2, [None])


def test_a_broken_change_leaves_what_was_read_last_and_is_reported_once(path: Path) -> None:
    reader = Reader(path)
    reader.followed.current()
    replace(path, "two")
    assert [reader.followed.current() for _ in range(3)] == [1, 1, 1]
    path.unlink()
    assert [reader.followed.current() for _ in range(3)] == [1, 1, 1]
    path.write_text("3")
    assert reader.followed.current() == 3
    assert reader.reported == [f"{path}: no number", f"{path}: cannot be read: No such file or directory", None]


def test_a_file_that_was_never_good_is_refused_until_it_is(path: Path) -> None:
    path.write_text("two")
    reader = Reader(path)
    for _ in range(2):
        with pytest.raises(FileRefused, match="no number"):
            reader.followed.current()
    path.write_text("2")
    assert reader.followed.current() == 2
    assert reader.reported == []


def test_a_changed_permission_is_a_change(path: Path) -> None:
    reader = Reader(path)
    reader.followed.current()
    path.chmod(0o600)
    reader.followed.current()
    assert reader.reads == 2


def test_a_link_that_is_swapped_further_up_is_a_change(tmp_path: Path) -> None:
    """As Kubernetes replaces secrets: the file's own link stays, the directory that it leads through is another."""
    for name, text in (("one", "1"), ("two", "2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "number").write_text(text)
    (tmp_path / "..data").symlink_to("one")
    (tmp_path / "number").symlink_to("..data/number")
    reader = Reader(tmp_path / "number")
    assert reader.followed.current() == 1
    (tmp_path / "..new").symlink_to("two")
    os.replace(tmp_path / "..new", tmp_path / "..data")  # noqa: PTH105  the link itself is moved
    assert reader.followed.current() == 2


def test_what_is_no_small_text_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content, why in ((b"x" * (1024 * 1024 + 1), "is larger than 1 MiB"), (b"\xff\xfe", "is no text in UTF-8")):
        path.write_bytes(content)
        with pytest.raises(FileRefused) as refused:
            read_text(path)
        assert str(refused.value) == f"{path}: {why}"
    with pytest.raises(FileRefused, match="cannot be read: Is a directory"):
        read_text(tmp_path)


def test_a_file_is_replaced_whole_with_its_mode_whatever_a_crash_left_behind(tmp_path: Path) -> None:
    path, left = tmp_path / "file", tmp_path / "file.new"
    path.write_text("before, and longer")
    left.write_text("half of a fi")
    replace_file(path, b"after", mode=0o600)
    assert path.read_text() == "after"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not left.exists()


def test_a_file_that_cannot_be_replaced_stays_and_nothing_is_left_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_text("before")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device"):
        replace_file(path, b"after", mode=0o600)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
