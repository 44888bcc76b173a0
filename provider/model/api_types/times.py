"""How the admin API writes a time."""

from typing_extensions import TypeAliasType

Time = TypeAliasType("Time", str)
"""A time in UTC, RFC 3339."""
