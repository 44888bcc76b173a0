"""Which tests go together and in which order; fixtures for real components are named here, as pytest wants it."""

import os
import signal
from collections.abc import Iterator

import pytest
import structlog

from provider.traefik import process

pytest_plugins = [
    f"tests.support.{name}"
    for name in ("daemon", "disk", "engine", "etcd", "images", "podman", "swarm", "traefik", "replicated")
]

for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):
    # A shell starts a script's background job with these ignored, and a child inherits that: an interrupt that a test
    # sends would never arrive. What a handler takes is the default again in a child, and ours still ignores it.
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, lambda *_: None)

if (worker := os.environ.get("PYTEST_XDIST_WORKER")) is not None:
    # A port that is free now is bound a moment later: a worker that chose it meanwhile would take it away.
    process.PORTS = process.PORTS[int(worker.removeprefix("gw")) :: int(os.environ["PYTEST_XDIST_WORKER_COUNT"])]

ENGINES = {"engine", "restartable_engine"}
SHARED = {"podman", "swarm", "told", "two_engines"}
"""Fixtures that are made once for all tests of a file."""
WORKERS_MOST = 4
USUAL_S = {True: 2.0, False: 0.1}
"""How long a test takes that does not say so: one of real components, and any other."""


def pytest_xdist_auto_num_workers() -> int:
    """Return how many workers `-n auto` starts: one more than cores, as tests of real components wait much."""
    return min((os.cpu_count() or 1) + 1, WORKERS_MOST)


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """Undo what a command that ran within a test has said of the logs, as that some are left out."""
    yield
    if structlog.is_configured():
        structlog.reset_defaults()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep what belongs together in one worker, and begin with what takes longest.

    All tests of Docker Engines are one group, and else the tests of a file, but for those that say how long they take
    (`@pytest.mark.takes(seconds)`): each is a group of its own. A long group that came last would leave the other
    workers idle; `--no-loadscope-reorder` keeps the order that is made here.
    """
    groups = {item: _group(item) for item in items}
    takes_s: dict[str, float] = {}
    for item, group in groups.items():
        said = item.get_closest_marker("takes")
        usual_s = USUAL_S["integration" in item.path.parts]
        takes_s[group] = takes_s.get(group, 0.0) + (said.args[0] if said is not None else usual_s)
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: -takes_s[groups[item]])


def _group(item: pytest.Item) -> str:
    fixtures = set(getattr(item, "fixturenames", ()))
    if fixtures & ENGINES:
        return "docker"
    is_apart = item.get_closest_marker("takes") is not None and not fixtures & SHARED
    return item.nodeid if is_apart else item.nodeid.partition("::")[0]
