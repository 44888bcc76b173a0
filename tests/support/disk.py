"""A small file system of a test's own, which can be filled or made read-only."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.components import missing

MIB = 1 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "disk"
    path.mkdir()
    mount("-t", "tmpfs", "-o", "size=16m,mode=0700", "tmpfs", str(path))
    try:
        yield path
    finally:
        unmount(path)


def mount(*arguments: str) -> None:
    if shutil.which("mount") is None:
        missing("mount", "no program 'mount' on PATH")
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        missing("mount", done.stderr.strip() or "mount failed")


def unmount(path: Path) -> None:
    subprocess.run(["umount", "--lazy", str(path)], check=True)


def fill(disk: Path) -> Path:
    """Write until the disk is full to the last page; return what can be removed to make room."""
    filler = disk / "filler"
    with contextlib.suppress(OSError), filler.open("ab", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    found = os.statvfs(disk)
    assert found.f_bavail == 0
    return filler


@contextlib.contextmanager
def full(disk: Path) -> Iterator[None]:
    """Leave no room at all on the disk meanwhile."""
    filler = fill(disk)
    try:
        yield
    finally:
        filler.unlink()


@contextlib.contextmanager
def read_only(disk: Path) -> Iterator[None]:
    """Let nothing be opened for writing on the disk meanwhile; what is open stays so."""
    mount("--bind", str(disk), str(disk))
    try:
        mount("-o", "remount,ro,bind", str(disk))
        yield
    finally:
        unmount(disk)
