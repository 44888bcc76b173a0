"""How a date is written in answers."""

from datetime import UTC, datetime
from typing import overload


@overload
def time_status(at: datetime) -> str: ...
@overload
def time_status(at: datetime | None) -> str | None: ...
def time_status(at: datetime | None) -> str | None:
    """Return a time as the admin API writes it: UTC, RFC 3339."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z") if at else None
