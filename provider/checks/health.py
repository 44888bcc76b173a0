"""Health checks: when each server is checked, and the verdict that follows from the results."""

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

from provider.checks.kinds import prepare
from provider.checks.result import Check, CheckResult, Seen, check_fault
from provider.model import Health, HealthCheck, Probe, ServerHealth
from provider.model.observed import Result
from provider.runtime.clock import CLOCK, loop_s

CROWD = 10_000
"""The first checks of this many new servers spread over one interval; those of fewer over a part of it."""
MAX_RUNNING = 1_000
"""Maximum number of checks at once, or half of the files that may be open; a check beyond it starts late."""
EARLY_S = 0.01
"""A new server that does not pass is checked again after this time, then after twice as long, and so on."""
EARLY_MOST = 100
"""Maximum number of servers that are checked more often than their interval says, as they are new."""
Spawn: TypeAlias = Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]]

log = structlog.get_logger()


def first_start_s(previous_s: float, now_s: float, interval_s: float) -> float:
    """Return when to check a new server first: now, but after the new server before it."""
    return max(now_s, previous_s + interval_s / CROWD)


def next_start_s(due_s: float, now_s: float, interval_s: float) -> float:
    """Return the first start after `now_s` at a fixed rate from `due_s`: starts that were missed are left out."""
    return due_s + interval_s * (math.floor((now_s - due_s) / interval_s) + 1)


class Evidence:
    """The verdict on one server, from streaks of results.

    Errors neither lengthen nor break a streak. After `unhealthy_after` of them in a row the verdict has no fresh
    evidence behind it any more, and the server is unknown again (P1, P2).
    """

    __slots__ = ("_check", "_errors", "_fails", "_passes", "verdict")

    def __init__(self, check: HealthCheck, now_utc: datetime) -> None:
        self._check = check
        self._passes = self._fails = self._errors = 0
        self.verdict = ServerHealth(Health.UNKNOWN, None, now_utc)

    def add(self, found: CheckResult, now_utc: datetime) -> bool:
        """Count a result; return whether the verdict changed in health or cause."""
        before = self.verdict
        health, cause = before.health, found.cause
        match found.result:
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
                assert_never(found.result)
        if health is Health.HEALTHY:
            cause = None
        if (health, cause) == (before.health, before.cause):
            return False
        since_utc = before.since_utc if health is before.health else now_utc
        self.verdict = ServerHealth(health, cause, since_utc)
        return True


@dataclass(slots=True, eq=False)
class _Scheduled:
    """The checks of one server. It is either due or being checked, so never checked twice at once.

    `due_s` is its last start at the fixed rate. Until its first pass, or the second of those starts, it is checked in
    between after `early_after_s`; None after that. Of a check that `is_early` only a pass counts.
    """

    probe: Probe
    evidence: Evidence
    due_s: float
    early_after_s: float | None = EARLY_S
    is_early: bool = False
    check: Check | None = None
    task: asyncio.Task[None] | None = None
    stopped: bool = False

    def stop(self) -> None:
        self.stopped = True
        if self.task:
            self.task.cancel()


