"""Rule 16: which Traefiks fetch documents, by their connections, and which polls may be held."""

from datetime import UTC, datetime

import pytest

from provider.model import Instant
from provider.traefik.pollers import GIVEN_MOST, LABELS_MOST, NOT_HELD_S, OTHER, Poller, Pollers
from provider.traefik.pollers import Connection as Polling
from tests.support.polling import Connection

LIMIT_S = 4.0


def at(now_s: float) -> Instant:
    return Instant(now_s, datetime.fromtimestamp(now_s, UTC))


def poll(
    pollers: Pollers, over: Connection, address: str, name: str | None, revision: int, now_s: float = 100.0
) -> Polling:
    """Poll, and be answered with this revision at once."""
    connection = pollers.polled(over, address, name, at(now_s))
    connection.revision = connection.received = revision
    return connection


def test_a_connection_is_a_poller_from_its_second_poll_on() -> None:
    pollers, one = Pollers(), Connection()
    poll(pollers, one, "10.0.0.1", None, 1, 100.0)
    assert list(pollers) == []
    pollers.polled(one, "10.0.0.1", None, at(105.0))
    assert list(pollers) == [Poller("10.0.0.1", 1, 105.0)], "it counts while its second poll is held, too"
    poll(pollers, one, "10.0.0.1", None, 2, 106.0)
    assert list(pollers) == [Poller("10.0.0.1", 2, 106.0)]


def test_a_poller_that_names_itself_counts_at_once() -> None:
    pollers = Pollers()
    poll(pollers, Connection(), "10.0.0.1", "edge-1", 1, 100.0)
    assert list(pollers) == [Poller("edge-1", 1, 100.0)]


def test_closing_forgets_a_poller() -> None:
    pollers, one = Pollers(), Connection()
    poll(pollers, one, "10.0.0.1", "edge-1", 1)
    one.close()
    assert list(pollers) == []


@pytest.mark.parametrize("name", ["edge", None], ids=["one name", "one address"])
def test_of_several_pollers_with_one_label_the_one_that_lags_speaks(name: str | None) -> None:
    """Rule 16, P2: two Traefiks behind one NAT or proxy are two, and one that has a document proves nothing of both."""
    pollers = Pollers()
    fast, slow = Connection(), Connection()
    for _ in range(2):
        poll(pollers, slow, "10.0.0.1", name, 6, 100.0)
        poll(pollers, fast, "10.0.0.1", name, 7, 105.0)
    assert list(pollers) == [Poller(name or "10.0.0.1", 6, 105.0)]
    assert {one.received for one in pollers.polling()} == {6, 7}


def test_who_was_given_a_document_is_known_also_when_its_connection_is_closed() -> None:
    pollers, one = Pollers(), Connection()
    first = pollers.polled(one, "10.0.0.1", None, at(100.0))
    pollers.answered(first, 7, at(100.0), was_held=False)
    one.close()
    other = pollers.polled(Connection(), "10.0.0.2", None, at(101.0))
    pollers.answered(other, 7, at(101.0), was_held=True)
    assert pollers.given(7) == (first, other)
    pollers.answered(other, 8, at(102.0), was_held=True)
    assert (pollers.given(7), pollers.given(8)) == ((), (other,))


def test_who_was_given_a_document_is_not_returned_where_these_are_too_many() -> None:
    """P2: the Traefik that is meant may be among those that were let go of."""
    pollers = Pollers()
    for _ in range(GIVEN_MOST + 10):
        pollers.answered(pollers.polled(Connection(), "10.0.0.1", None, at(100.0)), 7, at(100.0), was_held=False)
    assert pollers.given(7) == ()


def test_beyond_the_limit_all_are_others_and_a_label_stays_with_whom_it_was_given_to() -> None:
    """The labels of a metric must not change hands with the order of the polls."""
    pollers = Pollers()
    connections = [Connection() for _ in range(LABELS_MOST + 10)]
    for turn in (connections, connections[::-1]):
        for second, connection in enumerate(turn):
            poll(pollers, connection, "", f"edge-{connections.index(connection)}", 1, float(second))
        labels = {poller.label for poller in pollers}
        assert labels == {OTHER, *(f"edge-{number}" for number in range(LABELS_MOST))}


def test_another_connection_at_the_same_place_in_memory_is_another_poller() -> None:
    pollers, one = Pollers(), Connection()
    poll(pollers, one, "10.0.0.1", None, 1)
    kept = pollers._connections[id(one)]
    other = Connection()
    pollers._connections = {id(other): kept}
    poll(pollers, other, "10.0.0.2", None, 1)
    assert list(pollers) == [], "this was its first poll"


# --- holding -------------------------------------------------------------------------------------------------------


def test_only_who_was_given_this_very_document_over_this_connection_may_be_held() -> None:
    pollers, one = Pollers(), Connection()
    polling = pollers.polled(one, "10.0.0.1", None, at(100.0))
    assert not pollers.hold_s(polling, 7, LIMIT_S, at(100.0)), "a new connection knows nothing yet"
    polling.revision = 7
    assert pollers.hold_s(polling, 7, LIMIT_S, at(101.0)) == LIMIT_S
    assert not pollers.hold_s(polling, 8, LIMIT_S, at(101.0))


