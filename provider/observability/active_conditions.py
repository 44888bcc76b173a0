"""What holds for the whole daemon and an operator should know, each with the time since when."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from provider.model import Condition, ConditionCode


def _nobody(_condition: Condition, _is_reworded: bool) -> None: ...


class Conditions:
    """The conditions that hold, in the order in which they arose.

    There is one a code, or one for each `subject` of it. `on_new` hears of each that is new, and whether it held before
    with other words.
    """

    def __init__(self, on_new: Callable[[Condition, bool], None] = _nobody) -> None:
        self._on_new = on_new
        self._holding: dict[tuple[ConditionCode, str], Condition] = {}

    def put(self, found: Condition, *, subject: str = "") -> bool:
        """Raise a condition, or reword one that holds and keep its date; return whether it says anything new."""
        before = self._holding.get((found.code, subject))
        condition = replace(found, since_utc=before.since_utc) if before else found
        self._holding[found.code, subject] = condition
        is_new = before is None or before.message != found.message
        if is_new:
            self._on_new(condition, before is not None)
        return is_new

    def clear(self, code: str) -> bool:
        """Take the conditions of a code away; return whether one held."""
        keys = [key for key in self._holding if key[0] == code]
        for key in keys:
            del self._holding[key]
        return bool(keys)

    def __contains__(self, code: str) -> bool:
        return any(held == code for held, _ in self._holding)

    def __iter__(self) -> Iterator[Condition]:
        return iter(tuple(self._holding.values()))
