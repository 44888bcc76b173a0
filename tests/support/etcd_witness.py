"""A checker that reads all that ever happened in etcd, and holds against it what clients and replicas saw."""

import re
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from provider.store.etcd.gateway import Changes, KeyValue
from tests.support.replicas import Asked, Fresh, Outcome, Published, Record, Served, Took

FRESH_S = 1.5
"""So old may be what a replica calls fresh (rule 54)."""
DECISIVE = ("head", "groups/", "history/", "document", "servers/", "desired")
SEEN = re.compile(rb"http://10\.0\.0\.1:(\d+)")


def witness(
    prefix: str, history: Iterable[Changes], records: Sequence[Record], *, is_counted: bool = True
) -> "Witness":
    """Return what is to be said of a story."""
    found = Witness(prefix, is_counted=is_counted)
    found.read(history)
    found.hear(records)
    return found


class Witness:
    """See the module. `faults` says what is wrong, first the history in its order, then what was seen.

    Where it `is_counted`, decisions count rollouts of groups and documents show the counts, as in `replicas`.
    """

    def __init__(self, prefix: str, *, is_counted: bool = True) -> None:
        self._is_counted = is_counted
        self.faults: list[str] = []
        self.commits = self.fences = 0
        self.documents: dict[int, bytes] = {}
        self._prefix = f"{prefix}/"
        self._leader = self._seq = self._published = 0
        self._counts: dict[str, int] = {}
        self._shown: dict[str, int] = {}
        self._last: dict[tuple[str, int], int] = {}
        self._places: dict[int, list[int]] = defaultdict(list)
        self._taken: list[tuple[Mapping[str, int], int]] = []

    # --- etcd's history -----------------------------------------------------------------------------------------------

    def read(self, history: Iterable[Changes]) -> None:
        """Read revisions, from the first on."""
        for changes in history:
            put = {self._name(one.key): one for one in changes.put}
            deleted = [self._name(key) for key in changes.deleted]
            self._read(changes.revision, put)
            if any(name.startswith(("head", "groups/", "document")) for name in deleted):
                self._fault(changes.revision, f"deleted {deleted}")
            if "leader" in deleted:
                self._leader = 0
            if "leader" in put and put["leader"].create_revision != self._leader:
                self._leader = put["leader"].create_revision
                self._taken.append((dict(self._counts), self._published))

    def _read(self, revision: int, put: Mapping[str, KeyValue]) -> None:
        decisive = [name for name in put if name.startswith(DECISIVE)]
        if decisive and not self._leader:
            self._fault(revision, f"{decisive} written while nobody leads")
        rows = {name: _json(kv.value) for name, kv in put.items() if name.startswith(("groups/", "history/"))}
        if "head" in put:
            self._head(revision, _json(put["head"].value), is_commit=bool(rows))
        elif rows:
            self._fault(revision, f"{list(rows)} written without the head")
        for name, row in rows.items():
            self._row(revision, name, row)
        if "document" in put:
            self._document(revision, put["document"].value)
        if self._is_counted and "desired" in put:
            text = zlib.decompress(put["desired"].value.partition(b"\n")[2])
            self._one_after_the_other(revision, "desired", int(text.removeprefix(b"number ")))
        if self._is_counted and "servers/shop" in put:
            (number,) = SEEN.findall(put["servers/shop"].value)
            self._one_after_the_other(revision, "servers/shop", int(number))

    def _head(self, revision: int, head: Any, *, is_commit: bool) -> None:
        if head["epoch"] != self._leader:
            self._fault(revision, f"the head is of epoch {head['epoch']}, in force is {self._leader}")
        if is_commit == ("voids" in head):
            self._fault(revision, f"{head} with {is_commit=}")
        if head["seq"] != self._seq + is_commit:
            self._fault(revision, f"the head's seq is {head['seq']} after {self._seq}, {is_commit=}")
        self._seq = head["seq"]
        self.commits += is_commit
        self.fences += not is_commit

    def _row(self, revision: int, name: str, row: Any) -> None:
        kind, _, key = name.partition("/")
        if kind == "history":
            for decision in row["decisions"]:
                detail = decision["detail"] or ""
                if detail.isdigit():
                    self._places[int(detail)].append(revision)
        elif self._is_counted:
            number, before = row["group"]["rollouts"], self._counts.get(key, 0)
            if number != before + 1:
                self._fault(revision, f"{key} counts {number} after {before}")
            self._counts[key] = number

    def _document(self, revision: int, value: bytes) -> None:
        head, _, packed = value.partition(b"\n")
        told, body = _json(head), zlib.decompress(packed)
        shown = _json(body) if self._is_counted else {}
        if told["revision"] != self._published + 1:
            self._fault(revision, f"document {told['revision']} after {self._published}")
        if told["epoch"] != self._leader:
            self._fault(
                revision, f"document {told['revision']} is of epoch {told['epoch']}, in force is {self._leader}"
            )
        if any(count > self._counts.get(key, 0) for key, count in shown.items()):
            self._fault(revision, f"document {told['revision']} shows {shown}, committed is {self._counts}")
        if any(shown.get(key, 0) < count for key, count in self._shown.items()):
            self._fault(revision, f"document {told['revision']} shows {shown} after {self._shown}")
        self._published, self._shown = told["revision"], shown
        self.documents[self._published] = body

    def _one_after_the_other(self, revision: int, name: str, number: int) -> None:
        """What a term writes is numbered: nothing comes after what is newer. Twice is as good as once."""
        last = self._last.get((name, self._leader), 0)
        if number < last:
            self._fault(revision, f"{name} {number} after {last}")
        self._last[name, self._leader] = number

    # --- what was seen ------------------------------------------------------------------------------------------------

    def hear(self, records: Sequence[Record]) -> None:
        """Hold what clients and replicas saw, in the order of their time, against what was read."""
        self._hear_answers([record for record in records if isinstance(record, Asked)])
        self.hear_served(records)
        published: list[tuple[float, int]] = []
        for record in records:
            match record:
                case Took() if (dict(record.counts), record.revision) not in self._taken:
                    self._fault(0, f"nobody could take over what {record} found")
                case Served() if self.documents.get(record.revision) != record.body:
                    self._fault(0, f"{record} is not what etcd has")
                case Published():
                    published.append((record.at_s, record.revision))
                case Fresh():
                    known = [revision for at_s, revision in published if at_s < record.at_s - FRESH_S]
                    if known and record.revision < max(known):
                        self._fault(0, f"{record}, when {max(known)} had been published for {FRESH_S} s")
                case _:
                    pass

    def hear_served(self, records: Sequence[Record]) -> None:
        """Hold it against each replica where it went back."""
        served: dict[str, int] = defaultdict(int)
        for record in records:
            if isinstance(record, Served):
                if record.revision < served[record.replica]:
                    self._fault(0, f"{record.replica} went back from {served[record.replica]} to {record.revision}")
                served[record.replica] = record.revision

    def _hear_answers(self, asked: Sequence[Asked]) -> None:
        done: list[tuple[int, Asked]] = []
        for one in asked:
            places = self._places.get(one.number, [])
            if len(places) > 1:
                self._fault(places[-1], f"{one} was done {len(places)} times")
            elif places and one.outcome is Outcome.VOID:
                self._fault(places[0], f"{one} was done, and its client told that it was not")
            elif not places and one.outcome is Outcome.DONE:
                self._fault(0, f"{one} is lost")
            elif one.outcome is Outcome.DONE:
                done.append((places[0], one))
        latest = Asked(0, 0.0, 0.0, Outcome.DONE)
        for place, one in sorted(done, key=lambda pair: pair[0]):
            if one.ended_s < latest.began_s:
                self._fault(place, f"{one} was answered before {latest} was asked for, and stands after it")
            latest = max(latest, one, key=lambda each: each.began_s)

    def _name(self, key: bytes) -> str:
        return key.decode().removeprefix(self._prefix)

    def _fault(self, revision: int, what: str) -> None:
        self.faults.append(f"revision {revision}: {what}" if revision else what)


def _json(text: bytes) -> Any:
    return orjson.loads(text)
