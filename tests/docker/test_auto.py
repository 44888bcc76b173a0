"""What both halves report is reported together; `tests/integration/test_swarm.py` follows a real engine."""

from collections.abc import Mapping

from provider.docker.joined import EMPTY, Joined
from provider.model import ByColour, Server

OF_COMPOSE = Server("http://172.17.0.2:80", "aaaaaaaa", container="aaaaaaaaaaaa")
OF_SWARM = Server("http://10.0.1.2:80", "bbbbbbbb", container="bbbbbbbbbbbb")
BLUE: ByColour[tuple[Server, ...]] = ByColour((OF_COMPOSE,), ())
GREEN: ByColour[tuple[Server, ...]] = ByColour((), (OF_SWARM,))


class Reports:
    """A sink that notes what it is told."""

    def __init__(self) -> None:
        self.services: dict[str, ByColour[tuple[Server, ...]]] | None = None
        self.times_mono_s: list[float] = []
        self.connected: list[tuple[bool, str | None]] = []
        self.warnings: Mapping[str, str] = {}
        self.networks: frozenset[str] = frozenset()
        self.events: list[str] = []

    def docker_listed(self, services: Mapping[str, ByColour[tuple[Server, ...]]], listed_mono_s: float) -> None:
        self.services = dict(services)
        self.times_mono_s.append(listed_mono_s)

    def docker_service(self, service: str, colours: ByColour[tuple[Server, ...]], listed_mono_s: float) -> None:
        assert self.services is not None
        self.services[service] = colours
        self.times_mono_s.append(listed_mono_s)

    def docker_networks(self, networks: frozenset[str]) -> None:
        self.networks = networks

    def docker_connected(self, connected: bool, cause: str | None) -> None:
        self.connected.append((connected, cause))

    def docker_warnings(self, warnings: Mapping[str, str]) -> None:
        self.warnings = warnings

    def docker_event(self, action: str) -> None:
        self.events.append(action)


def test_a_service_may_have_containers_and_tasks() -> None:
    sink = Reports()
    joined = Joined(sink)
    engine, swarm = joined.part(), joined.part()
    engine.docker_service("shop", BLUE, 0.5)
    engine.docker_listed({"shop": BLUE}, 1.0)
    assert sink.times_mono_s == [], "before the first complete list of both, nothing is known (rule 1)"
    swarm.docker_listed({"shop": GREEN, "mail": GREEN}, 2.0)
    assert sink.services == {"shop": ByColour((OF_COMPOSE,), (OF_SWARM,)), "mail": GREEN}
    swarm.docker_service("shop", EMPTY, 3.0)
    assert sink.services == {"shop": BLUE, "mail": GREEN}


def test_what_was_listed_again_is_as_old_as_the_older_half() -> None:
    """Rule 6."""
    sink = Reports()
    joined = Joined(sink)
    engine, swarm = joined.part(), joined.part()
    engine.docker_listed({}, 1.0)
    swarm.docker_listed({}, 2.0)
    engine.docker_service("shop", BLUE, 5.0)
    swarm.docker_service("shop", GREEN, 6.0)
    assert sink.times_mono_s == [1.0, 2.0, 5.0]
    swarm.docker_listed({"shop": GREEN}, 7.0)
    assert sink.times_mono_s[-1] == 1.0, "a complete list is complete for both"


def test_docker_answers_while_both_halves_do() -> None:
    """Rule 6."""
    sink = Reports()
    joined = Joined(sink)
    engine, swarm = joined.part(), joined.part()
    engine.docker_connected(connected=True, cause=None)
    assert sink.connected == []
    swarm.docker_connected(connected=True, cause=None)
    swarm.docker_connected(connected=False, cause="no leader")
    engine.docker_connected(connected=True, cause=None)
    swarm.docker_connected(connected=True, cause=None)
    assert sink.connected == [(True, None), (False, "no leader"), (False, "no leader"), (True, None)]


def test_warnings_of_both_stand_side_by_side() -> None:
    sink = Reports()
    joined = Joined(sink)
    engine, swarm = joined.part(), joined.part()
    engine.docker_warnings({"shop-red": "ignored"})
    swarm.docker_warnings({"shop-blue": "no port"})
    assert sink.warnings == {"shop-red": "ignored", "shop-blue": "no port"}
    engine.docker_warnings({})
    assert sink.warnings == {"shop-blue": "no port"}
