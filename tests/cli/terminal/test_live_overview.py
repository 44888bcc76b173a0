"""All services as they are drawn while they are followed."""

from collections.abc import Sequence
from typing import Any

import pytest

from provider.cli.terminal import live_overview
from provider.cli.terminal.layout import Size
from provider.cli.terminal.symbols import DRAWN
from provider.cli.terminal.view import LiveStatus, View
from tests.support.answers import AWAY, DECIDED, POLLERS, REPLICAS, changed
from tests.support.drawn import BLOCKS, NOW, rolling, server

SMALL = Size(80, 24)


def steady(name: str) -> Any:
    return changed(service=name, phase="steady", blocking=None)


def broken(name: str) -> Any:
    service = steady(name)
    service["colours"]["blue"] = {
        **service["colours"]["blue"],
        "state": "unhealthy",
        "servers": [server(1, "unhealthy", "connection refused")],
    }
    return service


def answer(services: Sequence[dict[str, Any]], conditions: Sequence[dict[str, Any]] = ()) -> Any:
    return {
        "environment": "production",
        "revision": 42,
        "services": list(services),
        "conditions": list(conditions),
        "pollers": POLLERS[:1],
    }


def drawn(answered: Any, size: Size = SMALL) -> list[str]:
    seen = LiveStatus(answered, DECIDED, NOW, None, is_live=True)
    return [line.plain for line in live_overview.draw(View(seen, size, NOW, DRAWN))]


def names(lines: Sequence[str]) -> list[str]:
    start = next(number for number, line in enumerate(lines) if "SERVICE" in line) + 1
    signs = {"   ", "▸  ", "✗  ", "!  "}
    return [line[3:].split()[0] for line in lines[start:] if line[:3] in signs and line[3:4] > " "]


def test_those_that_need_attention_come_first_with_what_it_is() -> None:
    lines = drawn(answer([steady("a"), rolling(service="shop"), broken("pay"), steady("b")], [AWAY]))
    assert names(lines) == ["pay", "shop", "a", "b"]
    text = "\n".join(lines)
    for words in (
        "4 services: 1 critical, 1 in a rollout, 2 steady",
        "! warning: Docker does not answer",
        "blue http://127.0.0.1:1 unhealthy: connection refused",
        "▸  shop     blue    approval 23h 59m  1.4.1 ✓ 1/1            1.4.2 ✓ 2/2",
        "r17 brings 77b0e1d2 (1.4.2) to green: ✓ health ✓ smoke … approval pending",
        BLOCKS.removesuffix(" 77b0e1d2"),
        "✓ edge-1  polled 1d ago, revision 7, current",
        "00:00:03 ✗ shop r17: gates failed",
    ):
        assert words in text, text


def test_of_many_services_the_quiet_ones_are_counted() -> None:
    many = [steady(f"service-{number:03}") for number in range(497)]
    lines = drawn(answer([*many, rolling(service="z-shop"), broken("z-pay"), steady("z")]))
    assert names(lines)[:3] == ["z-pay", "z-shop", "service-000"]
    shown = len(names(lines))
    assert f"  and {500 - shown} more services, all steady" in lines
    assert len(lines) <= 24
    assert any(line.startswith("HISTORY") for line in lines)


def test_with_more_going_on_than_fits_it_is_said_how_much_is_not_shown() -> None:
    lines = drawn(answer([broken(f"service-{number:03}") for number in range(100)] + [steady("z")]))
    shown = len(names(lines))
    assert shown >= 8
    assert f"  and {101 - shown} more services, {100 - shown} of them need attention" in lines


def test_where_no_service_is_confirmed_that_is_reported_once() -> None:
    services = [{**steady(name), "confirmed": False} for name in ("a", "b")]
    assert "2 services: 2 steady; none is confirmed" in drawn(answer(services))
    lines = drawn(answer([*services, steady("c")]))
    assert "3 services: 2 need attention, 1 steady" in lines
    assert "      not confirmed by every Traefik" in lines


def test_of_several_replicas_it_says_who_leads_and_who_is_away_or_behind() -> None:
    """Rule 59: a poller is named with the replica that it polls."""
    one, two, three = REPLICAS
    lines = drawn({**answer([steady("a")]), "replicas": REPLICAS})
    assert "3 replicas, node-1 leads" in lines
    assert not any("node-2" in line for line in lines)
    troubled = [{**one, "leads": False}, {**two, "revision": 41, "current": False}, {**three, "away": True}]
    polls = [{**POLLERS[0], "replica": "node-2"}]
    lines = drawn({**answer([steady("a")]), "replicas": troubled, "pollers": polls})
    assert "3 replicas, none leads" in lines
    assert "! node-3 is away; node-2 is behind, at revision 41" in lines
    assert "✓ edge-1 at replica node-2  polled 1d ago, revision 7, current" in lines


def test_without_services_that_is_said() -> None:
    assert "the desired state has no services" in drawn({**answer([]), "environment": None, "revision": None})


@pytest.mark.parametrize("width", [1, 20, 40, 79, 80, 132])
@pytest.mark.parametrize("height", [1, 2, 5, 12, 24, 50])
@pytest.mark.parametrize("count", [0, 1, 30])
def test_it_fits_every_terminal(width: int, height: int, count: int) -> None:
    services = [rolling(service=f"a-rather-long-name-of-a-service-{number}") for number in range(count)]
    services += [broken(f"pay-{number}") for number in range(count)] + [steady(f"q{number}") for number in range(count)]
    answered = answer(services, [AWAY, {**AWAY, "message": "long " * 100}])
    answered["replicas"] = [{**one, "away": True} for one in REPLICAS]
    seen = LiveStatus(answered, DECIDED * 30, NOW, "gone " * 50)
    lines = live_overview.draw(View(seen, Size(width, height), NOW, DRAWN))
    assert len(lines) <= height
    assert all(line.cell_len <= width for line in lines)
