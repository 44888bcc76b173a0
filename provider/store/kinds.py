"""The kinds of stores there are, by the URL that names one. A new one is a folder here, and a line in the table."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, TypeAlias, TypeVar

from provider.model.errors import AddressError
from provider.store.contents import Contents
from provider.store.etcd import address as etcd
from provider.store.etcd import offline as etcd_offline
from provider.store.interface import RestorableStore
from provider.store.sqlite import address as sqlite
from provider.store.sqlite import offline as sqlite_offline

A = TypeVar("A")

StoreAddress: TypeAlias = sqlite.SqliteAddress | etcd.EtcdAddress


@dataclass(frozen=True, slots=True)
class Kind(Generic[A]):
    """How a URL is read (AddressError), and the store that is there, for what is done apart from daemons.

    `settle` completes an address that leaves the environment open: with what it is given, else with the only one there
    is. `source` is to be read, and `target` to be filled. `read_all` needs no daemon to stop where that is not needed.
    They take the file of credentials, and raise StoreError and FileRefused.
    """

    parse: Callable[[str], A]
    settle: Callable[[A, Path | None, Callable[[], Awaitable[str | None]] | None], Awaitable[A]]
    source: Callable[[A, Path | None], RestorableStore]
    target: Callable[[A, Path | None], RestorableStore]
    read_all: Callable[[A, Path | None], Awaitable[Contents]]


KINDS: Mapping[str, Kind[Any]] = MappingProxyType(
    {
        sqlite.SCHEME: Kind(
            sqlite.parse_address,
            sqlite_offline.settle,
            sqlite_offline.source,
            sqlite_offline.target,
            sqlite_offline.read_all,
        ),
        etcd.SCHEME: Kind(
            etcd.parse_address, etcd_offline.settle, etcd_offline.store, etcd_offline.store, etcd_offline.read_all
        ),
    }
)
"""By how the URL begins."""


def kind_of(url: str) -> Kind[Any]:
    """Return the kind of store that a URL names. Raises AddressError."""
    for begin, kind in KINDS.items():
        if url.startswith(begin):
            return kind
    raise AddressError(f"--store {url!r} begins with no kind of store: {' or '.join(KINDS)}")
