"""The table of the kinds of check."""

from provider.checks.kinds import KINDS
from provider.model import ProbeMode


def test_every_mode_that_asks_the_server_itself_has_its_check() -> None:
    """Rule 33."""
    assert KINDS.keys() == set(ProbeMode) - {ProbeMode.DOCKER}
