"""What is known of the Traefiks: who polls, which document each surely has, and what its API shows."""

from collections.abc import Mapping
from typing import NamedTuple

from provider.model import Laggard
from provider.traefik.delivery import Deliveries
from provider.traefik.elsewhere import Elsewhere
from provider.traefik.pollers import Pollers
from provider.traefik.readback import Reading
from provider.traefik.shown import Traefiks


class Fetched(NamedTuple):
    """Who has the document of a revision: every poller (None where nobody polls), and since when which Traefik surely.

    `given` is whether every poller was given it, be it that it is still on its way; None where some were, and False
    where nobody at all was. `laggard` is a poller of another replica that has not got it.
    """

    revision: int | None
    by_pollers: bool | None
    by_traefik: Mapping[str, float]
    given: bool | None
    laggard: Laggard | None = None


class TraefikView:
    """The pollers here and `elsewhere`, the `readings` of every API, and the `revision` of the last document.

    It is None before the first.
    """

    def __init__(self, pollers: Pollers) -> None:
        self.pollers = pollers
        self.elsewhere = Elsewhere()
        self.readings = Traefiks()
        self.revision: int | None = None
        self._given = 0
        self._deliveries = Deliveries(pollers, self.elsewhere)

    def published(self, revision: int, marker: str, now_mono_s: float) -> None:
        """Expect another document to be fetched and applied from now on."""
        self.revision = revision
        self.readings.published(marker, now_mono_s, revision)
        self.readings.is_given |= self._given >= revision

    def gave(self, revision: int) -> bool:
        """Note that somebody was given a document; return whether it is the last one, for the first time.

        A mirror may serve a document before its publication is noted here.
        """
        self._given = max(self._given, revision)
        is_first = revision == self.revision and not self.readings.is_given
        self.readings.is_given |= is_first
        return is_first

    def read(self, reading: Reading, now_mono_s: float) -> bool:
        """Take what a Traefik shows; return whether it says anything new."""
        news = self.readings.read(reading, now_mono_s)
        if news.is_another:
            self._deliveries.forget(reading.traefik)
        if news.began:
            self._deliveries.began_to_show(reading.traefik, self.revision or 0)
        return news.is_changed

    def gone(self, traefik: str) -> None:
        """Forget a Traefik whose address is gone."""
        self.readings.gone(traefik)
        self._deliveries.forget(traefik)

    def has_fetched_twice(self, traefik: str, revision: int) -> bool:
        """Return whether a Traefik was given a document twice, of this revision or later (rule 15).

        Where it is not known which poller it is, all of them were.
        """
        for may_be in (self._deliveries.connections(traefik), self._deliveries.polling()):
            if may_be and all(one.before >= revision for one in may_be):
                return True
        return False

    def fetched(self) -> Fetched:
        """Return who has the last document. A Traefik whose API answers need not poll us; who polls may be anybody."""
        revision, polling = self.revision or 0, self._deliveries.polling()
        by_pollers = min(one.received for one in polling) >= revision if polling else None
        is_given = bool(polling) and all(one.revision >= revision for one in polling)
        given = True if is_given else None if self.readings.is_given else False
        laggard = self.elsewhere.laggard(revision) if by_pollers is False else None
        return Fetched(self.revision, by_pollers, self._deliveries.fetched_mono_s(revision), given, laggard)
