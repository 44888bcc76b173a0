"""When servers are checked, and what the results add up to."""

import asyncio
import functools
import heapq
import itertools
import math
import resource
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias, assert_never

import structlog

from provider.clock import CLOCK
from provider.health.exchange import Target
from provider.health.visit import Finding, Result, explain, visit
from provider.model import Health, HealthCheck, Probe, ServerHealth

CROWD = 10_000
"""So many new servers take one interval to be checked for the first time; fewer take less in proportion."""
MAX_RUNNING = 1_000
"""So many checks run at once, or half as many as files may be open; a check beyond that starts late."""
Spawn: TypeAlias = Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]]

log = structlog.get_logger()


def first_start_s(previous_s: float, now_s: float, interval_s: float) -> float:
    """Return when to check a new server first: now, but well after the new server before it."""
    return max(now_s, previous_s + interval_s / CROWD)


def next_start_s(due_s: float, now_s: float, interval_s: float) -> float:
    """Return the first start after `now_s` at a fixed rate from `due_s`: starts that were missed are left out."""
    return due_s + interval_s * (math.floor((now_s - due_s) / interval_s) + 1)


class Evidence:
    """What the checks of one server add up to: streaks make the verdict.

    Errors neither lengthen nor break a streak. After `unhealthy_after` of them in a row the verdict has no fresh
    evidence behind it any more, and the server is unknown again (P1, P2).
    """

    __slots__ = ("_check", "_errors", "_fails", "_passes", "verdict")

    def __init__(self, check: HealthCheck, now_utc: datetime) -> None:
        self._check = check
        self._passes = self._fails = self._errors = 0
        self.verdict = ServerHealth(Health.UNKNOWN, None, now_utc)

    def add(self, finding: Finding, now_utc: datetime) -> bool:
        """Count a finding; tell whether the verdict changed in health or cause."""
        before = self.verdict
        health, cause = before.health, finding.cause
        match finding.result:
            case Result.PASS:
                self._passes, self._fails, self._errors = self._passes + 1, 0, 0
                cause = before.cause
                if self._passes >= self._check.healthy_after:
                    health = Health.HEALTHY
            case Result.FAIL:
                self._passes, self._fails, self._errors = 0, self._fails + 1, 0
                if self._fails >= self._check.unhealthy_after:
                    health = Health.UNHEALTHY
            case Result.ERROR:
                self._errors += 1
                if self._errors >= self._check.unhealthy_after:
                    self._passes = self._fails = 0
                    health = Health.UNKNOWN
                elif health is Health.UNHEALTHY:
                    cause = before.cause
            case _:
                assert_never(finding.result)
        if health is Health.HEALTHY:
            cause = None
        if (health, cause) == (before.health, before.cause):
            return False
        since_utc = before.since_utc if health is before.health else now_utc
        self.verdict = ServerHealth(health, cause, since_utc)
        return True


@dataclass(slots=True, eq=False)
class _Watch:
    """One server under watch. It is either due or being checked, so never checked twice at once."""

    probe: Probe
    evidence: Evidence
    due_s: float
    target: Target | None = None
    task: asyncio.Task[None] | None = None
    stopped: bool = False

    def stop(self) -> None:
        self.stopped = True
        if self.task:
            self.task.cancel()


