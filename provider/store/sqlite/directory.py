"""The state directory: its lock, its file system, and the ballast against a full disk."""

import contextlib
import fcntl
import os
import re
import socket
import stat
from pathlib import Path

import structlog

from provider.model.errors import StoreError
from provider.runtime.files import MOUNTS, sync_directory
from provider.store.sqlite.faults import fault

# Locks and shared memory, which SQLite's WAL needs, do not hold there (https://sqlite.org/wal.html).
NETWORK = re.compile(
    r"nfs\d?|cifs|smb\d?|smbfs|9p|afs|ceph|glusterfs|lustre|gpfs|beegfs|ocfs2|gfs2|davfs|"
    r"fuse\.(sshfs|glusterfs|ceph|ceph-fuse|s3fs|gcsfuse|rclone|juicefs|davfs2?|curlftpfs|mount\.davfs|"
    r"smbnetfs|moosefs|mfs|seaweedfs|goofys|nfs)"
)
OTHERS_WRITE = 0o022
BALLAST_BYTES = 1 << 20
HOLDER_BYTES = 1024
_HOLDER = re.compile(r"pid \d+ on [A-Za-z0-9._-]+")
"""Older versions wrote their command line after it, which may have secrets."""

log = structlog.get_logger()


class StateDirectory:
    """The directory that one daemon holds at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    def prepare(self) -> None:
        """Create the directory where it is missing; refuse one that others can change, and a network file system."""
        try:
            if not self.path.is_dir():
                self.path.mkdir(mode=0o700, parents=True)
                sync_directory(self.path.parent)
            self._refuse_open_to_others()
        except OSError as error:
            raise fault(self.path, error) from error
        kind = file_system(self.path.resolve(), MOUNTS.read_text() if MOUNTS.exists() else "")
        if NETWORK.fullmatch(kind):
            raise StoreError(
                f"{self.path}: is on a network file system ({kind}), where locks do not hold and an acknowledged "
                f"decision can be lost. Name a --state-dir on a local disk"
            )

    def _refuse_open_to_others(self) -> None:
        """Refuse a directory whose files others can choose or change. Raises OSError."""
        if self.path.is_symlink() and not _is_made_by_systemd(self.path):
            raise StoreError(
                f"{self.path}: is a symbolic link, and whoever may change it decides where the state is. Name its "
                f"target: --state-dir {self.path.resolve()}"
            )
        mode = stat.S_IMODE(self.path.stat().st_mode)
        if mode & OTHERS_WRITE:
            raise StoreError(
                f"{self.path}: others than its owner may change what is in it (mode {mode:04o}), and with it what gets "
                f"the traffic. Make it the daemon's own: chmod 700 {self.path}"
            )
        with os.scandir(self.path) as entries:
            links = sorted(entry.name for entry in entries if entry.is_symlink())
        if links:
            raise StoreError(
                f"{self.path / links[0]}: is a symbolic link; the files of the state are files of this directory. "
                f"Move the file to its place, or remove the link"
            )

    def try_lock(self) -> bool:
        """Take the lock and write who holds it; return False while another process holds it."""
        path = self.path / "lock"
        try:
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise fault(path, error) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Locking a file that was replaced between open and flock is no use: others lock the new one.
            held = os.path.samestat(os.fstat(lock), path.stat())
        except (BlockingIOError, FileNotFoundError):
            held = False
        except OSError as error:
            os.close(lock)
            raise fault(path, error) from error
        if not held:
            os.close(lock)
            return False
        self._lock = lock
        # Not the command line: it may hold tokens and the URLs of notifications.
        holder = f"pid {os.getpid()} on {socket.gethostname()}\n".encode(errors="replace")
        with contextlib.suppress(OSError):  # a full disk; the lock holds without its label
            os.pwrite(lock, holder, 0)
            os.ftruncate(lock, len(holder))
        return True

    def holder(self) -> str:
        """Return the holder named in the lock file."""
        try:
            with (self.path / "lock").open("rb") as file:
                written = _HOLDER.match(file.read(HOLDER_BYTES).decode(errors="replace"))
        except OSError:
            written = None
        return written[0] if written is not None else "an unknown process"

    def unlock(self) -> None:
        """Let another daemon take the directory."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


class Ballast:
    """A file that can be deleted, so that a full disk still takes some decisions."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._whole = False

    def free(self) -> bool:
        """Delete it; return False where there was none."""
        self._whole = False
        try:
            self.path.unlink()
        except OSError:
            return False
        log.warning("disk full: ballast freed", path=str(self.path), bytes=BALLAST_BYTES)
        return True

    def fill(self) -> None:
        """Write it again, once the disk has twice as much room."""
        if self._whole:
            return
        try:
            if self.path.exists() and self.path.stat().st_size == BALLAST_BYTES:
                self._whole = True
                return
            disk = os.statvfs(self.path.parent)
            if disk.f_bavail * disk.f_frsize >= 2 * BALLAST_BYTES:
                self._write()
                self._whole = True
        except OSError:
            with contextlib.suppress(OSError):
                self.path.unlink()

    def _write(self) -> None:
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.posix_fallocate(file, 0, BALLAST_BYTES)
            # Random, because a compressing file system would reserve no room for zeros.
            os.write(file, os.urandom(BALLAST_BYTES))
            os.fsync(file)
        finally:
            os.close(file)


def _is_made_by_systemd(path: Path) -> bool:
    """Return whether the link is the one that systemd makes for a unit with DynamicUser= (systemd.exec(5))."""
    return path.lstat().st_uid == 0 and path.resolve() == path.parent.resolve() / "private" / path.name


def file_system(path: Path, mountinfo: str) -> str:
    """Return the type of the file system that holds a resolved path, "" where mountinfo does not have it (proc(5))."""
    found, kind = Path(), ""
    for line in mountinfo.splitlines():
        mount, separator, source = line.partition(" - ")
        point = Path(re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), mount.split(" ")[4]))
        # A later mount on the same point hides the earlier one.
        if separator and path.is_relative_to(point) and len(point.parts) >= len(found.parts):
            found, kind = point, source.split(" ")[0]
    return kind
