"""Tests of one group run in one worker, one after the other (tests/conftest.py)."""

import pytest


def test_the_tests_of_a_file_are_one_group(request: pytest.FixtureRequest) -> None:
    """pytest-xdist writes the group behind the name of a test; where pytest does not read it, each test is apart."""
    is_in_worker = hasattr(request.config, "workerinput")
    assert request.node.nodeid.endswith("@tests/test_groups.py") == is_in_worker