def test_who_went_away_during_a_hold_is_not_held_for_a_while_over_no_connection() -> None:
    pollers = Pollers()
    gone = poll(pollers, Connection(), "10.0.0.1", None, 7)
    pollers.left(gone, at(100.0))
    back, other = (poll(pollers, Connection(), address, None, 7) for address in ("10.0.0.1", "10.0.0.2"))
    assert not pollers.hold_s(back, 7, LIMIT_S, at(100.0 + NOT_HELD_S - 1))
    assert pollers.hold_s(other, 7, LIMIT_S, at(101.0)) == LIMIT_S
    assert pollers.not_held(at(101.0)) == ["10.0.0.1"]
    assert pollers.hold_s(back, 7, LIMIT_S, at(100.0 + NOT_HELD_S)) == LIMIT_S
    assert pollers.not_held(at(100.0 + NOT_HELD_S)) == []


def test_a_name_distinguishes_two_traefiks_behind_one_address() -> None:
    pollers = Pollers()
    pollers.left(poll(pollers, Connection(), "10.0.0.1", "edge-1", 7), at(100.0))
    assert not pollers.hold_s(poll(pollers, Connection(), "10.0.0.1", "edge-1", 7), 7, LIMIT_S, at(101.0))
    assert pollers.hold_s(poll(pollers, Connection(), "10.0.0.1", "edge-2", 7), 7, LIMIT_S, at(101.0)) == LIMIT_S


def test_those_who_went_away_are_remembered_within_bounds_and_not_for_ever() -> None:
    pollers = Pollers()
    for number in range(LABELS_MOST + 10):
        pollers.left(poll(pollers, Connection(), f"10.0.1.{number}", None, 7), at(100.0))
    assert len(pollers.not_held(at(101.0))) == LABELS_MOST
    pollers.left(poll(pollers, Connection(), "10.0.0.9", None, 7), at(100.0 + NOT_HELD_S))
    assert pollers.not_held(at(101.0 + NOT_HELD_S)) == ["10.0.0.9"]


def test_what_ended_a_hold_counts_as_received_when_the_poller_asks_again() -> None:
    """P2: the machine may be gone since it asked."""
    pollers, one = Pollers(), Connection()
    held = poll(pollers, one, "10.0.0.1", "edge-1", 7)
    held.revision = 8
    assert list(pollers) == [Poller("edge-1", 7, 100.0)]
    assert pollers.hold_s(held, 8, LIMIT_S, at(101.0)) == LIMIT_S
    pollers.polled(one, "10.0.0.1", "edge-1", at(102.0))
    assert list(pollers) == [Poller("edge-1", 8, 102.0)]


# --- a Traefik's ticker --------------------------------------------------------------------------------------------


def ticking(pollers: Pollers, *times_s: float) -> Polling:
    """Poll as Traefik does, at these times."""
    over = Connection()
    for now_s in times_s:
        polling = pollers.polled(over, "10.0.0.1", None, at(now_s), has_ticker=True)
        polling.revision = 7
    return polling


@pytest.mark.parametrize(("interval_s", "held_s"), [(0.01, 0.0), (0.1, 0.08), (1.0, 0.98), (5.0, LIMIT_S)])
def test_a_traefik_is_held_until_just_before_its_next_poll_is_due(interval_s: float, held_s: float) -> None:
    """A hold over a tick would let a Traefik that is stopped poll on, and panic."""
    pollers = Pollers()
    polling = ticking(pollers, 100.0, 100.0 + interval_s)
    assert pollers.hold_s(polling, 7, LIMIT_S, at(101.0)) == pytest.approx(held_s)


def test_an_interval_that_was_taken_for_too_long_is_found_out() -> None:
    """The first poll is followed by more than the interval where Traefik takes its time over the first document."""
    pollers = Pollers()
    times_s = [100.0, 101.3]
    for _ in range(30):  # each poll comes with a tick, or at once after a hold that has missed one
        polling = ticking(Pollers(), *times_s)
        answered_s = times_s[-1] + pollers.hold_s(polling, 7, LIMIT_S, at(0.0))
        next_tick_s = 100.3 + int(times_s[-1] - 100.3 + 1.000001)
        times_s.append(max(answered_s, next_tick_s))
    assert 0.9 < pollers.hold_s(ticking(Pollers(), *times_s), 7, LIMIT_S, at(0.0)) < 1.0


def test_one_late_answer_does_not_shorten_the_holds_for_ever() -> None:
    pollers = Pollers()
    late = ticking(pollers, 100.0, 101.0, 102.3, 103.0)
    assert pollers.hold_s(late, 7, LIMIT_S, at(103.0)) == pytest.approx(0.68)
    recovered = ticking(pollers, 100.0, 101.0, 102.3, *(103.0 + tick for tick in range(9)))
    assert pollers.hold_s(recovered, 7, LIMIT_S, at(111.0)) == pytest.approx(0.98)
