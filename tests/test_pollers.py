"""Rule 16: which Traefiks fetch documents, told by their connections."""

import asyncio

from provider.pollers import LABELS_MOST, OTHER, Poller, Pollers


class Connection(asyncio.BaseTransport):
    """A connection as far as it is looked at: open until it is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = False

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


def test_a_connection_is_a_poller_from_its_second_poll_on() -> None:
    pollers, one = Pollers(), Connection()
    pollers.polled(one, "10.0.0.1", None, 1, 100.0)
    assert list(pollers) == []
    pollers.polled(one, "10.0.0.1", None, 2, 105.0)
    assert list(pollers) == [Poller("10.0.0.1", 2, 105.0)]


def test_a_poller_that_names_itself_counts_at_once() -> None:
    pollers = Pollers()
    pollers.polled(Connection(), "10.0.0.1", "edge-1", 1, 100.0)
    assert list(pollers) == [Poller("edge-1", 1, 100.0)]


def test_closing_forgets_a_poller() -> None:
    pollers, one = Pollers(), Connection()
    pollers.polled(one, "10.0.0.1", "edge-1", 1, 100.0)
    one.close()
    assert list(pollers) == []


def test_of_several_connections_under_one_label_the_newest_poll_speaks() -> None:
    pollers = Pollers()
    pollers.polled(Connection(), "10.0.0.1", "edge", 7, 105.0)
    pollers.polled(Connection(), "10.0.0.2", "edge", 6, 100.0)
    assert list(pollers) == [Poller("edge", 7, 105.0)]


def test_beyond_the_limit_all_are_others_and_a_label_stays_with_whom_it_was_given_to() -> None:
    """The labels of a metric must not change hands with the order of the polls."""
    pollers = Pollers()
    connections = [Connection() for _ in range(LABELS_MOST + 10)]
    for turn in (connections, connections[::-1]):
        for second, connection in enumerate(turn):
            pollers.polled(connection, "", f"edge-{connections.index(connection)}", 1, float(second))
        labels = {poller.label for poller in pollers}
        assert labels == {OTHER, *(f"edge-{number}" for number in range(LABELS_MOST))}


def test_another_connection_at_the_same_place_in_memory_is_another_poller() -> None:
    pollers, one = Pollers(), Connection()
    pollers.polled(one, "10.0.0.1", None, 1, 100.0)
    kept = pollers._connections[id(one)]
    other = Connection()
    pollers._connections = {id(other): kept}
    pollers.polled(other, "10.0.0.2", None, 1, 101.0)
    assert list(pollers) == [], "this was its first poll"
