"""Smoke tests: the requests a release must answer as written before it may take traffic (gate `smoke`).

An answer is evidence, for the release or against it. A timeout, a lost or refused connection, an unknown name and a
fault of this machine are none: such a test is repeated until an answer comes or the run is withdrawn (P2).
"""

import asyncio
import resource
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import structlog

from provider.checks.exchange import Target
from provider.checks.health import Spawn
from provider.checks.result import CheckResult
from provider.checks.smoke_answer import EXCERPT_CHARACTERS, SmokeAnswer, cited, fault, receive
from provider.model import Smoke, SmokeResult, SmokeRun, SmokeTest
from provider.model.observed import Result

AT_ONCE = 8
"""Maximum number of servers of one run that are tested at once."""
MAX_RUNNING = 256
"""The same for all runs together, or an eighth of the files that may be open."""
RETRY_S = 1.0
"""The pause before a test is made again; it doubles with each attempt that brings no evidence."""
MAX_PAUSE_S = 15.0
log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class _Run:
    """A requested run and its results, by server and position of the test."""

    run: SmokeRun
    results: dict[tuple[str, int], SmokeResult] = field(default_factory=dict)
    room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    tasks: tuple[asyncio.Task[None], ...] = ()
    is_changed: bool = False
    is_over: bool = False

    @property
    def servers(self) -> frozenset[str]:
        return frozenset(self.run.servers)

    @property
    def is_decided(self) -> bool:
        """Whether every test passed on every server, or one failed on one."""
        verdicts = [result.passed for result in self.results.values()]
        return False in verdicts or verdicts.count(True) == len(self.run.all_tests)

    def stop(self) -> None:
        self.is_over = True
        for task in self.tasks:
            task.cancel()


class SmokeTester:
    """Makes the smoke tests of the requested runs.

    `spawn` makes a named task of the tests of one server. `on_smoke` gets all results of a run whenever one of them
    changes, from within `run`. All methods belong to the event loop's thread.
    """

    def __init__(self, *, spawn: Spawn, on_smoke: Callable[[Smoke], None]) -> None:
        self._spawn, self._on_smoke = spawn, on_smoke
        self._runs: dict[str, dict[str, _Run]] = {}
        self._changed: set[_Run] = set()
        self._woken = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._room = asyncio.Semaphore(max(AT_ONCE, min(MAX_RUNNING, files // 8)))
        self._logged: set[type[Exception]] = set()

    def set_runs(self, group: str, runs: tuple[SmokeRun, ...]) -> None:
        """Replace the requested runs of a rollout group.

        Runs that stay the same continue, or stay done. The others are cancelled without another report, and start from
        nothing if they are requested again.
        """
        before = self._runs.pop(group, {})
        requested = {repr(run): run for run in runs}  # by ==, a test for the JSON `true` would be the same as one for 1
        for gone in before.keys() - requested.keys():
            before[gone].stop()
        if requested:
            self._runs[group] = {name: before.get(name) or _Run(run) for name, run in requested.items()}
            for new in requested.keys() - before.keys():
                self._wake(self._runs[group][new])

    def void(self) -> None:
        """Start all runs again: an answer that was under way may be from long ago."""
        for runs in self._runs.values():
            for name, run in runs.items():
                run.stop()
                runs[name] = _Run(run.run)
                self._wake(runs[name])

    async def run(self) -> None:
        """Test until cancelled; no test runs on after that, and results are kept."""
        self._changed.update(run for runs in self._runs.values() for run in runs.values())
        try:
            while True:
                self._woken.clear()
                while self._changed:
                    self._advance(self._changed.pop())
                await self._woken.wait()
        finally:
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)
            for runs in self._runs.values():
                for run in runs.values():
                    run.tasks = ()

    def _wake(self, run: _Run) -> None:
        self._changed.add(run)
        self._woken.set()

    def _advance(self, run: _Run) -> None:
        """Start a new run, report new results, and end a run that is decided."""
        if run.is_over:
            return
        if not run.tasks:
            run.tasks = tuple(self._start(run, server) for server in sorted(run.servers))
        if run.is_changed:
            run.is_changed = False
            if run.is_decided:
                run.stop()
            self._on_smoke(Smoke(run.run, tuple(run.results[place] for place in sorted(run.results))))

    def _start(self, run: _Run, server: str) -> asyncio.Task[None]:
        task = self._spawn(self._test(run, server), f"smoke tests of {server}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _test(self, run: _Run, server: str) -> None:
        """Make the tests of one server's endpoint in the order written, up to one that fails."""
        for position, test in enumerate(run.run.tests_of(server)):
            known = run.results.get((server, position))
            if not (known and known.passed) and not await self._passes(run, server, position, test):
                return

    async def _passes(self, run: _Run, server: str, position: int, test: SmokeTest) -> bool:
        """Make one test of one server until there is evidence; an answer that does not match gets its retries."""
        fails, pauses = 0, growing_pauses_s()
        while True:
            async with run.room, self._room:
                result = await self._try(run.run, server, test)
            if result.passed is False:
                fails, pauses = fails + 1, growing_pauses_s()
                if test.retries:
                    cause = f"{result.cause} (try {fails} of {test.retries + 1})"
                    result = replace(result, passed=None if fails <= test.retries else False, cause=cause)
            self._keep(run, position, result)
            if result.passed is not None:
                return result.passed
            await asyncio.sleep(next(pauses))

    def _keep(self, run: _Run, position: int, result: SmokeResult) -> None:
        """Keep a result; one that differs in its duration alone is not reported."""
        before = run.results.get((result.url, position))
        run.results[result.url, position] = result
        if before is None or replace(before, duration_s=result.duration_s) != result:
            run.is_changed = True
            self._wake(run)

    async def _try(self, run: SmokeRun, server: str, test: SmokeTest) -> SmokeResult:
        """Make one test once. Whatever goes wrong, even a bug, is the result of this one test (P4)."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        answer = SmokeAnswer()
        try:
            async with asyncio.timeout_at(began_s + test.timeout_s):
                target = Target.at(server, test.path, host=run.host, headers=test.headers)
                await receive(target, test, answer)
            cause = answer.mismatch(test)
            found = CheckResult(Result.FAIL, cause) if cause else CheckResult(Result.PASS)
        except Exception as error:  # noqa: BLE001  the supervisor of every test
            late_s = loop.time() - began_s - test.timeout_s
            found = fault(error, answer, server, test, late_s=late_s) or self._bug(run, server, test, error)
        return SmokeResult(
            test=test.name,
            url=server,
            passed={Result.PASS: True, Result.FAIL: False, Result.ERROR: None}[found.result],
            cause=found.cause,
            excerpt=None if answer.status is None else cited(answer.text, test, EXCERPT_CHARACTERS),
            duration_s=loop.time() - began_s,
        )

    def _bug(self, run: SmokeRun, server: str, test: SmokeTest, error: Exception) -> CheckResult:
        """Name the kind of error only: its text may quote the headers of the request."""
        kind = type(error)
        if kind not in self._logged:
            self._logged.add(kind)
            log.error("bug in the smoke tests", service=run.service, server=server, test=test.name, exc_info=error)
        return CheckResult(Result.ERROR, f"not tested: a bug in the smoke tests, {kind.__name__}; the log has more")


def growing_pauses_s() -> Iterator[float]:
    """Yield the pauses between tries that bring no evidence."""
    pause_s = RETRY_S
    while True:
        yield pause_s
        pause_s = min(pause_s * 2, MAX_PAUSE_S)
