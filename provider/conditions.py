"""What holds for the whole daemon and an operator should know, each with the time since when."""

from collections.abc import Callable, Iterator
from datetime import datetime

from provider.model import Condition, ConditionCode, Severity


class Conditions:
    """The standing conditions in the order in which they arose; `on_new` hears of what is new in them.

    There is one a code, or one for each `subject` of it. `on_new` gets the condition, and whether it stood before with
    other words.
    """

    def __init__(self) -> None:
        self.on_new: Callable[[Condition, bool], None] = lambda _condition, _is_reworded: None
        self._standing: dict[tuple[ConditionCode, str], Condition] = {}

    def put(
        self, code: ConditionCode, severity: Severity, message: str, now_utc: datetime, *, subject: str = ""
    ) -> bool:
        """Raise a condition, or reword one that stands and keep its date; tell whether it says anything new."""
        before = self._standing.get((code, subject))
        condition = Condition(code, severity, message, before.since_utc if before else now_utc)
        self._standing[code, subject] = condition
        is_new = before is None or before.message != message
        if is_new:
            self.on_new(condition, before is not None)
        return is_new

    def clear(self, code: ConditionCode) -> bool:
        """Take the conditions of a code away; tell whether one stood."""
        standing = [key for key in self._standing if key[0] == code]
        for key in standing:
            del self._standing[key]
        return bool(standing)

    def __contains__(self, code: ConditionCode) -> bool:
        return any(standing == code for standing, _ in self._standing)

    def __iter__(self) -> Iterator[Condition]:
        return iter(tuple(self._standing.values()))
