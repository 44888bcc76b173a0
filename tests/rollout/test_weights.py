"""The shares of traffic of the colours."""

import pytest

from provider.model import Colour
from provider.rollout import weights


@pytest.mark.parametrize("colour", Colour)
def test_the_colour_without_traffic_has_no_weight_at_all(colour: Colour) -> None:
    """traefik-facts, rule 1: never emit a weight of 0."""
    assert weights.weights(colour) == ((colour, 100),)
