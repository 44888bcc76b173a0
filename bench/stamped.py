"""A daemon that stamps each part of a switch: `python -m bench.stamped FILE serve ...` is `bluegreen serve ...`.

FILE gets a line for each switch that was answered to a poller: `Moments` as JSON. The stamps are here alone; the daemon
knows nothing of them.
"""

import asyncio
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial, wraps
from pathlib import Path

import orjson

from provider.cli.main import main
from provider.controller.publication import Publication
from provider.controller.state import State
from provider.model import Event, Plan
from provider.store.sqlite import SqliteStore
from provider.store.sqlite.counter import CommitCounter
from provider.store.sqlite.database import Database
from provider.traefik.pollers import Connection


@dataclass(slots=True)
class Moments:
    """When each part of a switch began or ended, in seconds of CLOCK_MONOTONIC.

    `looked` is when the daemon began to decide, which its history shows; `answered` when the answer to the first poller
    was handed to the kernel. From `writing` to `written` the store's thread is at work.
    """

    looked: float
    decided: float
    committing: float = 0.0
    writing: float = 0.0
    counting: float = 0.0
    written: float = 0.0
    committed: float = 0.0
    published: float = 0.0
    answered: float = 0.0


def read(file: Path) -> Moments:
    """Return the moments of the last switch."""
    return Moments(**orjson.loads(file.read_bytes().splitlines()[-1]))


class Stamps:
    """The moments of the switch under way, written to a file once it is answered."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._looked_s = 0.0
        self._now: Moments | None = None

    def put(self) -> None:
        """Have the parts of the daemon stamp what they do."""
        around(State, "plan", self._look, self._decide)
        around(State, "obey", self._look, self._obey)
        around(SqliteStore, "commit", partial(self._note, "committing"), partial(self._note, "committed"))
        around(Database, "commit", partial(self._note, "writing"), partial(self._note, "written"))
        around(CommitCounter, "write", partial(self._note, "counting", after="writing"))
        around(Publication, "put", after=partial(self._note, "published", after="committed"))
        around(Connection, "give", after=self._answer)

    def _look(self) -> None:
        self._looked_s = time.monotonic()

    def _obey(self, done: tuple[object, str, Plan | None]) -> None:
        self._decide(done[2])

    def _decide(self, plan: Plan | None) -> None:
        if plan is not None and any(decision.event is Event.SHIFTED for decision in plan.decisions):
            self._now = Moments(self._looked_s, time.monotonic())

    def _note(self, moment: str, _: object = None, *, after: str = "decided") -> None:
        """Stamp a moment the first time that it comes after another one."""
        if self._now is not None and getattr(self._now, after) and not getattr(self._now, moment):
            setattr(self._now, moment, time.monotonic())

    def _answer(self, _: object) -> None:
        """Stamp that a poller is answered, at the end of this turn of the event loop: then that is written."""
        if self._now is not None and self._now.published:
            asyncio.get_running_loop().call_soon(self._write)

    def _write(self) -> None:
        self._note("answered")
        now, self._now = self._now, None
        if now is not None:
            with self._file.open("ab") as file:
                file.write(orjson.dumps(asdict(now)) + b"\n")


def around(
    owner: type, name: str, before: Callable[[], None] | None = None, after: Callable[..., None] | None = None
) -> None:
    """Have a method call something before and after it does its work; `after` gets what it returns."""
    was = getattr(owner, name)

    def leave(result: object) -> object:
        if after is not None:
            after(result)
        return result

    def enter() -> None:
        if before is not None:
            before()

    @wraps(was)
    def stamped(*given: object, **named: object) -> object:
        enter()
        return leave(was(*given, **named))

    @wraps(was)
    async def stamped_later(*given: object, **named: object) -> object:
        enter()
        return leave(await was(*given, **named))

    setattr(owner, name, stamped_later if asyncio.iscoroutinefunction(was) else stamped)


if __name__ == "__main__":
    Stamps(Path(sys.argv.pop(1))).put()
    main()
