"""Commits, exactly once (rule 51).

A commit is one transaction under two conditions: this replica leads, and the head is the one that it knows. It is sent
once. Where its outcome is unknown, a fence bumps the head under the same conditions: if it succeeds, the attempt can
never happen any more; if it fails, the head tells. The attempt is neither sent again nor taken back.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import assert_never

import structlog

from provider.model.errors import StoreError, StoreUnknown
from provider.store.etcd.gateway import (
    Answer,
    Compare,
    Delete,
    EtcdRefused,
    EtcdUncertain,
    Get,
    Operation,
    Put,
    Target,
)
from provider.store.etcd.head import Head, read_head
from provider.store.etcd.history import history_row
from provider.store.etcd.leader import Term
from provider.store.etcd.limits import check_size

log = structlog.get_logger("bluegreen")

RETRY_S = 0.1


class Outcome(Enum):
    """What became of an attempt."""

    STANDS = auto()
    VOID = auto()
    LOST = auto()
    """It is void, and so is all else of this term."""
    UNKNOWN = auto()


@dataclass(slots=True)
class Attempt:
    """A commit of which it is not known yet whether it stands; `fences` were sent against it.

    `row` is its row of the history, None where it has none.
    """

    head: Head
    row: Put | None
    fences: set[str] = field(default_factory=set)


class Commits:
    """The commits of one term, one at a time. `new_id` makes ids that no other attempt has.

    The history keeps `history_limit` decisions, or a few more that belong to the commit of the oldest.
    """

    def __init__(self, term: Term, head: Head, revision: int, new_id: Callable[[], str], *, history_limit: int) -> None:
        self._term, self._new_id, self._history_limit = term, new_id, history_limit
        self.head, self.revision = head, revision
        self._pending: Attempt | None = None

    @property
    def is_unknown(self) -> bool:
        """Whether it is unknown what became of an attempt: until then decisions freeze."""
        return self._pending is not None

    def conditions(self) -> list[Compare]:
        """Return what has to hold for a commit, and for a fence."""
        return [self._term.leads, Compare(self._term.keys.head, Target.MOD, self.revision)]

    async def commit(self, rows: Sequence[Operation], decisions: Sequence[str]) -> int:
        """Put rows and the JSON of decisions, all or nothing; return the revision.

        Takes as long as it takes to know the outcome. Raises StoreError where it does not stand, StoreUnknown where
        the term was over before that could be known.
        """
        head = Head(
            seq=self.head.seq + 1,
            epoch=self._term.epoch,
            id=self._new_id(),
            decisions=self.head.decisions + len(decisions),
        )
        row = None
        if decisions:
            text = history_row(head, decisions)
            row = Put(self._term.keys.decisions(head.decisions), text)
        attempt = Attempt(head, row)
        operations = [Put(self._term.keys.head, head.text()), *([row] if row else ()), *self._trim(head), *rows]
        check_size(operations)
        self._pending = attempt
        try:
            answer = await self._transact(attempt, operations)
        except EtcdRefused:
            self._pending = None
            raise
        except EtcdUncertain as failure:
            log.warning("the outcome of a commit is unknown", seq=head.seq, cause=str(failure))
            outcome = Outcome.UNKNOWN
        else:
            outcome = self._stands(attempt, answer.revision) if answer.succeeded else self._judge(attempt, answer)
        match await self._find_out(attempt, outcome):
            case Outcome.STANDS:
                return self.revision
            case Outcome.VOID:
                raise StoreError("etcd did not answer a commit, which is void now: nothing was changed. Ask again")
            case Outcome.LOST:
                raise self._term.ended()
            case Outcome.UNKNOWN:
                raise StoreUnknown(
                    "etcd did not answer a commit, and this replica does not lead any more: the history shows whether "
                    "it stands: bluegreen history"
                )
            case unreachable:
                assert_never(unreachable)

    async def settle(self) -> int | None:
        """Find out what became of an attempt whose caller was cancelled, before anything else is written.

        Return the revision where it stands, None where it is void or there was none. Raises LeadershipLost.
        """
        if self._pending is None:
            return None
        match await self._find_out(self._pending, Outcome.UNKNOWN):
            case Outcome.STANDS:
                return self.revision
            case Outcome.VOID:
                return None
            case Outcome.LOST | Outcome.UNKNOWN:
                raise self._term.ended()
            case unreachable:
                assert_never(unreachable)

    async def fence(self, attempt: Attempt) -> Outcome:
        """Make an attempt impossible, or find that it stands."""
        fence = self.head.model_copy(update={"id": self._new_id(), "epoch": self._term.epoch, "voids": attempt.head.id})
        attempt.fences.add(fence.id)
        try:
            answer = await self._transact(attempt, [Put(self._term.keys.head, fence.text())])
        except StoreError:  # refused or unknown; a read may do where etcd has no space for a fence
            return await self._look(attempt)
        if answer.succeeded:
            self.head, self.revision = fence, answer.revision
            return Outcome.VOID
        return self._judge(attempt, answer)

    async def _find_out(self, attempt: Attempt, outcome: Outcome) -> Outcome:
        """Fence an attempt until its outcome is known, or the term is over."""
        while outcome is Outcome.UNKNOWN and not self._term.lost.is_set():
            outcome = await self.fence(attempt)
            if outcome is Outcome.UNKNOWN:
                await asyncio.sleep(RETRY_S)
        if outcome is not Outcome.UNKNOWN:
            self._pending = None
        return outcome

    async def _look(self, attempt: Attempt) -> Outcome:
        """Read whether an attempt stands. That it is not there says nothing: it may be on its way."""
        try:
            return self._judge(attempt, await self._term.gateway.transact((), self._questions(attempt)), is_final=False)
        except StoreError:
            return Outcome.UNKNOWN

    def _judge(self, attempt: Attempt, answer: Answer, *, is_final: bool = True) -> Outcome:
        """Read the outcome from who leads, the head and the history; `is_final` where the conditions did not hold."""
        leader, found, history = answer.found
        head, revision = read_head(found)
        is_over = self._term.is_over(leader)
        if head.id == attempt.head.id:
            return self._stands(attempt, revision)
        if is_over:  # what is still on its way is refused by now, and the next leader's commits may cover the head
            if attempt.row is not None:
                is_there = bool(history) and history[0].value == attempt.row.value
                return self._stands(attempt, revision) if is_there else Outcome.LOST
            return Outcome.LOST if revision == self.revision or head.id in attempt.fences else Outcome.UNKNOWN
        if head.id in attempt.fences:
            self.head, self.revision = head, revision
            return Outcome.VOID
        if is_final and revision != self.revision:
            self._overwritten(revision)
            return Outcome.LOST
        return Outcome.UNKNOWN

    def _stands(self, attempt: Attempt, revision: int) -> Outcome:
        self.head, self.revision = attempt.head, revision
        return Outcome.STANDS

    def _overwritten(self, revision: int) -> None:
        """End the term where somebody else has put the head: what is stored is not what this term knows."""
        log.critical(
            "the head in etcd was changed by something else than a replica that leads; what is stored is loaded again",
            expected=self.revision,
            found=revision,
        )
        self._term.lost.set()

    def _trim(self, head: Head) -> list[Operation]:
        oldest = head.decisions - self._history_limit + 1
        if oldest <= 1 or head.decisions == self.head.decisions:
            return []
        return [Delete(self._term.keys.history[0], self._term.keys.decisions(oldest))]

    async def _transact(self, attempt: Attempt, operations: Sequence[Operation]) -> Answer:
        return await self._term.gateway.transact(self.conditions(), operations, self._questions(attempt))

    def _questions(self, attempt: Attempt) -> list[Operation]:
        row = attempt.row.key if attempt.row is not None else self._term.keys.decisions(0)  # which is never there
        return [self._term.who, Get(self._term.keys.head), Get(row)]
