"""Which documents each Traefik surely fetched, told by what it showed (rule 7).

A Traefik asks over a connection that does not say whose it is: a monitor polls from the same address, a proxy stands
between, and the one that is read back may not reach us at all. But whoever shows a document of ours was given it. So it
is one of those who had been given that document by then, and it has surely fetched another one when all of these have.
"""

from provider.pollers import Connection, Pollers


class Evidence:
    """The connections over which each Traefik may poll, by its address in readings."""

    def __init__(self, pollers: Pollers) -> None:
        self._pollers = pollers
        self._may_be: dict[str, tuple[Connection, ...]] = {}

    def began_to_show(self, traefik: str, revision: int) -> None:
        """Note that a Traefik shows a document that it surely had from this process, and had not shown before."""
        given = self._pollers.given(revision)
        # A Traefik names itself as such where it was not told otherwise; then who else asks is out of the question.
        self._may_be[traefik] = tuple(one for one in given if one.has_ticker) or given

    def forget(self, traefik: str) -> None:
        """Forget a Traefik that is gone or was restarted: its connection is another one."""
        self._may_be.pop(traefik, None)

    def connections(self, traefik: str) -> tuple[Connection, ...]:
        """Return the connections one of which is surely this Traefik's; none where nothing is known."""
        return self._may_be.get(traefik, ())

    def fetched_mono_s(self, revision: int) -> dict[str, float]:
        """Return since when each Traefik surely has the last document, of those that surely have it.

        A connection that was closed before says nothing: its Traefik may have come back, or not.
        """
        return {
            traefik: max(one.received_mono_s for one in may_be)
            for traefik, may_be in self._may_be.items()
            if may_be and all(one.received >= revision for one in may_be)
        }
