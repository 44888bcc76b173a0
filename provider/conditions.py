"""What holds for the whole daemon and an operator should know, each with the time since when."""

from collections.abc import Callable, Iterator
from datetime import datetime

from provider.model import Condition, ConditionCode, Severity


class Conditions:
    """The standing conditions, one a code, in the order in which they arose; `on_new` hears of what is new in them.

    It gets the condition, and whether it stood before with other words.
    """

    def __init__(self) -> None:
        self.on_new: Callable[[Condition, bool], None] = lambda _condition, _is_reworded: None
        self._standing: dict[ConditionCode, Condition] = {}

    def put(self, code: ConditionCode, severity: Severity, message: str, now_utc: datetime) -> bool:
        """Raise a condition, or reword one that stands and keep its date; tell whether it says anything new."""
        before = self._standing.get(code)
        self._standing[code] = Condition(code, severity, message, before.since_utc if before else now_utc)
        is_new = before is None or before.message != message
        if is_new:
            self.on_new(self._standing[code], before is not None)
        return is_new

    def clear(self, code: ConditionCode) -> bool:
        """Take a condition away; tell whether it stood."""
        return self._standing.pop(code, None) is not None

    def __contains__(self, code: ConditionCode) -> bool:
        return code in self._standing

    def __iter__(self) -> Iterator[Condition]:
        return iter(tuple(self._standing.values()))
