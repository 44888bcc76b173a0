"""Reads what the system shows of a daemon's files: permissions, owner, disk, validity of certificates."""

import os
import stat
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from provider.cli.doctor.checks.daemon_files import STATE, File
from provider.cli.doctor.checks.traefik import Certificate
from provider.runtime.files import MOUNTS, FileRefused, read_text
from provider.store.sqlite.directory import NETWORK, file_system


def gather(role: str, path: Path) -> File:
    """Return the facts of a file, without reading it."""
    try:
        found = path.stat()
    except OSError:
        return File(role, str(path))
    mode = stat.S_IMODE(found.st_mode)
    if role != STATE:
        return File(role, str(path), mode, found.st_uid, directory_mode=_mode(path.absolute().parent))
    kind = file_system(path.resolve(), MOUNTS.read_text() if MOUNTS.exists() else "")
    disk = os.statvfs(path)
    free_bytes = disk.f_bavail * disk.f_frsize
    is_network = NETWORK.fullmatch(kind) is not None
    return File(role, str(path), mode, found.st_uid, None, kind, is_network, free_bytes)


def certificate(path: Path) -> Certificate | None:
    """Return the first certificate in a file, None if there is none to be read."""
    try:
        found = x509.load_pem_x509_certificates(read_text(path).encode())[0]
    except (FileRefused, ValueError):
        return None
    return Certificate(found.subject.rfc4514_string(), found.not_valid_before_utc, found.not_valid_after_utc)


def _mode(path: Path) -> int | None:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return None


def now() -> datetime:
    """Return the time, UTC."""
    return datetime.now(UTC)
