"""What a replica knows of the store, key by key: each is as new as any word of it (rules 54, 55)."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import structlog

from provider.model.document import text_key
from provider.model.errors import StoreError
from provider.store.etcd.documents import Numbered, read_desired, read_document
from provider.store.etcd.gateway import KeyRange, KeyValue
from provider.store.etcd.keys import Keys
from provider.store.etcd.leader import LeaderInfo, read_leader
from provider.store.etcd.replicas import PollersInfo, ReplicaInfo, read_info

T = TypeVar("T")

log = structlog.get_logger("bluegreen")


@dataclass(frozen=True, slots=True)
class Leading:
    """Who leads, under which epoch, and on which lease."""

    leader: LeaderInfo
    epoch: int
    lease: int


@dataclass(frozen=True, slots=True)
class DesiredText:
    """A desired state, and the hash that names it."""

    text: str
    key: str


def _nobody(_: object) -> None: ...


@dataclass(frozen=True, slots=True)
class MirrorListeners:
    """Who hears of what is new in the store, at once and on the event loop.

    `on_document` hears of each document with a higher revision than all before, `on_leader` of who leads (None: nobody
    does), `on_replicas` of all replicas that live and `on_pollers` of who polls each replica there ever was, both by
    id; `on_desired` of the desired state. `on_trouble` hears why what is served may be old, None once it is well.
    """

    on_document: Callable[[Numbered], None] = _nobody
    on_leader: Callable[[Leading | None], None] = _nobody
    on_replicas: Callable[[Mapping[str, ReplicaInfo]], None] = _nobody
    on_pollers: Callable[[Mapping[str, PollersInfo]], None] = _nobody
    on_desired: Callable[[DesiredText | None], None] = _nobody
    on_trouble: Callable[["Trouble | None"], None] = _nobody


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why what a replica serves may be old, for people; `is_refused` where it is to be repaired by hand (rule 57)."""

    text: str
    is_refused: bool = False


@dataclass(slots=True)
class _Known:
    revision: int
    value: KeyValue | None


@dataclass(slots=True)
class Mirrored:
    """See the module. `stored_revision` is that of etcd's document, or 0.

    `document` never goes back, whatever etcd says: `served_revision` is the highest that this replica has served, also
    before it was started.
    """

    keys: Keys
    listeners: MirrorListeners
    stored_revision: int = 0
    served_revision: int = 0
    document: Numbered | None = None
    leading: Leading | None = None
    desired: DesiredText | None = None
    replicas: dict[str, ReplicaInfo] = field(default_factory=dict)
    pollers: dict[str, PollersInfo] = field(default_factory=dict)
    _known: dict[bytes, _Known] = field(default_factory=dict)

    def revision_of(self, key: bytes) -> int:
        """Return the revision of a key as it is known, 0 where it is not there."""
        known = self._known.get(key)
        return known.value.mod_revision if known is not None and known.value is not None else 0

    def value_of(self, key: bytes) -> KeyValue | None:
        """Return a key as it is known."""
        known = self._known.get(key)
        return known.value if known is not None else None

    def put(self, found: KeyValue) -> None:
        """Take a key as it was at its revision."""
        self._take(found.key, found.mod_revision, found)

    def read(self, key: bytes, found: tuple[KeyValue, ...], revision: int) -> None:
        """Take what a read at a revision found of a key."""
        self._take(key, revision, found[0] if found else None)

    def read_range(self, keys: KeyRange, found: Iterable[KeyValue], revision: int) -> None:
        """Take all keys of a range as they were at a revision."""
        start, end = keys
        there = set()
        for each in found:
            there.add(each.key)
            self._take(each.key, revision, each)
        for key in [key for key in self._known if start <= key < end and key not in there]:
            self.delete(key, revision)

    def delete(self, key: bytes, revision: int) -> None:
        """Take it that a key is not there at a revision."""
        self._take(key, revision, None)

    def forget(self) -> None:
        """Take whatever is read next: the revisions of the store have started over."""
        self._known.clear()

    def serve(self, document: Numbered) -> bool:
        """Take a document, wherever it comes from; return whether it is newer than the one before."""
        is_served = self.document is not None and self.document.revision == document.revision
        if is_served or document.revision < self.served_revision:
            return False
        self.document, self.served_revision = document, document.revision
        self.listeners.on_document(document)
        return True

    def _take(self, key: bytes, revision: int, found: KeyValue | None) -> None:
        known = self._known.get(key)
        if known is not None and known.revision >= revision:
            return
        was = known.value if known is not None else None
        self._known[key] = _Known(revision, found)
        if was == found and known is not None:
            return
        try:
            self._tell(key, found)
        except StoreError as failure:
            log.warning("a key in etcd cannot be read", cause=str(failure))

    def _tell(self, key: bytes, found: KeyValue | None) -> None:
        keys, listeners = self.keys, self.listeners
        if key == keys.document:
            self.stored_revision = 0
            if found is not None:
                document = read_document(found.value, key)
                self.stored_revision = document.revision
                self.serve(document)
        elif key == keys.leader:
            leader = read_leader((found,)) if found is not None else None
            self.leading = None
            if leader is not None and found is not None:
                self.leading = Leading(leader, found.create_revision, found.lease)
            listeners.on_leader(self.leading)
        elif key == keys.desired:
            self.desired = None
            if found is not None:
                text = read_desired(found.value, key)
                self.desired = DesiredText(text, text_key(text))
            listeners.on_desired(self.desired)
        elif keys.replicas[0] <= key < keys.replicas[1]:
            _set(self.replicas, keys.name(key), read_info(ReplicaInfo, found) if found is not None else None)
            listeners.on_replicas(dict(self.replicas))
        elif keys.pollers[0] <= key < keys.pollers[1]:
            _set(self.pollers, keys.name(key), read_info(PollersInfo, found) if found is not None else None)
            listeners.on_pollers(dict(self.pollers))


def _set(infos: dict[str, T], name: str, info: T | None) -> None:
    if info is None:
        infos.pop(name, None)
    else:
        infos[name] = info
