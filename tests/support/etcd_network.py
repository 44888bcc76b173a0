"""What lies between processes and the model of etcd: messages that get lost, come late or twice, watches that go deaf.

Everything that happens is drawn from one `random.Random`, on a virtual loop: one seed is one story, to the letter.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from contextvars import Context
from dataclasses import dataclass
from enum import StrEnum
from heapq import heappop, heappush
from typing import TypeVar

from provider.store.etcd.gateway import Answer, Changes, Compare, EtcdRefused, EtcdUncertain, KeyRange, Operation
from tests.support.etcd_model import Etcd, within
from tests.support.virtual_loop import Process

T = TypeVar("T")

LIMIT_S = 1.5
"""How long a client waits for an answer."""
LOOK_S = 0.5
"""How often etcd looks for leases that have ended."""


class Fate(StrEnum):
    """What becomes of a request."""

    REFUSED = "refused"
    LOST = "lost"
    UNANSWERED = "unanswered"
    LATE = "late"
    DOUBLED = "doubled"
    SLOW = "slow"
    ANSWERED = "answered"


@dataclass(frozen=True, slots=True)
class Weather:
    """How likely each fate of a request is, and of a message of a watch that the watch ends or goes deaf with it."""

    refused: float = 0.0
    lost: float = 0.0
    unanswered: float = 0.0
    late: float = 0.0
    doubled: float = 0.0
    slow: float = 0.0
    deaf: float = 0.0
    ended: float = 0.0

    def draw(self, rng: random.Random) -> Fate:
        """Draw what becomes of a request."""
        fates = [fate for fate in Fate if fate is not Fate.ANSWERED]
        drawn = rng.random()
        for fate in fates:
            drawn -= float(getattr(self, fate))
            if drawn < 0:
                return fate
        return Fate.ANSWERED


CALM = Weather()
ROUGH = Weather(0.02, 0.03, 0.06, 0.04, 0.05, 0.05, 0.01, 0.02)
STORM = Weather(0.06, 0.10, 0.16, 0.14, 0.10, 0.12, 0.05, 0.05)


class Network:
    """One etcd, and everybody's way to it. `trace` has every request: when, whose, which, and what became of it."""

    def __init__(self, rng: random.Random) -> None:
        self.rng, self.etcd, self.weather = rng, Etcd(), CALM
        self.has_quorum = True
        self.cut: set[Process] = set()
        self.trace: list[tuple[float, str, str, str]] = []
        self._stuck: list[Callable[[], None]] = []
        self._lives = 1
        self._watches: list[_Watch] = []

    async def run(self) -> None:
        """Let leases end, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            if self.has_quorum:
                self.etcd.expire(asyncio.get_running_loop().time())

    def lose_quorum(self) -> None:
        """Answer nobody from now on."""
        self.has_quorum = False
        for watch in self._watches:
            if self.rng.random() < 0.7:
                watch.fail(is_deaf=self.rng.random() < 0.3)

    def find_quorum(self) -> None:
        """Elect a leader; some of what was asked meanwhile is done now, whoever still waits for it."""
        self.has_quorum = True
        self.etcd.extend(asyncio.get_running_loop().time())
        stuck, self._stuck = self._stuck, []
        for act in stuck:
            if self.rng.random() < 0.6:
                act()

    def restore(self, revision: int) -> None:
        """Put a backup back, in other processes of etcd: what was asked of the old ones is never done."""
        self._lives += 1
        self._stuck = []
        for watch in tuple(self._watches):
            watch.fail(is_deaf=False)
            self.close(watch)
        self.etcd.restore(revision, asyncio.get_running_loop().time())

    def cut_off(self, process: Process) -> None:
        """Let nothing of a process through, and nothing to it."""
        self.cut.add(process)
        for watch in self._watches:
            if watch.process is process:
                watch.fail(is_deaf=self.rng.random() < 0.5)

    def compact(self) -> None:
        """Forget the past; a watch that lies behind may end with it."""
        with suppress(EtcdRefused):
            self.etcd.compact(self.etcd.revision - self.rng.choice((0, 0, 3)))
        for watch in self._watches:
            if self.rng.random() < 0.1:
                watch.fail(is_deaf=False)

    def fate(self, process: Process) -> Fate:
        """Draw what becomes of a request."""
        if process in self.cut:
            drawn = self.rng.random()
            return Fate.REFUSED if drawn < 0.3 else Fate.UNANSWERED if drawn < 0.4 else Fate.LOST
        return self.weather.draw(self.rng)

    def delay_s(self) -> float:
        """Draw how long a message takes."""
        return self.rng.uniform(0.0005, 0.004)

    def request(self, after_s: float, act: Callable[[], None]) -> None:
        """Have etcd do something in a while, or when it has quorum again; never, once a backup was put back."""
        _later(after_s, self._perform, self._lives, act)

    def _perform(self, life: int, act: Callable[[], None]) -> None:
        if life != self._lives:
            return
        if self.has_quorum:
            act()
        else:
            self._stuck.append(act)

    def note(self, process: Process, what: str, became: str) -> None:
        """Add to the trace."""
        self.trace.append((round(asyncio.get_running_loop().time(), 6), process.name, what, became))

    def open(self, watch: "_Watch") -> None:
        """Tell a watch of everything from now on."""
        self._watches.append(watch)
        self.etcd.on_revision.append(watch.tell)

    def close(self, watch: "_Watch") -> None:
        """Tell it of nothing more."""
        if watch in self._watches:
            self._watches.remove(watch)
            self.etcd.on_revision.remove(watch.tell)


class ModelGateway:
    """A gateway of one process; it does nothing any more once that is dead."""

    def __init__(self, network: Network, process: Process) -> None:
        self._network, self._process = network, process

    async def transact(
        self, compares: Sequence[Compare], then: Sequence[Operation], otherwise: Sequence[Operation] = ()
    ) -> Answer:
        return await self._ask("transact", lambda: self._network.etcd.transact(compares, then, otherwise))

    async def grant(self, ttl_s: int) -> int:
        return await self._ask("grant", lambda: self._network.etcd.grant(ttl_s, self._now_s()))

    async def keep_alive(self, lease: int) -> bool:
        if not self._network.has_quorum and self._network.rng.random() < 0.2:
            return True  # from a leader of etcd that does not know yet that it is none
        return await self._ask("keep_alive", lambda: self._network.etcd.keep_alive(lease, self._now_s()))

    async def revoke(self, lease: int) -> None:
        await self._ask("revoke", lambda: self._network.etcd.revoke(lease))

    @asynccontextmanager
    async def watch(self, ranges: Sequence[KeyRange], from_revision: int) -> AsyncIterator[AsyncIterator[Changes]]:
        network, fate = self._network, self._fate("watch")
        watch = _Watch(network, self._process, ranges, is_slow=fate is Fate.SLOW)
        if fate in {Fate.REFUSED, Fate.LOST, Fate.UNANSWERED, Fate.LATE} or not network.has_quorum:
            await asyncio.sleep(network.delay_s() if fate is Fate.REFUSED else LIMIT_S)
            raise EtcdRefused("watch: refused") if fate is Fate.REFUSED else EtcdUncertain("watch: not confirmed")
        await asyncio.sleep(network.delay_s())
        try:
            watch.begin(from_revision)
            yield watch
        finally:
            network.close(watch)

    async def close(self) -> None:
        """There is nothing to close."""

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()

    def _fate(self, what: str) -> Fate:
        fate = Fate.LOST if self._process.is_dead else self._network.fate(self._process)
        self._network.note(self._process, what, fate)
        return fate

    async def _ask(self, what: str, act: Callable[[], T]) -> T:
        network, fate = self._network, self._fate(what)
        if self._process.is_dead:
            raise EtcdRefused("this process is dead")
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        there_s, back_s = network.delay_s(), network.delay_s()
        match fate:
            case Fate.REFUSED:
                await asyncio.sleep(there_s)
                raise EtcdRefused(f"{what}: connection refused")
            case Fate.LOST:
                pass
            case Fate.UNANSWERED:
                network.request(there_s, lambda: _do(act))
                _later(network.rng.uniform(there_s, LIMIT_S), _break, answer, what)
            case Fate.LATE:
                network.request(LIMIT_S + network.rng.uniform(0, 8.0), lambda: _do(act))
            case Fate.SLOW | Fate.DOUBLED | Fate.ANSWERED:
                if fate is Fate.SLOW:
                    there_s, back_s = network.rng.uniform(0, LIMIT_S), network.rng.uniform(0, LIMIT_S)
                network.request(there_s, lambda: _answer(act, answer, back_s))
                if fate is Fate.DOUBLED:
                    network.request(there_s + network.rng.uniform(0, 8.0), lambda: _do(act))
        if not network.has_quorum and network.rng.random() < 0.3:
            _later(there_s, _break, answer, what)
        try:
            async with asyncio.timeout(LIMIT_S):
                return await answer
        except TimeoutError:
            raise EtcdUncertain(f"{what}: no answer") from None


class _Watch:
    """One watch: an iterator of what arrived; the network tells it of each revision."""

    def __init__(self, network: Network, process: Process, ranges: Sequence[KeyRange], *, is_slow: bool) -> None:
        self._network, self.process, self._ranges = network, process, ranges
        self._pipe: list[tuple[float, int, Changes | Exception]] = []
        self._news = asyncio.Event()
        self._is_deaf = False
        self._lag_s = (0.0, network.rng.uniform(0.1, 8.0)) if is_slow else (0.0005, 0.004)
        self._last_s = dict.fromkeys(ranges, 0.0)
        self._sent = 0

    def begin(self, from_revision: int) -> None:
        """Send what there is from a revision on, and all that comes; or that it is compacted."""
        try:
            past = self._network.etcd.since(from_revision)
        except EtcdRefused as refused:
            self._push(self._arrives_s(), refused)
            return
        self._network.open(self)
        for changes in past:
            self.tell(changes)

    def tell(self, changes: Changes) -> None:
        """Send a revision on its way, for each range that it concerns; they keep their order within a range."""
        for key_range in self._ranges:
            concerned = within(changes, *key_range)
            if concerned is None or self._is_deaf:
                continue
            drawn, weather = self._network.rng.random(), self._network.weather
            if drawn < weather.deaf + weather.ended:
                self.fail(is_deaf=drawn < weather.deaf)
                return
            self._last_s[key_range] = max(self._last_s[key_range], self._arrives_s())
            self._push(self._last_s[key_range], concerned)

    def fail(self, *, is_deaf: bool) -> None:
        """Deliver nothing more, and say so or do not."""
        if not is_deaf and not self._is_deaf:
            self._push(max(self._arrives_s(), *self._last_s.values()), EtcdUncertain("watch: connection reset"))
        self._is_deaf = True

    def _arrives_s(self) -> float:
        return asyncio.get_running_loop().time() + self._network.rng.uniform(*self._lag_s)

    def _push(self, arrives_s: float, item: Changes | Exception) -> None:
        self._sent += 1
        heappush(self._pipe, (arrives_s, self._sent, item))
        self._news.set()

    def __aiter__(self) -> AsyncIterator[Changes]:
        return self

    async def __anext__(self) -> Changes:
        now_s = asyncio.get_running_loop().time
        while not self._pipe or self._pipe[0][0] > now_s():
            self._news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._pipe[0][0] if self._pipe else None):
                    await self._news.wait()
        item = heappop(self._pipe)[-1]
        if isinstance(item, Exception):
            raise item
        return item


def _later(delay_s: float, act: Callable[..., None], *args: object) -> None:
    """Do something as the network, which goes on while a process is frozen."""
    asyncio.get_running_loop().call_later(delay_s, act, *args, context=Context())


def _do(act: Callable[[], object]) -> None:
    with suppress(EtcdRefused):
        act()


def _answer(act: Callable[[], T], answer: "asyncio.Future[T]", back_s: float) -> None:
    try:
        _later(back_s, _set, answer, act())
    except EtcdRefused as refused:
        _later(back_s, _fail, answer, refused)


def _set(answer: "asyncio.Future[T]", value: T) -> None:
    if not answer.done():
        answer.set_result(value)


def _fail(answer: "asyncio.Future[T]", error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)


def _break(answer: "asyncio.Future[T]", what: str) -> None:
    _fail(answer, EtcdUncertain(f"{what}: connection reset"))