class HealthChecker:
    """Checks the servers of the requested probes.

    `spawn` makes a named task of a check. `on_result` gets every result and when its check started (monotonic seconds),
    `on_verdict` every change of a server's health or cause. A server stays unknown, without a verdict, until its checks
    bring evidence. All methods belong to the event loop's thread.
    """

    def __init__(
        self,
        *,
        spawn: Spawn,
        on_verdict: Callable[[Probe, ServerHealth], None],
        on_result: Callable[[Probe, Result, float], None],
    ) -> None:
        self._spawn, self._on_verdict, self._on_result = spawn, on_verdict, on_result
        self._scheduled: dict[str, dict[Probe, _Scheduled]] = {}
        self._due: list[tuple[float, int, _Scheduled]] = []
        self._order = itertools.count()
        self._running: set[asyncio.Task[None]] = set()
        self._max_running = min(MAX_RUNNING, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
        self._last_new_s: dict[float, float] = {}
        self._woken = asyncio.Event()
        self._early: set[_Scheduled] = set()
        self._logged: set[type[Exception]] = set()

    def set_probes(self, service: str, probes: frozenset[Probe]) -> None:
        """Replace the probes of a service.

        Probes that stay equal keep their evidence; new and changed ones start without any. The check of a removed probe
        is cancelled without a report.
        """
        before = self._scheduled.get(service, {})
        if probes == before.keys():
            return
        for gone in before.keys() - probes:
            before[gone].stop()
        self._scheduled[service] = {probe: before.get(probe) or self._schedule_new(probe) for probe in probes}
        if not probes:
            del self._scheduled[service]

    def void(self) -> None:
        """Drop all evidence: results from before, or of checks under way, prove nothing now."""
        for of_service in self._scheduled.values():
            for probe, server in of_service.items():
                server.stop()
                of_service[probe] = self._schedule_new(probe)

    async def run(self) -> None:
        """Check until cancelled; no check runs on after that."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                self._woken.clear()
                self._start_due(loop.time())
                if self._due and len(self._running) < self._max_running:
                    timer = loop.call_at(self._due[0][0], self._woken.set)
                    await self._woken.wait()
                    timer.cancel()
                else:
                    await self._woken.wait()
        finally:
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    def _schedule_new(self, probe: Probe) -> _Scheduled:
        interval_s = probe.check.interval_s
        start_s = first_start_s(self._last_new_s.get(interval_s, -math.inf), loop_s(), interval_s)
        self._last_new_s[interval_s] = start_s
        server = _Scheduled(probe, Evidence(probe.check, datetime.now(UTC)), start_s)
        self._schedule(server, start_s)
        return server

    def _schedule(self, server: _Scheduled, start_s: float) -> None:
        heapq.heappush(self._due, (start_s, next(self._order), server))
        if self._due[0][2] is server:
            self._woken.set()

    def _start_due(self, now_s: float) -> None:
        while self._due and self._due[0][0] <= now_s and len(self._running) < self._max_running:
            server = heapq.heappop(self._due)[2]
            if server.stopped:
                self._early.discard(server)
            else:
                server.task = self._spawn(self._check(server), f"health check of {server.probe.key.url}")
                self._running.add(server.task)
                server.task.add_done_callback(functools.partial(self._finished, server))

    def _finished(self, server: _Scheduled, task: asyncio.Task[None]) -> None:
        """Make room and schedule the next check; runs also for a check that was cancelled before it began."""
        if len(self._running) == self._max_running:
            self._woken.set()
        self._running.discard(task)
        server.task = None
        if server.stopped:
            self._early.discard(server)
            return
        now_s = task.get_loop().time()
        next_s = next_start_s(server.due_s, now_s, server.probe.check.interval_s)
        early_s = self._early_start_s(server, now_s, next_s)
        server.is_early = early_s is not None
        if early_s is None:
            server.due_s, server.early_after_s = next_s, None
        self._schedule(server, next_s if early_s is None else early_s)

    def _early_start_s(self, server: _Scheduled, now_s: float, next_s: float) -> float | None:
        """Return when to check a new server before it is due, None where it passed, or that would come too late.

        What has just started rarely listens yet, and would wait for a whole interval.
        """
        after_s = server.early_after_s
        has_room = server in self._early or len(self._early) < EARLY_MOST
        if after_s is None or not has_room or now_s + after_s + server.probe.check.timeout_s > next_s:
            self._early.discard(server)
            return None
        self._early.add(server)
        server.early_after_s = 2 * after_s
        return now_s + after_s

    async def _check(self, server: _Scheduled) -> None:
        started_mono_s = CLOCK.mono_s
        found = await self._check_once(server)
        _ = CLOCK.mono_s  # notices a gap, after which this check is void
        if found.result is Result.PASS:
            server.early_after_s = None
        if server.stopped or (server.is_early and found.result is not Result.PASS):
            return
        self._on_result(server.probe, found.result, started_mono_s)
        if server.evidence.add(found, datetime.now(UTC)):
            self._on_verdict(server.probe, server.evidence.verdict)

    async def _check_once(self, server: _Scheduled) -> CheckResult:
        """Check once. Whatever goes wrong, even a bug, is a result of this one server (P4)."""
        probe = server.probe
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + probe.check.timeout_s
        seen = Seen()
        try:
            async with asyncio.timeout_at(deadline_s):
                server.check = server.check or prepare(probe)
                await server.check(seen)
        except Exception as error:  # noqa: BLE001  the supervisor of every check
            late_s = loop.time() - deadline_s
            return check_fault(error, probe, late_s=late_s, seen=seen.words) or self._bug(probe, error)
        return CheckResult(Result.PASS)

    def _bug(self, probe: Probe, error: Exception) -> CheckResult:
        if type(error) not in self._logged:
            self._logged.add(type(error))
            log.error("bug in the health check", service=probe.service, server=probe.key.url, exc_info=error)
        return CheckResult(
            Result.ERROR, f"not checked: a bug in the health check, {type(error).__name__}; the log has more"
        )
