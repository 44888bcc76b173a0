"""Lists and inspections come in any order, and the newer one counts."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from provider.docker.inventory import Inventory, Stop
from provider.docker.sighting import Sighting
from provider.model import ByColour, Colour, Health, Server

SHOP = "shop"


@dataclass
class Reports:
    """A sink that keeps which servers of the shop it was reported, and how old the list behind them is."""

    blue: list[tuple[list[str | None], float]] = field(default_factory=list)
    warnings: Mapping[str, str] = field(default_factory=dict)

    def docker_listed(self, services: Mapping[str, ByColour[tuple[Server, ...]]], listed_mono_s: float) -> None:
        self.docker_service(SHOP, services.get(SHOP, ByColour((), ())), listed_mono_s)

    def docker_service(self, service: str, colours: ByColour[tuple[Server, ...]], listed_mono_s: float) -> None:
        assert service == SHOP
        self.blue.append(([server.container for server in colours.blue], listed_mono_s))

    def docker_networks(self, networks: frozenset[str]) -> None: ...

    def docker_connected(self, connected: bool, cause: str | None) -> None: ...

    def docker_warnings(self, warnings: Mapping[str, str]) -> None:
        self.warnings = warnings

    def docker_event(self, action: str) -> None: ...


def sighting(container: str, health: Health | None = None) -> Sighting:
    server = Server(url=f"http://{container}:80", release="r", container=container, docker_health=health)
    return Sighting(SHOP, container, container, Colour.BLUE, (server,))


@pytest.fixture
def reports() -> Reports:
    return Reports()


@pytest.fixture
def inventory(reports: Reports) -> Inventory:
    inventory = Inventory(reports)
    inventory.put_all([sighting("a")], frozenset(), 1.0)
    del reports.blue[:]
    return inventory


def test_an_inspection_is_reported_and_makes_the_list_no_newer(inventory: Inventory, reports: Reports) -> None:
    """Rule 6: the list before the switch is still a list."""
    inventory.put_inspected([sighting("b")], 2.0)
    assert reports.blue == [(["a", "b"], 1.0)]
    inventory.put_inspected([sighting("b")], 3.0)
    assert len(reports.blue) == 1, "what has not changed is not reported again"


def test_before_the_first_complete_list_an_inspection_is_not_reported(reports: Reports) -> None:
    """Rule 1: until then Docker's servers are unknown."""
    inventory = Inventory(reports)
    inventory.put_inspected([sighting("b")], 2.0)
    assert reports.blue == []


@pytest.mark.parametrize("is_complete", [True, False])
def test_a_list_under_way_does_not_take_away_what_was_inspected_since(
    inventory: Inventory, reports: Reports, is_complete: bool
) -> None:
    inventory.put_inspected([sighting("b", Health.HEALTHY)], 2.0)
    for requested_mono_s, listed in ((1.5, [sighting("a")]), (1.6, [sighting("a"), sighting("b", Health.UNKNOWN)])):
        put(inventory, listed, requested_mono_s, is_complete=is_complete)
        assert reports.blue[-1] == (["a", "b"], requested_mono_s)
        assert inventory.health_of("b") is Health.HEALTHY
    put(inventory, [sighting("a")], 2.5, is_complete=is_complete)
    assert reports.blue[-1] == (["a"], 2.5), "a list that was requested later is right"


@pytest.mark.parametrize("is_complete", [True, False])
@pytest.mark.parametrize("others", [[], ["a"]])
def test_an_inspection_older_than_the_list_is_dropped(
    inventory: Inventory, reports: Reports, others: list[str], is_complete: bool
) -> None:
    """Rule 4: a container that is gone is never published again, be its service without any other."""
    put(inventory, [sighting(each) for each in others], 2.0, is_complete=is_complete)
    inventory.put_inspected([sighting("b")], 1.9)
    assert reports.blue == [(others, 2.0)]


def test_one_that_died_meanwhile_is_not_published(inventory: Inventory, reports: Reports) -> None:
    """Rule 4: the engine says `die` before an inspection does."""
    inventory.died(SHOP, "b", Stop(2.1, 1), is_asked=True)
    inventory.put_inspected([sighting("b")], 2.0)
    assert [containers for containers, _ in reports.blue] == [["a"]]
    inventory.started("b")
    inventory.put_inspected([sighting("b", Health.UNKNOWN)], 2.2)
    assert reports.blue[-1] == (["a", "b"], 1.0)


def test_a_warning_of_an_inspection_is_reported(inventory: Inventory, reports: Reports) -> None:
    inventory.put_inspected([Sighting(SHOP, "b", "b", warning="ignored: no colour")], 2.0)
    assert reports.warnings == {"b": "ignored: no colour"}
    inventory.put(SHOP, (sighting("a"),), 3.0)
    assert reports.warnings == {}


def put(inventory: Inventory, sightings: list[Sighting], requested_mono_s: float, *, is_complete: bool) -> None:
    if is_complete:
        inventory.put_all(sightings, frozenset(), requested_mono_s)
    else:
        inventory.put(SHOP, tuple(sightings), requested_mono_s)
