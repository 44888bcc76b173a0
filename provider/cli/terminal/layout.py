"""Lays out text on a screen of any size: columns and lines are dropped until it fits."""

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rich.text import Text

GAP = 2
NARROWEST = 4


class Size(NamedTuple):
    """A terminal, in columns and lines."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Part:
    """Lines that belong together below an empty line; where there is no room they go from the end.

    Of those that give lines up `enough` are kept while others have more than enough, and `least` as long as the screen
    has any room. `rest` says in the last line what so many left-out ones were; without it they are left out silently.
    """

    lines: Sequence[Text]
    enough: int = 0
    least: int = 0
    rest: Callable[[int], str] | None = None
    is_joined: bool = False
    """It follows the part before without an empty line."""

    def cut(self, height: int) -> list[Text]:
        """Return so many lines at most, the last of which may say how many there are besides."""
        if height >= len(self.lines):
            return list(self.lines)
        if self.rest is None or height <= 1:
            return list(self.lines[:height])
        return [*self.lines[: height - 1], Text(f"  {self.rest(len(self.lines) - height + 1)}", style="dim")]


def stacked(parts: Sequence[Part], size: Size) -> list[Text]:
    """Put parts below each other on a screen; the last ones give up lines first, then the empty lines go."""
    shown = [part for part in parts if part.lines]
    heights = [len(part.lines) for part in shown]
    gaps = sum(not part.is_joined for part in shown[1:])
    over = sum(heights) + gaps - size.height
    over = _lower(heights, [part.enough for part in shown], over)
    is_airy = over <= 0
    if not is_airy:
        _lower(heights, [part.least for part in shown], over - gaps)
    lines: list[Text] = []
    for part, height in zip(shown, heights, strict=True):
        if is_airy and lines and height and not part.is_joined:
            lines.append(Text())
        lines += part.cut(height)
    return [cropped(line, size.width) for line in lines[: size.height]]


def _lower(heights: list[int], floors: Sequence[int], over: int) -> int:
    """Take lines from the last parts first until none is over; return how many still are."""
    for number in reversed(range(len(heights))):
        taken = max(0, min(over, heights[number] - floors[number]))
        heights[number] -= taken
        over -= taken
    return over


def cropped(line: Text, width: int) -> Text:
    """Return a line that is as wide as this at most."""
    if line.cell_len > width:
        line = line.copy()
        line.truncate(width, overflow="ellipsis")
    line.no_wrap = True
    return line


def wrapped(text: str, width: int, *, lead: str = "", style: str = "", most: int = 4) -> list[Text]:
    """Return a text in lines of at most this width, those after the first below the end of `lead`; `most` at most."""
    indent = " " * min(len(lead), max(0, width // 3))
    lines = textwrap.wrap(
        text,
        max(width, len(lead) + NARROWEST),
        initial_indent=lead,
        subsequent_indent=indent,
        max_lines=most,
        placeholder=" …",
        break_on_hyphens=False,
    )
    return [Text(line, style=style) for line in lines]


def columns(
    header: Sequence[str], rows: Sequence[Sequence[Text]], width: int, give_way: Sequence[str] = ()
) -> list[Text]:
    """Return a header and rows, aligned; columns without entries are left out.

    Where that is too wide, columns go in the order of `give_way`, and then the widest ones are cut off.
    """
    shown = [number for number in range(len(header)) if any(row[number].plain for row in rows)]
    widths = {number: max(len(header[number]), *(row[number].cell_len for row in rows)) for number in shown}
    for name in give_way:
        if _total(widths) <= width:
            break
        widths.pop(header.index(name), None)
    while _total(widths) > width and max(widths.values()) > NARROWEST:
        widest = max(widths, key=lambda number: widths[number])
        widths[widest] -= 1
    lines = [_row([Text(name) for name in header], widths, "bold")] if any(header) else []
    return [*lines, *(_row(row, widths) for row in rows)]


def _total(widths: dict[int, int]) -> int:
    return sum(widths.values()) + GAP * (len(widths) - 1)


def _row(cells: Sequence[Text], widths: dict[int, int], style: str = "") -> Text:
    line = Text(style=style)
    for number, width in widths.items():
        cell = cells[number].copy()
        cell.truncate(width, overflow="ellipsis", pad=True)
        line.append(" " * GAP if line.plain else "")
        line.append_text(cell)
    line.rstrip()
    return line
