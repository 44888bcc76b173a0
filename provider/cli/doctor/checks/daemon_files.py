"""Checks the files of a daemon: who may read and write them, and where they are."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from provider.cli.doctor.findings import Code, Finding

OTHERS_WRITE = 0o002
OTHERS_READ = 0o004
ANYBODY_ELSE = 0o077
SHORT_BYTES = 64 << 20
SECRETS = frozenset({"tokens-file", "provider-token-file", "tls-key"})
STATE = "state-dir"
WRITTEN = "write-file"
"""The daemon creates it, and reports when it cannot."""
STICKY = 0o1000
"""On a directory: only its owner may replace a file."""


@dataclass(frozen=True, slots=True)
class File:
    """One file or directory of a daemon; `role` is its use, `mode` its permissions, None if it does not exist.

    `file_system` and `free_bytes` are those of its disk, where known.
    """

    role: str
    path: str
    mode: int | None = None
    uid: int = 0
    directory_mode: int | None = None
    file_system: str = ""
    is_network: bool = False
    free_bytes: int | None = None


def check(files: Iterable[File], daemon_uid: int | None) -> Iterator[Finding]:
    """Yield what is wrong with a daemon's files; `daemon_uid` is who it runs as, None where that is not known."""
    for file in files:
        where = f"{file.role} {file.path}"
        if file.mode is None:
            if file.role == WRITTEN:
                continue
            what = "it does not exist, or you may not see it; the daemon works without it until it restarts"
            yield Finding(Code.FILE_MISSING, where, what, f"restore it, or start the daemon with another --{file.role}")
            continue
        if file.role == STATE:
            yield from _state(file, file.mode, where, daemon_uid)
        else:
            yield from _permissions(file, file.mode, where)


def _permissions(file: File, mode: int, where: str) -> Iterator[Finding]:
    if file.role in SECRETS and mode & OTHERS_READ:
        what = f"every user of the machine can read it (mode {mode:03o}), and it holds secrets or their hashes"
        yield Finding(Code.SECRET_READABLE, where, what, f"chmod 640 {file.path}")
    if mode & OTHERS_WRITE:
        what = f"every user of the machine can change it (mode {mode:03o}), and so redirect traffic"
        yield Finding(Code.FILE_WRITABLE, where, what, f"chmod o-w {file.path}")
    directory = file.directory_mode
    if directory is not None and directory & OTHERS_WRITE and not directory & STICKY:
        what = f"every user of the machine can replace it: its directory has mode {directory & 0o777:03o}"
        yield Finding(Code.FILE_WRITABLE, where, what, "chmod o-w on the directory")


def _state(file: File, mode: int, where: str, daemon_uid: int | None) -> Iterator[Finding]:
    if mode & ANYBODY_ELSE:
        what = f"other users can read it (mode {mode:03o}); it may hold the key of the default certificate"
        yield Finding(Code.SECRET_READABLE, where, what, f"chmod 700 {file.path}")
    if daemon_uid is not None and file.uid != daemon_uid:
        what = f"it belongs to user {file.uid}, and the daemon runs as {daemon_uid}"
        yield Finding(Code.STATE_DIR_OWNER, where, what, f"chown -R {daemon_uid} {file.path}")
    if file.is_network:
        what = f"it is on a network file system ({file.file_system}), where locks are unreliable: decisions can be lost"
        yield Finding(Code.STATE_DIR_NETWORK, where, what, "use a --state-dir on a local disk")
    if file.free_bytes is not None and file.free_bytes < SHORT_BYTES:
        what = f"{file.free_bytes / (1 << 20):.1f} MiB are free on its disk; without space no decision is recorded"
        yield Finding(Code.DISK_SHORT, where, what, "free space there; old logs and images are the usual cause")
