"""Fixtures for real components live beside the tests that need them; pytest wants them named here."""

import pytest

pytest_plugins = [f"tests.integration.{name}" for name in ("daemon", "disk", "engine", "traefik")]

ENGINES = {"engine", "restartable_engine"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep what belongs together in one worker: all tests of Docker Engines, and else the tests of a file."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        group = "docker" if fixtures & ENGINES else item.nodeid.partition("::")[0]
        item.add_marker(pytest.mark.xdist_group(group))