class HealthChecker:
    """Checks the servers it is told of, and tells what it finds.

    `spawn` makes a named task of a check, `on_result` hears of every check and when it started (monotonic seconds),
    `on_verdict` of every change of a server's health or cause. A server is unknown, and nothing is said of it, until
    its checks have told something. All methods belong to the event loop's thread.
    """

    def __init__(
        self,
        *,
        spawn: Spawn,
        on_verdict: Callable[[Probe, ServerHealth], None],
        on_result: Callable[[Probe, Result, float], None],
    ) -> None:
        self._spawn, self._on_verdict, self._on_result = spawn, on_verdict, on_result
        self._watches: dict[str, dict[Probe, _Watch]] = {}
        self._due: list[tuple[float, int, _Watch]] = []
        self._order = itertools.count()
        self._running: set[asyncio.Task[None]] = set()
        self._max_running = min(MAX_RUNNING, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
        self._last_new_s: dict[float, float] = {}
        self._woken = asyncio.Event()
        self._logged: set[type[Exception]] = set()

    def set_probes(self, service: str, probes: frozenset[Probe]) -> None:
        """Replace the probes of a service.

        Those that stay equal keep their evidence, new and changed ones begin without any. A check of a probe that is
        gone is cancelled and its result never told.
        """
        before = self._watches.get(service, {})
        if probes == before.keys():
            return
        for gone in before.keys() - probes:
            before[gone].stop()
        self._watches[service] = {probe: before.get(probe) or self._begin(probe) for probe in probes}
        if not probes:
            del self._watches[service]

    def void(self) -> None:
        """Begin all evidence again: what the checks found before, or find under way, proves nothing now."""
        for watches in self._watches.values():
            for probe, watch in watches.items():
                watch.stop()
                watches[probe] = self._begin(probe)

    async def run(self) -> None:
        """Check until cancelled; leaves no check running behind it."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                self._woken.clear()
                self._start_due(loop.time())
                if self._due and len(self._running) < self._max_running:
                    alarm = loop.call_at(self._due[0][0], self._woken.set)
                    await self._woken.wait()
                    alarm.cancel()
                else:
                    await self._woken.wait()
        finally:
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    def _begin(self, probe: Probe) -> _Watch:
        interval_s = probe.check.interval_s
        start_s = first_start_s(
            self._last_new_s.get(interval_s, -math.inf), asyncio.get_running_loop().time(), interval_s
        )
        self._last_new_s[interval_s] = start_s
        watch = _Watch(probe, Evidence(probe.check, datetime.now(UTC)), start_s)
        self._schedule(watch)
        return watch

    def _schedule(self, watch: _Watch) -> None:
        heapq.heappush(self._due, (watch.due_s, next(self._order), watch))
        if self._due[0][2] is watch:
            self._woken.set()

    def _start_due(self, now_s: float) -> None:
        while self._due and self._due[0][0] <= now_s and len(self._running) < self._max_running:
            watch = heapq.heappop(self._due)[2]
            if not watch.stopped:
                watch.task = self._spawn(self._check(watch), f"health check of {watch.probe.key.url}")
                self._running.add(watch.task)
                watch.task.add_done_callback(functools.partial(self._finished, watch))

    def _finished(self, watch: _Watch, task: asyncio.Task[None]) -> None:
        """Make room and schedule the next check; runs also for a check that was cancelled before it began."""
        if len(self._running) == self._max_running:
            self._woken.set()
        self._running.discard(task)
        watch.task = None
        if not watch.stopped:
            watch.due_s = next_start_s(watch.due_s, task.get_loop().time(), watch.probe.check.interval_s)
            self._schedule(watch)

    async def _check(self, watch: _Watch) -> None:
        started_mono_s = CLOCK.mono_s
        finding = await self._find(watch)
        _ = CLOCK.mono_s  # tells of a gap, after which this check is void
        if watch.stopped:
            return
        self._on_result(watch.probe, finding.result, started_mono_s)
        if watch.evidence.add(finding, datetime.now(UTC)):
            self._on_verdict(watch.probe, watch.evidence.verdict)

    async def _find(self, watch: _Watch) -> Finding:
        """Check once. Whatever goes wrong, be it a bug, is a finding about this one server (P4)."""
        probe = watch.probe
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + probe.check.timeout_s
        try:
            async with asyncio.timeout_at(deadline_s):
                watch.target = watch.target or Target.of(probe)
                await visit(watch.target, probe.check)
        except Exception as error:  # noqa: BLE001  the supervisor of every check
            return explain(error, probe, late_s=loop.time() - deadline_s) or self._own_bug(probe, error)
        return Finding(Result.PASS)

    def _own_bug(self, probe: Probe, error: Exception) -> Finding:
        if type(error) not in self._logged:
            self._logged.add(type(error))
            log.error("bug in the health check", service=probe.service, server=probe.key.url, exc_info=error)
        return Finding(
            Result.ERROR, f"not checked: a bug in the health check, {type(error).__name__}; the log has more"
        )
