"""Looks at files and directories of a daemon: permissions, owner, disk, and until when certificates are valid."""

import os
import stat
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from provider.doctor.files import STATE, File
from provider.doctor.routing import Certificate
from provider.files import FileRefused, read_text
from provider.store.directory import MOUNTS, NETWORK, file_system


def look(role: str, path: Path) -> File:
    """Return what is to be seen of a file from outside."""
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
    """Return the first certificate in a file, None where there is none to be read."""
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
