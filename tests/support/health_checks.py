"""Health checks of servers, as the daemon makes them."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from provider.checks.health import HealthChecker
from provider.model import Colour, Health, HealthCheck, Probe, ProbeMode, ServerHealth, ServerKey
from provider.model.observed import Result
from tests.support.waiting import eventually

HTTP = HealthCheck(
    mode=ProbeMode.HTTP, path="/healthz", interval_s=0.02, timeout_s=30.0, healthy_after=1, unhealthy_after=1
)


def probe(url: str, check: HealthCheck = HTTP, *, service: str = "shop", host: str | None = None) -> Probe:
    return Probe(service, Colour.BLUE, ServerKey(url, None, "1"), check, host)


@dataclass
class Reports:
    """What a checker reported; with each verdict, how many results its probe had by then."""

    results: Counter[tuple[Probe, Result]] = field(default_factory=Counter)
    verdicts: list[tuple[Probe, ServerHealth, int]] = field(default_factory=list)

    def result(self, probe: Probe, result: Result, _: float) -> None:
        self.results[probe, result] += 1

    def verdict(self, probe: Probe, health: ServerHealth) -> None:
        self.verdicts.append((probe, health, self.count(probe)))

    def count(self, probe: Probe) -> int:
        return sum(count for (of, _), count in self.results.items() if of == probe)

    def of(self, probe: Probe) -> list[tuple[Health, str | None]]:
        return [(health.health, health.cause) for of, health, _ in self.verdicts if of == probe]


@asynccontextmanager
async def checking(*probes: Probe, reports: Reports | None = None) -> AsyncIterator[tuple[HealthChecker, Reports]]:
    reports = reports or Reports()
    async with asyncio.TaskGroup() as tasks:
        checks = HealthChecker(
            spawn=lambda check, name: tasks.create_task(check, name=name),
            on_verdict=reports.verdict,
            on_result=reports.result,
        )
        checks.set_probes("shop", frozenset(probes))
        running = tasks.create_task(checks.run())
        yield checks, reports
        running.cancel()


async def judged(probe: Probe) -> tuple[Health, str | None]:
    """The first verdict on a server that is not unknown; a busy machine may make a check void before."""
    async with checking(probe) as (_, reports):
        found = await eventually(lambda: [found for found in reports.of(probe) if found[0] is not Health.UNKNOWN])
    return found[0]
