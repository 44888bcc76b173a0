"""Which documents each Traefik surely fetched, inferred from what it showed (rule 7).

A connection does not say which Traefik polls over it: a monitor may poll from the same address, a proxy may be in
between, and the Traefik that is read back may not poll us at all. But a Traefik that shows a document of ours was given
it. So it is behind one of the connections that had been given that document by then, and it has surely fetched another
one once all of these have.
"""

from provider.traefik.elsewhere import Elsewhere
from provider.traefik.pollers import Fetcher, Pollers


class Deliveries:
    """The connections over which each Traefik may poll, by its name in readings."""

    def __init__(self, pollers: Pollers, elsewhere: Elsewhere) -> None:
        self._pollers, self._elsewhere = pollers, elsewhere
        self._may_be: dict[str, tuple[Fetcher, ...]] = {}

    def polling(self) -> tuple[Fetcher, ...]:
        """Return all who poll, here and at other replicas."""
        return (*self._pollers.polling(), *self._elsewhere.polling())

    def began_to_show(self, traefik: str, revision: int) -> None:
        """Note that a Traefik shows a document that it surely had from this process, and had not shown before."""
        if self._elsewhere.polling():  # what they were given is known later than a Traefik may show it
            self._may_be[traefik] = self.polling()
            return
        given = self._pollers.given(revision)
        # A Traefik names itself unless it is configured otherwise; then other clients are ruled out.
        self._may_be[traefik] = tuple(one for one in given if one.has_ticker) or given

    def forget(self, traefik: str) -> None:
        """Forget a Traefik that is gone or was restarted: its connection is another one."""
        self._may_be.pop(traefik, None)

    def connections(self, traefik: str) -> tuple[Fetcher, ...]:
        """Return the connections one of which is surely this Traefik's; none where that is unknown."""
        return self._may_be.get(traefik, ())

    def fetched_mono_s(self, revision: int) -> dict[str, float]:
        """Return since when each Traefik surely has the last document, of those that surely have it.

        A connection that was closed before proves nothing: its Traefik may have come back, or not.
        """
        return {
            traefik: max(one.received_mono_s for one in may_be)
            for traefik, may_be in self._may_be.items()
            if may_be and all(one.received >= revision for one in may_be)
        }
