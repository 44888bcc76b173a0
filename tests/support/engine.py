"""A real Docker Engine: the one that answers (`DOCKER_HOST`, else the default socket), else a private one."""

import os
from collections.abc import Iterator

import pytest

from bench.engine import Engine, PrivateEngine, answers
from bench.machine import Missing
from tests.support.components import missing


def pytest_configure(config: pytest.Config) -> None:
    """Let pass what the SDK does: the socket of a failed connect goes to the garbage collector, at any later moment."""
    config.addinivalue_line(
        "filterwarnings", r"ignore:unclosed <socket\.socket fd=\d+, family=1, type=1:ResourceWarning"
    )


@pytest.fixture(scope="session")
def private_engine() -> Iterator[PrivateEngine]:
    try:
        engine = PrivateEngine()
    except Missing as absent:
        missing("docker", f"no engine answers, and {absent}")
    try:
        engine.build()
        yield engine
    finally:
        engine.close()


@pytest.fixture(scope="session")
def session_engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    url = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if not answers(url):
        yield request.getfixturevalue("private_engine")
        return
    engine = Engine(url)
    try:
        engine.build()
        yield engine
    finally:
        engine.close()


@pytest.fixture
def engine(session_engine: Engine) -> Iterator[Engine]:
    """An engine with the image that it runs by default; what the test makes on it is removed when the test ends."""
    yield session_engine
    session_engine.cleanup()


@pytest.fixture
def restartable_engine(private_engine: PrivateEngine) -> Iterator[PrivateEngine]:
    """As `engine`, and the test may stop, start, freeze and thaw it."""
    yield private_engine
    private_engine.thaw()
    private_engine.start()
    private_engine.cleanup()
