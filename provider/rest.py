"""From which text of the file the rest of the document comes: all but today's decisions and servers (rule 15).

Traefik refuses a document as a whole. So a text that it refuses would keep every decision from clients, a rollback too.
Where every Traefik has fetched it and shows the one before, that one's rest goes out until the file changes.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256

from provider.model import Desired, Instant, Service

APPLIES_IN_S = 5.0
"""So long Traefik may take to apply a large document; a shorter `deadlines.confirming` does not hasten it."""
AFTER_S = 2.0
"""So long after `deadlines.confirming` a refused text is let go: a switch of the same edit is judged first (rule 7)."""
TRIED_MOST = 4
MARKERS_MOST = 1000
CHANGES_TOLD = 5
DOCUMENT_FIELDS = ("routers", "preview", "load_balancer", "sticky")

Showing = Mapping[str, tuple[str, float]]
"""The marker of ours that each Traefik shows, and when that was read."""


@dataclass(frozen=True, slots=True)
class Text:
    """One text of the desired-state file, what it says, and the hash by which it is known again."""

    text: str
    desired: Desired
    key: str

    @classmethod
    def of(cls, text: str, desired: Desired) -> "Text":
        """Return a text with its key."""
        return cls(text, desired, key_of(text))


@dataclass(frozen=True, slots=True)
class Applied:
    """What of this outlives the process: the text that every Traefik applied last, and a marker that they showed of it.

    `refused` is the key of the text that they refuse, None while none is refused.
    """

    text: str
    marker: str
    refused: str | None = None


class Rest:
    """The text of the file that is wanted, the one that every Traefik applied last, and which of them goes out.

    `is_refused` says that it is the latter, though another one is wanted; `newer` are the Traefiks that show the wanted
    one, so that it stays whatever the others do.
    """

    def __init__(self) -> None:
        self.wanted: Text | None = None
        self.applied: Text | None = None
        self.is_refused = False
        self.newer: set[str] = set()
        self._tried: tuple[Text, ...] = ()
        self._keys: dict[str, str] = {}
        self._marker = ""
        self._refused_before: str | None = None
        self._since_mono_s: float | None = None
        self._revision = 0
        self._patience_s = 0.0
        self._changed = ("", "", "")

    @property
    def shown(self) -> Text | None:
        """The text whose rest goes out; None before the first."""
        return self.applied if self.is_refused else self.wanted

    @property
    def is_settled(self) -> bool:
        """Whether every Traefik has applied what is wanted, as far as was seen."""
        return self.applied is not None and self.applied is self.wanted

    def remember(self, kept: Applied, desired: Desired) -> None:
        """Go on from what an earlier process has seen; it comes before the first `load`."""
        self.applied = Text.of(kept.text, desired)
        self._keys[kept.marker], self._marker = self.applied.key, kept.marker
        self._refused_before = kept.refused

    def load(self, text: str, desired: Desired) -> None:
        """Want a text of the file. One that is known to be refused is not tried again, any other one is."""
        wanted, before = Text.of(text, desired), self.wanted
        if before is not None and before.key == wanted.key:
            self.wanted = wanted
            self.applied = wanted if self.applied is before else self.applied
            return
        if before is not None and not self.is_settled and desired.traefik_api:  # else nobody will ever tell
            self._tried = (*self._tried, before)[-TRIED_MOST:]
        self.wanted, self._since_mono_s, self.newer = wanted, None, set()
        confirming = (service.deadlines.confirming_s for service in desired.services.values())
        self._patience_s = max(min(confirming, default=0.0), APPLIES_IN_S) + AFTER_S
        is_applied = self.applied is not None and self.applied.key == wanted.key
        self.applied = wanted if is_applied else self.applied
        self.is_refused = self.applied is not None and self._refused_before == wanted.key
        self._refused_before = None

    def service(self, service: Service) -> Service | None:
        """Return what the document says of a service of the file; None where it is left out of it."""
        if not self.is_refused or self.applied is None:
            return service
        return self.applied.desired.services.get(service.name)

    def published(self, marker: str, revision: int, now: Instant) -> None:
        """Note a document that went out, or that would be the same."""
        shown = self.shown
        if shown is None:
            return
        self._keys.pop(marker, None)
        self._keys[marker] = shown.key
        if len(self._keys) > MARKERS_MOST:
            self._keys.pop(next(one for one in self._keys if one != self._marker))
        if not self.is_refused and self._since_mono_s is None:
            self._since_mono_s, self._revision = now.mono_s, revision

    @property
    def due_mono_s(self) -> float | None:
        """When the wanted text may be let go of; None where nothing hangs on the time."""
        if self.wanted is None or self._since_mono_s is None or self.is_refused or self.is_settled:
            return None
        return self._since_mono_s + self._patience_s

    def wake_mono_s(self, now: Instant) -> float | None:
        """Return when time alone changes what goes out; what is due already waits for what a Traefik shows."""
        due_mono_s = self.due_mono_s
        return due_mono_s if due_mono_s is not None and due_mono_s > now.mono_s else None

    def look(self, showing: Showing, has_fetched_twice: Callable[[str, int], bool], now: Instant) -> bool:
        """Follow what the Traefiks show; tell whether another text goes out from now on.

        `has_fetched_twice` tells of a Traefik whether it was given a document of this revision, or a later one, twice.
        """
        if self.wanted is None or not showing:
            return False
        keys = {name: self._keys.get(marker) for name, (marker, _) in showing.items()}
        self.newer |= {name for name, key in keys.items() if key == self.wanted.key}
        if self.newer and self.is_refused:
            self.is_refused, self._since_mono_s = False, None
            return True
        if len(of := set(keys.values())) == 1:
            (key,) = of
            self._settle(key, next(iter(showing.values()))[0])
            return self._let_go(key, showing, has_fetched_twice, now)
        return False

    @property
    def changed(self) -> str:
        """What Traefik would get otherwise by the wanted text than by the one that it applied, as paths in the file."""
        if self.applied is None or self.wanted is None:
            return ""
        of = (self.applied.key, self.wanted.key)
        if self._changed[:2] != of:
            self._changed = (*of, told(changes(self.applied.desired, self.wanted.desired)))
        return self._changed[2]

    def gone(self, traefik: str) -> None:
        """Forget a Traefik whose address is gone."""
        self.newer.discard(traefik)

    @property
    def kept(self) -> Applied | None:
        """What is to outlive the process."""
        if self.applied is None:
            return None
        refused = self.wanted.key if self.is_refused and self.wanted is not None else self._refused_before
        return Applied(self.applied.text, self._marker, refused)

    def _settle(self, key: str | None, marker: str) -> None:
        """Take the one text that all Traefiks show as applied."""
        known = (self.wanted, *self._tried, self.applied)
        text = next((one for one in known if one is not None and one.key == key), None)
        if text is None:
            return
        self.applied, self._marker = text, marker
        if text is self.wanted:
            self._tried = ()

    def _let_go(
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


def key_of(text: str) -> str:
    """Return the hash by which a text is known again."""
    return sha256(text.encode(errors="surrogatepass")).hexdigest()


def changes(before: Desired, after: Desired) -> Iterator[str]:
    """Yield where a text differs from another one in what Traefik gets, as paths in the file."""
    if before.generate_certificate is not after.generate_certificate:
        yield "traefik.defaultCertificate"
    for name in sorted(before.services.keys() | after.services.keys()):
        was, now = before.services.get(name), after.services.get(name)
        if was is None or now is None:
            yield f"services.{name}"
        elif was != now:
            yield from (
                f"services.{name}.{_written(field)}"
                for field in DOCUMENT_FIELDS
                if getattr(was, field) != getattr(now, field)
            )
    yield from _differing(before.pass_through, after.pass_through)


def told(paths: Iterable[str]) -> str:
    """Return the first few of some paths, and how many more there are."""
    found = list(paths)
    more = [f"and {len(found) - CHANGES_TOLD} more"] if len(found) > CHANGES_TOLD else []
    return ", ".join([*found[:CHANGES_TOLD], *more])


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


def _written(field: str) -> str:
    return {"load_balancer": "loadBalancer", "routers": "router"}.get(field, field)
