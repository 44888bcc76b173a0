"""The signs of the live view, each beside the word that it means."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Signs:
    """What is drawn for a state, for parts of a bar, and between phases."""

    active: str
    standby: str
    passed: str
    failed: str
    open: str
    here: str
    full: str
    blank: str
    trouble: str

    def of(self, state: str) -> str:
        """Return the sign of a health, of a gate's state, or of an outcome."""
        meant = _MEANT.get(state)
        return self.open if meant is None else str(getattr(self, meant))


_MEANT: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("healthy", "passed", "switched"), "passed"),
        **dict.fromkeys(("unhealthy", "failed", "aborted", "rolled-back", "expired"), "failed"),
        **dict.fromkeys(("empty", "skipped"), "blank"),
        **dict.fromkeys(("critical", "mixed"), "trouble"),
    }
)
DRAWN = Signs("●", "○", "✓", "✗", "…", "▸", "█", "·", "!")
PLAIN = Signs("*", "o", "+", "x", "~", ">", "#", ".", "!")
"""For a terminal that writes ASCII."""


def signs_of(encoding: str) -> Signs:
    """Return the signs that a terminal of this encoding can show."""
    try:
        "".join(getattr(DRAWN, name) for name in DRAWN.__slots__).encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return PLAIN
    return DRAWN
