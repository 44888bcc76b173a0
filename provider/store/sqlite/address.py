"""Where the store of one daemon is: `sqlite:DIR`, after `--store`."""

from dataclasses import dataclass
from pathlib import Path

from provider.model.errors import AddressError

SCHEME = "sqlite:"
FORM = "sqlite:DIR"


@dataclass(frozen=True, slots=True)
class SqliteAddress:
    """The state directory."""

    directory: Path


def parse_address(text: str) -> SqliteAddress:
    """Read `sqlite:DIR`. Raises AddressError."""
    directory = text.removeprefix(SCHEME)
    if not text.startswith(SCHEME) or not directory:
        raise AddressError(f"--store {text!r} names no directory: write {FORM}")
    if directory.startswith("//") and not directory.startswith("///"):
        raise AddressError(f"--store {text!r}: there is no host, a directory is on this machine: write {FORM}")
    if directory.split("/")[0].startswith("~"):
        raise AddressError(f"--store {text!r}: no shell has replaced the ~: write the whole path")
    return SqliteAddress(Path(directory))
