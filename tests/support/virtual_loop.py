"""An event loop whose time is virtual: it jumps to the next timer when nothing is ready, and waits for nothing.

The same program runs the same way each time, step by step. Several processes live on one loop: everything that a
process starts belongs to it, and a process that is frozen takes no step until it is thawed.
"""

import asyncio
import heapq
import random
from asyncio import AbstractEventLoop, Handle, Task, TimerHandle
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any, TypeVar

T = TypeVar("T")

STEPS_MOST = 100_000
"""So many steps at one moment are a program that goes round in circles."""


class Process:
    """What runs under one name; `is_dead` from the moment it was killed, while its tasks still unwind."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_frozen = self.is_dead = False
        self._parked: list[Handle] = []
        self._main: asyncio.Task[None] | None = None

    def start(self, main: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Run a coroutine, and all that it starts, as this process."""
        context = copy_context()
        context.run(PROCESS.set, self)
        self._main = asyncio.get_running_loop().create_task(main, name=self.name, context=context)
        return self._main

    def freeze(self) -> None:
        self.is_frozen = True

    def thaw(self, rng: random.Random) -> None:
        """Go on: what came meanwhile and what fell due meanwhile are ready now, in some order."""
        if not self.is_frozen:
            return
        self.is_frozen = False
        timers_first = rng.random() < 0.5
        parked = sorted(self._parked, key=lambda handle: isinstance(handle, TimerHandle) is not timers_first)
        self._parked = []
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.ready(parked)

    @property
    def failure(self) -> BaseException | None:
        """Why it ended, None while it runs and where it was told to end."""
        ended = self._main is not None and self._main.done() and not self._main.cancelled()
        return self._main.exception() if ended and self._main is not None else None

    async def kill(self, rng: random.Random) -> None:
        """End it. What its tasks do on their way out is no deed of it: whoever serves it looks at `is_dead`."""
        self.is_dead = True
        self.thaw(rng)
        await self.stop()

    async def stop(self) -> None:
        """Ask it to end, as SIGTERM does, and wait until it has."""
        if self._main is not None:
            self._main.cancel()
            await asyncio.wait([self._main])

    def park(self, handle: Handle) -> None:
        self._parked.append(handle)


PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)


class _Task(asyncio.Task[T]):
    """A task whose hash is its number: sets of tasks have one order, where the usual hash is an address."""

    _count = 0

    def __init__(self, number: int, coroutine: Coroutine[Any, Any, T], **options: Any) -> None:
        self._number = number
        super().__init__(coroutine, **options)

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other


class VirtualLoop(asyncio.BaseEventLoop):
    """See the module. There are no sockets, pipes or signals; a thread's work is done at once, in its turn."""

    _ready: deque[Handle]
    _scheduled: list[TimerHandle]
    _clock_resolution: float

    def __init__(self) -> None:
        super().__init__()
        self._now_s = 0.0
        self._steps = 0
        self._tasks = 0
        self.set_task_factory(self._make_task)  # type: ignore[arg-type]  # 3.11 has no type for it

    def time(self) -> float:
        return self._now_s

    def ready(self, handles: list[Handle]) -> None:
        """Let these be next, in this order."""
        self._ready.extend(handles)

    def run_in_executor(  # type: ignore[override]  # the caller awaits the future, whoever made it
        self, _executor: object, func: Callable[..., T], *args: Any
    ) -> "asyncio.Future[T]":
        """Do the work here and now, as a thread has no place in one order of events."""
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001  the caller gets it, as from a thread
            done.set_exception(error)
        return done

    def _make_task(
        self, loop: AbstractEventLoop, coroutine: Coroutine[Any, Any, T], context: Context | None = None, **options: Any
    ) -> Task[T]:
        self._tasks += 1
        return _Task(self._tasks, coroutine, loop=loop, context=context, **options)

    def _run_once(self) -> None:
        if not self._ready:
            self._jump()
        due_s = self._now_s + self._clock_resolution
        while self._scheduled and (self._scheduled[0]._cancelled or self._scheduled[0].when() < due_s):
            timer = heapq.heappop(self._scheduled)
            timer._scheduled = False  # type: ignore[attr-defined]  # as in asyncio's own loop
            self._ready.append(timer)
        for _ in range(len(self._ready)):
            self._take(self._ready.popleft())
        self._steps += 1
        assert self._steps < STEPS_MOST, "the program goes round in circles, and no time passes"

    def _take(self, handle: Handle) -> None:
        if handle._cancelled:
            return
        process = handle._context.get(PROCESS)  # type: ignore[attr-defined]  # what it was started in
        if process is not None and process.is_frozen:
            process.park(handle)
        else:
            handle._run()

    def _jump(self) -> None:
        while self._scheduled and self._scheduled[0]._cancelled:
            heapq.heappop(self._scheduled)._scheduled = False  # type: ignore[attr-defined]
        assert self._scheduled or self._stopping, "everything waits, and nothing will ever happen"  # type: ignore[attr-defined]
        if self._scheduled and self._scheduled[0].when() > self._now_s:
            self._now_s = self._scheduled[0].when()
            self._steps = 0

    def _timer_handle_cancelled(self, _handle: TimerHandle) -> None:
        """Cancelled timers go when their time comes."""

    def _process_events(self, _events: object) -> None:
        """There is nothing to be told of by a selector."""

    def _write_to_self(self) -> None:
        """There is no selector to wake."""


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a virtual loop of its own, from time 0 on; what it leaves behind is cancelled."""
    loop = VirtualLoop()
    try:
        try:
            return loop.run_until_complete(main)
        finally:
            loop.run_until_complete(_cancel_all())
    finally:
        loop.close()


async def _cancel_all() -> None:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
