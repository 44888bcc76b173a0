"""An analysis that reads: what the edge reports, in order."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from provider.checks.analysis import Analyser
from provider.model import Analysis
from provider.model.analysed import Answer, Followed, Sample, Scrape, TraefikCounts
from provider.model.progressive import Errors, Limits, Slow
from provider.rollout.counting import between
from tests.support.waiting import eventually
from tests.support.worlds import GREEN

ANALYSIS = Analysis(
    every_s=1.0, errors=Errors(limits=Limits(0.99)), slow=Slow(1.2, Limits(0.99)), warmup_s=0.0, min_requests=1
)
HOST = "shop.example.com"


class Record:
    """What an analyser reported."""

    def __init__(self) -> None:
        self.scrapes: list[Scrape] = []
        self.answers: list[Answer] = []

    async def scraped(self, times: int = 1) -> Scrape:
        """Wait for so many scrapes that began after this call, and return the last."""
        wanted = len(self.scrapes) + times + 1
        await eventually(lambda: len(self.scrapes) >= wanted)
        return self.scrapes[-1]

    async def good(self, traefik: str | None = None) -> TraefikCounts:
        """Wait for a reading of a Traefik that began after this call."""
        since = len(self.scrapes) + 1

        def look() -> TraefikCounts:
            found = [
                one
                for scrape in self.scrapes[since:]
                for one in scrape.readings
                if one.cause is None and traefik in {None, one.traefik}
            ]
            assert found, [(scrape.cause, [one.cause for one in scrape.readings]) for scrape in self.scrapes[-2:]]
            return found[-1]

        return await eventually(look)


@asynccontextmanager
async def analysing(followed: Followed, *metrics: str) -> AsyncIterator[tuple[Analyser, Record]]:
    """Read as the daemon does; it must end by being cancelled and leave nothing behind."""
    record = Record()
    analyser = Analyser(on_scrape=record.scrapes.append, on_answer=record.answers.append)
    analyser.set_traefiks((), metrics)
    analyser.set_followed("shop", (followed,))
    task = asyncio.create_task(analyser.run())
    try:
        yield analyser, record
        assert not task.done(), task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert not [one for one in asyncio.all_tasks() if one.get_name().startswith(("analysis:", "metrics of"))]


def following(**fields: object) -> Followed:
    """Follow the shop, whose candidate is green."""
    return Followed("shop", GREEN, replace(ANALYSIS, **fields))  # type: ignore[arg-type]


def sample(before: TraefikCounts, after: TraefikCounts, followed: Followed) -> Sample:
    """Return what was counted in between."""
    found = between(before, after, followed)
    assert found is not None
    return found


def document(blue: str, green: str, weights: Mapping[str, int]) -> dict[str, object]:
    """Route the shop to both colours."""
    children = [{"name": f"shop-{colour}", "weight": weight} for colour, weight in weights.items()]
    servers = {"blue": blue, "green": green}
    return {
        "http": {
            "routers": {"shop": {"rule": f"Host(`{HOST}`)", "service": "shop", "entryPoints": ["web"]}},
            "services": {
                "shop": {"weighted": {"services": children}},
                **{f"shop-{colour}": {"loadBalancer": {"servers": [{"url": url}]}} for colour, url in servers.items()},
            },
        }
    }
