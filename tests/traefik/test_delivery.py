"""Rule 7: a Traefik surely fetched what everybody has who was given, before it showed it, what it shows."""

from datetime import UTC, datetime

from provider.model import Instant, Laggard
from provider.traefik.delivery import Deliveries
from provider.traefik.elsewhere import Elsewhere, PollerElsewhere, ReplicaPolls
from provider.traefik.pollers import Connection as Polling
from provider.traefik.pollers import Poller, Pollers
from tests.support.polling import Connection

TRAEFIK = "http://127.0.0.1:8080"


class Daemon:
    """Pollers that are given documents, and what is known of the Traefik that is read back."""

    def __init__(self) -> None:
        self.pollers, self.elsewhere = Pollers(), Elsewhere()
        self.evidence = Deliveries(self.pollers, self.elsewhere)
        self.now_s = 100.0

    def asks(self, over: Connection, revision: int, *, is_traefik: bool = True, held: bool = False) -> Polling:
        """Poll, and be given a document."""
        self.now_s += 1.0
        now = Instant(self.now_s, datetime.fromtimestamp(self.now_s, UTC))
        connection = self.pollers.polled(over, "127.0.0.1", None, now, has_ticker=is_traefik)
        self.pollers.answered(connection, revision, now, was_held=held)
        return connection

    def fetched(self, revision: int) -> float | None:
        return self.evidence.fetched_mono_s(revision).get(TRAEFIK)


def test_the_only_one_who_was_given_what_a_traefik_shows_is_that_traefik() -> None:
    daemon, over = Daemon(), Connection()
    daemon.asks(over, 1)
    assert daemon.fetched(1) is None, "it has shown nothing yet"
    daemon.evidence.began_to_show(TRAEFIK, 1)
    assert daemon.fetched(2) is None
    daemon.asks(over, 2)
    assert daemon.fetched(2) == daemon.now_s


def test_an_answer_after_a_hold_counts_when_the_next_poll_comes() -> None:
    daemon, over = Daemon(), Connection()
    daemon.asks(over, 1)
    daemon.evidence.began_to_show(TRAEFIK, 1)
    daemon.asks(over, 2, held=True)
    assert daemon.fetched(2) is None
    daemon.asks(over, 2, held=True)
    assert daemon.fetched(2) == daemon.now_s


def test_a_monitor_that_polls_proves_nothing_of_a_traefik_that_cannot() -> None:
    """Both had the first document; then the Traefik's connection is gone, or asks no more."""
    for is_traefik in (True, False):
        for is_closed in (True, False):
            daemon, traefik, monitor = Daemon(), Connection(), Connection()
            daemon.asks(traefik, 1)
            daemon.asks(monitor, 1, is_traefik=is_traefik)
            daemon.evidence.began_to_show(TRAEFIK, 1)
            traefik.closed = is_closed
            for _ in range(3):
                daemon.asks(monitor, 2, is_traefik=is_traefik)
            assert daemon.fetched(2) is None


def test_a_monitor_that_came_later_is_not_the_traefik() -> None:
    daemon, traefik, monitor = Daemon(), Connection(), Connection()
    daemon.asks(traefik, 1)
    daemon.evidence.began_to_show(TRAEFIK, 1)
    daemon.asks(monitor, 1)
    daemon.asks(traefik, 2)
    assert daemon.fetched(2) == daemon.now_s, "that the monitor has yet to fetch it says nothing"


def test_a_traefik_behind_a_proxy_that_keeps_no_connection_is_not_taken_for_the_monitor_beside_it() -> None:
    daemon, monitor = Daemon(), Connection()
    daemon.asks(monitor, 1)
    once = Connection()
    daemon.asks(once, 1)
    once.close()
    daemon.evidence.began_to_show(TRAEFIK, 1)
    daemon.asks(monitor, 2)
    assert daemon.fetched(2) is None


def test_who_does_not_ask_as_a_traefik_does_is_none_where_another_one_does() -> None:
    daemon, traefik, curl = Daemon(), Connection(), Connection()
    daemon.asks(curl, 1, is_traefik=False)
    daemon.asks(traefik, 1)
    daemon.evidence.began_to_show(TRAEFIK, 1)
    daemon.asks(traefik, 2)
    assert daemon.fetched(2) == daemon.now_s


def test_a_traefik_that_came_back_over_another_connection_is_known_again_by_the_next_document_that_it_shows() -> None:
    daemon, over, again = Daemon(), Connection(), Connection()
    daemon.asks(over, 1)
    daemon.evidence.began_to_show(TRAEFIK, 1)
    over.close()
    daemon.asks(again, 1)
    daemon.asks(again, 2)
    assert daemon.fetched(2) is None
    daemon.evidence.began_to_show(TRAEFIK, 2)
    daemon.asks(again, 3)
    assert daemon.fetched(3) == daemon.now_s
    daemon.evidence.forget(TRAEFIK)
    assert daemon.fetched(3) is None


def elsewhere(revision: int) -> ReplicaPolls:
    return ReplicaPolls((PollerElsewhere(Poller("edge-2", revision, 0.0)),))


def test_with_other_replicas_a_traefik_surely_fetched_only_what_everybody_has() -> None:
    """Rule 59: what they give is known late, so the Traefik that shows a document may poll any of them."""
    daemon, over = Daemon(), Connection()
    daemon.elsewhere.put({"second": elsewhere(0)}, daemon.now_s)
    daemon.asks(over, 1)
    daemon.evidence.began_to_show(TRAEFIK, 1)
    daemon.asks(over, 2)
    assert daemon.fetched(2) is None
    daemon.elsewhere.put({"second": elsewhere(2)}, daemon.now_s + 1.0)
    assert daemon.fetched(2) == daemon.now_s + 1.0


def test_a_replica_that_is_away_leaves_its_pollers_unproven() -> None:
    """Rule 59: until it says otherwise, or is forgotten."""
    found = Elsewhere()
    away = ReplicaPolls(elsewhere(1).pollers, is_away=True)
    assert found.put({"second": away, "third": ReplicaPolls(is_away=True)}, 1.0)
    assert not found.put({"second": away, "third": ReplicaPolls(is_away=True)}, 2.0)
    assert found.away(2) == ["second (1 of its 1 pollers)", "third"]
    assert found.laggard(2) == Laggard("edge-2", "second", is_away=True)
    assert [one.received for one in found.polling()] == [1]
    assert found.put({"second": elsewhere(2)}, 3.0)
    assert found.away(2) == []
    assert found.laggard(2) is None
    assert found.laggard(3) == Laggard("edge-2", "second", is_away=False)
    assert found.put({}, 4.0)
    assert found.polling() == ()
