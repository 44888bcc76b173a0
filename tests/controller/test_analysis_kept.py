"""What an analysis counts is durable with its rollout: once, however often a commit fails (rules 19d and 23)."""

from pathlib import Path

from provider.model import ByColour, Phase
from provider.model.analysed import AnalysisEvidence, ChildCounts, Followed, Scrape, TraefikCounts
from provider.model.document import MARKER
from provider.runtime.clock import clock
from provider.traefik.readback import Reading
from tests.support.running import Running, Stubborn, running, shop
from tests.support.waiting import eventually
from tests.support.worlds import GREEN

STEPS = """\
    canary: {steps: [{weight: 50, for: 1h}]}
    analysis: {warmup: 0s, errors: {max: 5%}, slow: {over: 1.2s, max: 5%}}
    deadlines: {confirming: 10ms}
traefik: {api: ["http://127.0.0.1:9"]}
"""


def followed(daemon: Running) -> tuple[Followed, ...]:
    found = daemon.controller.state.followed.get("shop", ())
    under_way = daemon.controller.state.groups["shop"].rollout
    assert found
    assert under_way is not None
    assert under_way.phase is Phase.SHIFTING
    assert under_way.step is not None
    assert under_way.step.shown_mono_s is not None
    return found


def scrape(daemon: Running, total: int) -> None:
    """Read a Traefik that has answered so many requests of each colour, and shows the last document."""
    of, now_s = followed(daemon), clock().mono_s
    children = {"shop": ByColour(*(ChildCounts({200: total}, total, total) for _ in range(2)))}
    daemon.controller.inputs.scraped(Scrape("traefik", of, (TraefikCounts("t1", now_s, now_s, children),)))


def shows(daemon: Running) -> None:
    marker = daemon.controller.state.traefik.readings.marker
    assert marker is not None
    assert MARKER.fullmatch(marker)
    daemon.controller.inputs.traefik_read(Reading("http://127.0.0.1:9", marker))


def kept(daemon: Running) -> AnalysisEvidence | None:
    under_way = daemon.controller.state.groups["shop"].rollout
    return next(iter(under_way.analysis), None) if under_way is not None else None


async def counted(daemon: Running, requests: int) -> None:
    def look() -> bool:
        found = kept(daemon)
        assert found is not None
        assert found.errors.since_rollout.candidate.requests == requests
        return True

    await eventually(look, limit_s=30.0)


async def stepping(daemon: Running) -> None:
    """Bring the shop into its step, as Traefik shows it."""
    daemon.load(shop(green="8082", more=STEPS))
    await daemon.judge(GREEN)
    await eventually(lambda: daemon.controller.state.followed.get("shop"), limit_s=30.0)

    def look() -> tuple[Followed, ...]:
        shows(daemon)
        return followed(daemon)

    await eventually(look, limit_s=30.0)


async def test_evidence_is_kept_once_over_commits_that_fail_and_a_process_that_dies(tmp_path: Path) -> None:
    """Rule 19d: all that was committed, and nothing twice. No row of the history tells of it."""
    async with running(tmp_path, store=Stubborn, orderly=False) as daemon:
        store = daemon.store
        assert isinstance(store, Stubborn)
        daemon.load(shop(more=STEPS))
        await daemon.judge(colour=GREEN.other)
        await stepping(daemon)
        scrape(daemon, 0)
        scrape(daemon, 100)
        await counted(daemon, 100)
        store.full = True
        for total in (110, 120, 130):
            scrape(daemon, total)
        await eventually(lambda: daemon.metrics.store_failing._value.get() == 1.0, limit_s=30.0)
        assert kept(daemon) is not None
        await counted(daemon, 100)
        store.full = False
        await counted(daemon, 130)
        scrape(daemon, 140)
        await counted(daemon, 140)
        history = await daemon.controller.history("shop", None, 100)
        assert history[0].event == "step-begun"
        number = (kept(daemon) or AnalysisEvidence("", None, "", "")).upto
    async with running(tmp_path) as daemon:
        daemon.load(shop(green="8082", more=STEPS))
        await counted(daemon, 140)
        await daemon.judge(GREEN.other)
        await daemon.judge(GREEN)
        await stepping(daemon)
        scrape(daemon, 150)
        scrape(daemon, 175)
        await counted(daemon, 165)
        assert (kept(daemon) or AnalysisEvidence("", None, "", "")).upto > number
