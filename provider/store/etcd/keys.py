"""The keys below the prefix. Decisions and observations are apart (rule 52): a group has a row of each."""

from dataclasses import dataclass, field

from provider.store.etcd.gateway import KeyRange

ORDINAL_DIGITS = 12
"""So many digits sort as the numbers do."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys below `prefix`, which is as `--store` has it: `/bluegreen/production`."""

    prefix: str
    leader: bytes = field(init=False)
    head: bytes = field(init=False)
    floor: bytes = field(init=False)
    format: bytes = field(init=False)
    desired: bytes = field(init=False)
    applied: bytes = field(init=False)
    certificate: bytes = field(init=False)
    notified: bytes = field(init=False)
    document: bytes = field(init=False)

    def __post_init__(self) -> None:
        for name in SINGLE:
            object.__setattr__(self, name, self._key(name))

    @property
    def everything(self) -> KeyRange:
        """The range of all keys."""
        return self._range("")

    @property
    def all_but_leaders(self) -> tuple[KeyRange, ...]:
        """The ranges of all keys but those of who leads, and of the replicas that live."""
        (start, end), (first, last) = self.everything, self.replicas
        return (start, self.leader), (self.leader + b"\0", first), (last, end)

    @property
    def groups(self) -> KeyRange:
        """The range of the decisions in force, a row for each rollout group."""
        return self._range("groups/")

    @property
    def servers(self) -> KeyRange:
        """The range of the servers last seen, a row for each rollout group."""
        return self._range("servers/")

    @property
    def history(self) -> KeyRange:
        """The range of the history, a row for each commit."""
        return self._range("history/")

    @property
    def replicas(self) -> KeyRange:
        """The range of the replicas that live."""
        return self._range("replicas/")

    @property
    def pollers(self) -> KeyRange:
        """The range of who polls where, a row for each replica there ever was."""
        return self._range("pollers/")

    @property
    def content(self) -> tuple[bytes, ...]:
        """The keys of which at least one is there, unless the prefix is empty (rule 57)."""
        return self.document, self.head, self.floor, self.desired

    @property
    def mirrored(self) -> tuple[KeyRange, ...]:
        """What every replica follows: all but rows, history and head, which only the next leader reads."""
        return (self._key("certificate"), self._key("groups/")), (self._key("leader"), self._key("servers/"))

    def group(self, key: str) -> bytes:
        """Return the key of a group's decisions."""
        return self._key(f"groups/{key}")

    def seen(self, key: str) -> bytes:
        """Return the key of a group's servers."""
        return self._key(f"servers/{key}")

    def decisions(self, ordinal: int) -> bytes:
        """Return the key of the row of the history that ends with this decision, counted from the first on."""
        return self._key(f"history/{ordinal:0{ORDINAL_DIGITS}}")

    def replica(self, replica: str) -> bytes:
        """Return the key of a replica that lives."""
        return self._key(f"replicas/{replica}")

    def poller(self, replica: str) -> bytes:
        """Return the key of a replica's pollers."""
        return self._key(f"pollers/{replica}")

    def name(self, key: bytes) -> str:
        """Return what follows the last `/` of a key."""
        return key.rpartition(b"/")[2].decode(errors="replace")

    def _key(self, name: str) -> bytes:
        return f"{self.prefix}/{name}".encode()

    def _range(self, name: str) -> KeyRange:
        key = self._key(name)
        return key, key[:-1] + bytes([key[-1] + 1])


SINGLE = ("leader", "head", "floor", "format", "desired", "applied", "certificate", "notified", "document")
