"""In which network Traefik reaches a container (rule 38), and whether an address is one server's alone (rule 39)."""

from dataclasses import replace

import pytest

from provider.docker.networks import Served, TraefikNetwork, choose, part
from provider.model import ByColour, Endpoint, HealthCheck, Route, Server
from provider.model.observed import ServerPlace
from tests.support.worlds import BLUE

NOBODY = TraefikNetwork()
AT = {name: f"http://10.{number}.0.2:80" for number, name in enumerate(["a-blue", "a-green", "db", "proxy", "x_web"])}


def on(*networks: str, container: str = "c1", labelled: str | None = None) -> Server:
    routes = tuple(Route(name, AT[name]) for name in networks)
    url = AT[labelled or networks[0]]
    return Server(url, "r1", container=container, routes=routes, is_labelled=labelled is not None)


def chosen(
    blue: Server | None = None,
    green: Server | None = None,
    word: TraefikNetwork = NOBODY,
    served: dict[ServerPlace, Served] | None = None,
) -> ByColour[tuple[Server, ...]]:
    some: list[tuple[Server, ...]] = [(each,) if each else () for each in (blue, green)]
    return choose(ByColour(*some), word, BLUE, served or {})


@pytest.mark.parametrize(
    ("green", "word", "served", "network"),
    [
        (on("a-green", "proxy", labelled="a-green"), TraefikNetwork("proxy", frozenset({"proxy"})), None, "a-green"),
        (on("a-green", "proxy"), TraefikNetwork("proxy", frozenset({"a-green"})), "a-green", "proxy"),
        (on("a-green", "proxy"), TraefikNetwork(None, frozenset({"proxy"})), "a-green", "a-green"),
        (on("a-green", "proxy"), TraefikNetwork(None, frozenset({"proxy", "other"})), None, "proxy"),
        (on("a-green", "proxy"), NOBODY, None, "proxy"),
        (on("a-green"), NOBODY, None, "a-green"),
        (on("a-green"), TraefikNetwork("proxy", frozenset({"a-green"})), None, "a-green"),
    ],
    ids=["label", "file", "last document", "the daemon's own", "shared by both", "the only one", "not the file's"],
)
def test_a_network_is_chosen_by_the_order_of_who_says_so(
    green: Server, word: TraefikNetwork, served: str | None, network: str
) -> None:
    """Rule 38."""
    was: dict[ServerPlace, Served] = {ServerPlace("c1"): Served(AT[served], None)} if served else {}
    [found] = chosen(on("a-blue", "proxy", container="c0"), green, word, was).green
    assert (found.network, found.url) == (network, AT[network])
    assert found.was_served is (served == network)
    assert (found.guess is None) is not (served == network), "what only was served is told"


@pytest.mark.parametrize(
    ("blue", "green", "word"),
    [
        (None, on("a-green", "proxy"), NOBODY),
        (on("db", "proxy", container="c0"), on("a-green", "db", "proxy"), NOBODY),
        (on("a-blue", container="c0"), on("a-green", "proxy"), NOBODY),
        (on("db", "proxy", container="c0"), on("db", "proxy"), TraefikNetwork(None, frozenset({"db", "proxy"}))),
        (on("proxy", container="c0"), on("a-green"), TraefikNetwork("proxy")),
        (Server("http://host:80", "r0", container="c0"), on("a-green", "proxy"), NOBODY),
    ],
    ids=["alone", "two are shared", "none is shared", "the daemon is on both", "not on the file's", "blue has none"],
)
def test_a_network_that_nobody_names_is_a_guess_with_the_way_out(
    blue: Server | None, green: Server, word: TraefikNetwork
) -> None:
    """Rule 38: never one by the order of names."""
    [found] = chosen(blue, green, word).green
    assert found.guess is not None
    assert not found.was_served
    assert "To fix it, " in found.guess
    assert "bluegreen.network=" in found.guess


def test_a_container_that_restarts_stays_in_the_network_in_which_it_was_served() -> None:
    [found] = chosen(
        green=on("a-green", "proxy"), served={ServerPlace("c1"): Served("http://10.9.9.9:80", "proxy")}
    ).green
    assert (found.network, found.was_served) == ("proxy", True)


def test_another_server_of_the_active_colour_is_served_beside_the_first() -> None:
    """Rule 3: the active colour is served as it stands, scaled too; the other colour is given nothing by that."""
    served: dict[ServerPlace, Served] = {ServerPlace("c0"): Served(AT["proxy"], None)}
    both = ByColour((on("db", "proxy", container="c0"), on("db", "proxy")), (on("db", "proxy", container="c2"),))
    placed = choose(both, NOBODY, BLUE, served)
    assert [each.network for each in placed.blue] == ["proxy", "proxy"]
    assert [each.network for each in placed.green] == ["db"]


def test_composes_long_name_of_a_network_is_proposed() -> None:
    [found] = chosen(green=on("db", "x_web"), word=TraefikNetwork("web")).green
    assert found.guess is not None
    assert "bluegreen.network=x_web" in found.guess


# --- one address ----------------------------------------------------------------------------------------------------


def parted(blue: str, green: str, check: HealthCheck | None = None) -> tuple[bool, bool]:
    both: list[tuple[Server, ...]] = [(Server(url, "r"),) for url in (blue, green)]
    found = part(ByColour(*both), [Endpoint(health_check=check or HealthCheck())])
    return found.blue[0].twin is not None, found.green[0].twin is not None


@pytest.mark.parametrize(
    ("blue", "green", "check"),
    [
        ("http://10.0.0.2:80", "http://10.0.0.2:80", None),
        ("http://10.0.0.2", "h2c://10.0.0.2:80", None),
        ("https://Shop.internal", "http://shop.internal:443", None),
        ("http://[fd00::1]:80", "http://[fd00:0:0::0:1]:80", None),
        ("http://10.0.0.2:8081", "http://10.0.0.2:8082", HealthCheck(port=9000)),
        ("http://10.0.0.2:8081", "http://10.0.0.2:9000", HealthCheck(port=9000)),
    ],
    ids=["equal", "default port", "letter case", "IPv6 forms", "one port is checked", "the other's is checked"],
)
def test_one_address_in_both_colours_is_evidence_for_neither(blue: str, green: str, check: HealthCheck | None) -> None:
    """Rule 39."""
    assert parted(blue, green, check) == (True, True)


@pytest.mark.parametrize(
    ("blue", "green", "check"),
    [
        ("http://10.0.0.2:80", "http://10.0.0.3:80", HealthCheck(port=9000)),
        ("http://10.0.0.2:8081", "http://10.0.0.2:8082", None),
    ],
    ids=["addresses of their own", "ports of their own"],
)
def test_servers_with_an_address_of_their_own_are_distinguished(
    blue: str, green: str, check: HealthCheck | None
) -> None:
    assert parted(blue, green, check) == (False, False)


def test_two_servers_of_one_colour_at_one_address_are_no_matter() -> None:
    both = ByColour((Server("http://h:1", "r1"), replace(Server("http://h:1", "r1"), container="c2")), ())
    assert part(both, [Endpoint()]) == both
