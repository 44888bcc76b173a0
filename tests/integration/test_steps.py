"""A release that goes in steps, from the file to what a real Traefik shows."""

from functools import partial
from pathlib import Path

import pytest

from tests.support.daemon import StartDaemon
from tests.support.release import HOST, fixed, until_routed
from tests.support.stepping import Client, all_ask, share
from tests.support.traefik import Load, StartBackend, StartTraefik

STEPS = "      steps: [{weight: 5}, {weight: 25}, {weight: 50}]\n"


@pytest.mark.parametrize(
    "keeps",
    [
        f"    canary:\n      affinity: none\n{STEPS}",
        f"    canary:\n      affinity: client\n{STEPS}",
        f"    canary:\n      affinity: cookie\n{STEPS}",
        f"    sticky: {{cookie: {{name: shop}}}}\n    canary:\n{STEPS}",
    ],
    ids=["none", "client", "cookie", "sticky"],
)
async def test_each_step_is_proven_by_what_traefik_shows_and_then_comes_the_next(
    start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend, keeps: str
) -> None:
    """Rules 7, 19 and 21: without that proof it would stay in its first step for an hour."""
    one, two, three = [await start_backend(name) for name in ("one", "two", "three")]
    daemon = await start_daemon("environment: production\nservices: {}\n")
    traefik = await start_traefik(daemon.endpoint)
    waiting = partial(fixed, deadlines="confirming: 1h", api=traefik.api, more=keeps)
    daemon.write(waiting(one, None))
    await until_routed(daemon, traefik.url("web"), "one")
    clients = [Client() for _ in range(20)]
    await all_ask(clients, traefik.url("web"), HOST)
    for blue, green, active in ((one, two, "green"), (three, two, "blue")):
        daemon.write(waiting(blue, green))
        status = await daemon.until("shop", active=active, phase="steady", confirmed=True)
        assert status["weights"] == {active: 100, "blue" if active == "green" else "green": 0}
        await all_ask(clients, traefik.url("web"), HOST)
        assert share(clients, "two" if active == "green" else "three") == 100
    begun = await daemon.history("shop", "step-begun")
    assert len(begun) == 6
    assert traefik.errors() == ()


@pytest.mark.takes(15)
@pytest.mark.parametrize(
    ("affinity", "lasts", "outcome"),
    [("client", "1h", "aborted"), ("cookie", "0s", "switched")],
    ids=["by address", "by cookie"],
)
async def test_a_traefik_too_old_for_an_affinity_ends_the_release_and_loses_no_request(
    start_daemon: StartDaemon,
    start_traefik: StartTraefik,
    start_backend: StartBackend,
    older: Path,
    affinity: str,
    lasts: str,
    outcome: str,
) -> None:
    """Rule 19c: it refuses the document; Traefik has highestRandomWeight from 3.6 on, and cookies in 3.0."""
    one, two = await start_backend("one"), await start_backend("two")
    daemon = await start_daemon("environment: production\nservices: {}\n")
    traefik = await start_traefik(daemon.endpoint, binary=older)
    keeps = f"    canary: {{affinity: {affinity}, steps: [{{weight: 5, for: {lasts}}}]}}\n"
    text = partial(fixed, deadlines="confirming: 10s", api=traefik.api, more=keeps)
    daemon.write(text(one, None))
    await until_routed(daemon, traefik.url("web"), "one")
    async with Load(traefik.url("web"), HOST, clients=2) as load:
        daemon.write(text(one, two))
        await daemon.until_event("shop", "gates-failed" if outcome == "aborted" else "watched", outcome=outcome)
        await daemon.until("shop", phase="steady", confirmed=True)
        await load.until_all("one" if outcome == "aborted" else "two")
    assert load.failures == []
    assert daemon.logged("a loop failed and is started again") == []
    assert bool(daemon.logged("traefik-older")) is (outcome == "aborted")
