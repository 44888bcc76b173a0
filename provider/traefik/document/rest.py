"""Which text of the file the rest of the document comes from: all but the decisions and servers (rule 15).

Traefik refuses a document as a whole, so a text that it refuses would keep every decision from clients, even a
rollback. Once every Traefik has fetched it and still shows the text before, that text's rest is published until the
file changes.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from provider.model import Desired, Instant, Service
from provider.model.document import AppliedText, text_key

APPLIES_IN_S = 5.0
"""The time that Traefik may take to apply a large document, also with a shorter `deadlines.confirming`."""
AFTER_S = 2.0
"""A text counts as refused this long after `deadlines.confirming`: after a switch of the same edit (rule 7)."""
TRIED_MOST = 4
MARKERS_MOST = 1000
CHANGES_SHOWN = 5
DOCUMENT_FIELDS: Mapping[str, Callable[[Service], object]] = {
    "router": lambda service: service.routers,
    "preview": lambda service: service.preview,
    "endpoints": lambda service: [(one.name, one.protocol) for one in service.endpoints],
    "loadBalancer": lambda service: [(one.name, one.load_balancer) for one in service.endpoints],
    "sticky": lambda service: service.sticky,
    "testRoute": lambda service: service.test_route,
}
"""What of a service is in the document, by its key in the file."""

Showing = Mapping[str, tuple[str, float]]
"""The marker of ours that each Traefik shows, and when that was read."""


@dataclass(frozen=True, slots=True)
class Text:
    """One text of the desired-state file, its content, and its hash."""

    text: str
    desired: Desired
    key: str

    @classmethod
    def of(cls, text: str, desired: Desired) -> "Text":
        """Return a text with its key."""
        return cls(text, desired, text_key(text))


class Rest:
    """The text that the file has now, the one that every Traefik applied last, and which of them is published.

    `is_refused` says that the applied one is published, because the file's was refused; `newer` are the Traefiks that
    show the file's text, which then stays whatever the others do.
    """

    def __init__(self) -> None:
        self.newest: Text | None = None
        self.applied: Text | None = None
        self.is_refused = False
        self.newer: set[str] = set()
        self._tried: tuple[Text, ...] = ()
        self._keys: dict[str, str] = {}
        self._marker = ""
        self._refused_before: str | None = None
        self._since_mono_s: float | None = None
        self._revision = 0
        self._limit_s = 0.0
        self._changed = ("", "", "")

    @property
    def shown(self) -> Text | None:
        """The text whose rest is published; None before the first."""
        return self.applied if self.is_refused else self.newest

    @property
    def is_settled(self) -> bool:
        """Whether every Traefik has applied the newest text, as far as was seen."""
        return self.applied is not None and self.applied is self.newest

    def remember(self, kept: AppliedText, desired: Desired) -> None:
        """Continue from what an earlier process has seen; called before the first `load`."""
        self.applied = Text.of(kept.text, desired)
        self._keys[kept.marker], self._marker = self.applied.key, kept.marker
        self._refused_before = kept.refused

    def load(self, text: str, desired: Desired) -> None:
        """Take the newest text of the file. It is published unless it is known to be refused."""
        newest, before = Text.of(text, desired), self.newest
        if before is not None and before.key == newest.key:
            self.newest = newest
            self.applied = newest if self.applied is before else self.applied
            return
        if before is not None and not self.is_settled and desired.traefik_api:  # else no Traefik will ever show it
            self._tried = (*self._tried, before)[-TRIED_MOST:]
        self.newest, self._since_mono_s, self.newer = newest, None, set()
        confirming = (service.deadlines.confirming_s for service in desired.services.values())
        self._limit_s = max(min(confirming, default=0.0), APPLIES_IN_S) + AFTER_S
        is_applied = self.applied is not None and self.applied.key == newest.key
        self.applied = newest if is_applied else self.applied
        self.is_refused = self.applied is not None and self._refused_before == newest.key
        self._refused_before = None

    def service(self, service: Service) -> Service | None:
        """Return a service of the file as the document has it; None where the document has it not."""
        if not self.is_refused or self.applied is None:
            return service
        found = self.applied.desired.services.get(service.name)
        return service if found is None and service.is_discovered else found

    def published(self, of: Text | None, marker: str, revision: int, now: Instant) -> None:
        """Note a document with the rest of a text that was published, or that would be the same.

        There may be another text by now: nobody waits yet for Traefik to apply that.
        """
        if of is None:
            return
        self._keys.pop(marker, None)
        self._keys[marker] = of.key
        if len(self._keys) > MARKERS_MOST:
            self._keys.pop(next(one for one in self._keys if one != self._marker))
        is_newest = self.newest is not None and of.key == self.newest.key
        if is_newest and not self.is_refused and self._since_mono_s is None:
            self._since_mono_s, self._revision = now.mono_s, revision

    @property
    def due_mono_s(self) -> float | None:
        """When the newest text may count as refused; None where time does not decide that."""
        if self.newest is None or self._since_mono_s is None or self.is_refused or self.is_settled:
            return None
        return self._since_mono_s + self._limit_s

    def wake_mono_s(self, now: Instant) -> float | None:
        """Return when time alone changes what is published; what is due already waits for a reading."""
        due_mono_s = self.due_mono_s
        return due_mono_s if due_mono_s is not None and due_mono_s > now.mono_s else None

    def look(self, showing: Showing, has_fetched_twice: Callable[[str, int], bool], now: Instant) -> bool:
        """Take what the Traefiks show; return whether another text is published from now on.

        `has_fetched_twice` returns whether a Traefik fetched a document of this revision, or a later one, twice.
        """
        if self.newest is None or not showing:
            return False
        keys = {name: self._keys.get(marker) for name, (marker, _) in showing.items()}
        self.newer |= {name for name, key in keys.items() if key == self.newest.key}
        if self.newer and self.is_refused:
            self.is_refused, self._since_mono_s = False, None
            return True
        if len(of := set(keys.values())) == 1:
            (key,) = of
            self._settle(key, next(iter(showing.values()))[0])
            return self._is_now_refused(key, showing, has_fetched_twice, now)
        return False

    @property
    def changed(self) -> str:
        """What differs for Traefik between the newest text and the applied one, as paths in the file."""
        if self.applied is None or self.newest is None:
            return ""
        of = (self.applied.key, self.newest.key)
        if self._changed[:2] != of:
            self._changed = (*of, shortened(changes(self.applied.desired, self.newest.desired)))
        return self._changed[2]

    def gone(self, traefik: str) -> None:
        """Forget a Traefik whose address is gone."""
        self.newer.discard(traefik)

    @property
    def kept(self) -> AppliedText | None:
        """What the next process needs."""
        if self.applied is None:
            return None
        refused = self.newest.key if self.is_refused and self.newest is not None else self._refused_before
        return AppliedText(self.applied.text, self._marker, refused)

    def _settle(self, key: str | None, marker: str) -> None:
        """Take the one text that all Traefiks show as applied."""
        known = (self.newest, *self._tried, self.applied)
        text = next((one for one in known if one is not None and one.key == key), None)
        if text is None:
            return
        self.applied, self._marker = text, marker
        if text is self.newest:
            self._tried = ()

    def _is_now_refused(
        self, key: str | None, showing: Showing, has_fetched_twice: Callable[[str, int], bool], now: Instant
    ) -> bool:
        due_mono_s = self.due_mono_s
        if due_mono_s is None or now.mono_s < due_mono_s or self.newer or self.applied is None:
            return False
        self.is_refused = key == self.applied.key and all(
            read_mono_s >= (self._since_mono_s or 0.0) + APPLIES_IN_S and has_fetched_twice(name, self._revision)
            for name, (_, read_mono_s) in showing.items()
        )
        return self.is_refused


def changes(before: Desired, after: Desired) -> Iterator[str]:
    """Yield what differs for Traefik between two texts, as paths in the file."""
    if before.generate_certificate is not after.generate_certificate:
        yield "traefik.defaultCertificate"
    for name in sorted(before.services.keys() | after.services.keys()):
        was, now = before.services.get(name), after.services.get(name)
        if was is None or now is None:
            yield f"services.{name}"
        elif was != now:
            yield from (
                f"services.{name}.{key}" for key, written in DOCUMENT_FIELDS.items() if written(was) != written(now)
            )
    yield from _differing(before.pass_through, after.pass_through)


def shortened(paths: Iterable[str]) -> str:
    """Return the first few of some paths, and how many more there are."""
    found = list(paths)
    more = [f"and {len(found) - CHANGES_SHOWN} more"] if len(found) > CHANGES_SHOWN else []
    return ", ".join([*found[:CHANGES_SHOWN], *more])


def _differing(
    before: Mapping[str, object], after: Mapping[str, object], path: str = "", depth: int = 3
) -> Iterator[str]:
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name), after.get(name)
        if was == now:
            continue
        where = f"{path}.{name}" if path else name
        if depth > 1 and isinstance(was or {}, Mapping) and isinstance(now or {}, Mapping):
            yield from _differing(_mapping(was), _mapping(now), where, depth - 1)
        else:
            yield where


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
