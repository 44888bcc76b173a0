"""What a refused file leaves behind: an error, and nothing else."""

import gc

import pytest

from provider import config
from provider.config.tree import Tree
from provider.model.errors import DesiredStateError


def test_a_refused_file_leaves_nothing_behind_that_the_collector_may_not_look_at() -> None:
    """A refused edit of 1,000 services leaked 5 MB: all that was read of it was frozen together with its error."""
    text = "environment: production\nservices:\n" + "".join(f"  s{number}: {{nonsense: 1}}\n" for number in range(20))
    with pytest.raises(DesiredStateError):
        config.load(text, "desired.yaml")
    frozen = gc.get_freeze_count()
    for _ in range(3):
        with pytest.raises(DesiredStateError):
            config.load(text, "desired.yaml")
    assert gc.get_freeze_count() == frozen


def test_the_error_of_a_refused_file_does_not_hold_what_was_read_of_it() -> None:
    with pytest.raises(DesiredStateError) as refused:
        config.load("environment: production\nservices: {shop: {nonsense: 1}}\n", "desired.yaml")
    held, traceback = [], refused.value.__traceback__
    while traceback is not None:
        held += [value for value in traceback.tb_frame.f_locals.values() if isinstance(value, Tree)]
        traceback = traceback.tb_next
    assert held == []
