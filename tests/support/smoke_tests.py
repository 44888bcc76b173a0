"""Smoke tests of servers, as the daemon makes them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from provider.checks.smoke import SmokeTester
from provider.model import Colour, Smoke, SmokeResult, SmokeRun, SmokeTest
from tests.support.waiting import eventually

TEST = SmokeTest("home", timeout_s=30.0)


def smoke_run(
    *servers: str, tests: tuple[SmokeTest, ...] = (TEST,), host: str | None = None, release: str = "1"
) -> SmokeRun:
    return SmokeRun("shop", Colour.GREEN, release, servers, host, tests)


@dataclass
class Reports:
    """What a tester reported, in order."""

    smokes: list[Smoke] = field(default_factory=list)

    def report(self, smoke: Smoke) -> None:
        self.smokes.append(smoke)

    def of(self, run: SmokeRun) -> list[tuple[SmokeResult, ...]]:
        return [reports.results for reports in self.smokes if reports.run == run]

    def last(self, run: SmokeRun) -> tuple[SmokeResult, ...]:
        return (self.of(run) or [()])[-1]

    def decided(self, run: SmokeRun) -> tuple[SmokeResult, ...]:
        """The last results, once they pass or fail the release; none before."""
        results = self.last(run)
        passed = [result.passed for result in results]
        is_decided = False in passed or passed.count(True) == len(run.all_tests)
        return results if is_decided else ()


class Counting(SmokeTester):
    """Counts the tries, those included that reach no server."""

    tries = 0

    async def _try(self, run: SmokeRun, server: str, test: SmokeTest) -> SmokeResult:
        result = await super()._try(run, server, test)
        self.tries += 1
        return result


@asynccontextmanager
async def making(*runs: SmokeRun, kind: type[Counting] = Counting) -> AsyncIterator[tuple[Counting, Reports]]:
    reports = Reports()
    async with asyncio.TaskGroup() as tasks:
        tester = kind(spawn=lambda test, name: tasks.create_task(test, name=name), on_smoke=reports.report)
        tester.set_runs("shop", runs)
        running = tasks.create_task(tester.run())
        yield tester, reports
        running.cancel()


async def decided(run: SmokeRun) -> tuple[SmokeResult, ...]:
    """All results of a run, once they pass or fail the release."""
    async with making(run) as (_, reports):
        return await eventually(lambda: reports.decided(run))
