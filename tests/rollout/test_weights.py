"""The shares of traffic of the colours, and the entries by which Traefik keeps them."""

from dataclasses import replace
from functools import partial

import pytest

from provider.model import Affinity, Child, Colour, Endpoint
from provider.rollout import weights
from tests.support.stepping import stepping as in_steps
from tests.support.worlds import BLUE, GREEN, NOTHING, member, service

stepping = partial(in_steps, weights=(5, 25, 50))


@pytest.mark.parametrize("colour", Colour)
def test_the_colour_without_traffic_has_no_weight_at_all(colour: Colour) -> None:
    """traefik-facts, rule 1: never emit a weight of 0."""
    of = member(active=colour, blue=NOTHING, green=NOTHING)
    assert weights.weights(of, None) == ((colour, 100),)
    assert weights.children(of, of.service, Endpoint(), None) == (Child(f"shop-{colour}", 100, colour),)


@pytest.mark.parametrize(("number", "share"), [(1, 5), (2, 25), (3, 50)])
def test_a_step_gives_the_candidate_its_weight_and_no_more(number: int, share: int) -> None:
    """Rule 19."""
    of, under_way = member(blue=NOTHING, green=NOTHING), stepping(number)
    assert weights.weights(of, under_way) == ((BLUE, 100 - share), (GREEN, share))
    assert weights.children(of, of.service, Endpoint(), under_way) == (
        Child("shop-blue", 100 - share, BLUE),
        Child("shop-green", share, GREEN),
    )


def test_a_member_that_the_rollout_does_not_move_keeps_all_of_its_traffic() -> None:
    """Rule 11."""
    assert weights.weights(member(service("pay"), blue=NOTHING, green=NOTHING), stepping(1)) == ((BLUE, 100),)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_with_cookies_each_step_turns_one_entry_over_and_none_back(number: int) -> None:
    """Rule 21: weighted by the increments; who has a cookie moves at most once."""
    of = member(blue=NOTHING, green=NOTHING)
    found = weights.children(of, of.service, Endpoint(), stepping(number, Affinity.COOKIE))
    assert [(child.name, child.weight) for child in found] == [
        ("shop-r1-1", 5),
        ("shop-r1-2", 20),
        ("shop-r1-3", 25),
        ("shop-r1-4", 50),
    ]
    assert [child.colour for child in found] == [GREEN] * number + [BLUE] * (4 - number)


def test_the_candidate_of_a_service_with_sessions_has_a_name_of_its_own() -> None:
    """Rule 21: a cookie of an earlier release must not lead to the new one; the active keeps its name."""
    of = member(service(sticky={"cookie": {"name": "shop"}}), blue=NOTHING, green=NOTHING)
    of = replace(of, state=replace(of.state, alias="shop-blue-r3"))
    under_way = stepping(1, Affinity.CLIENT)
    assert weights.children(of, of.service, Endpoint(), under_way) == (
        Child("shop-blue-r3", 95, BLUE),
        Child("shop-green-r1", 5, GREEN),
    )
    assert weights.affinity(of.service, Endpoint(), under_way) is Affinity.NONE
