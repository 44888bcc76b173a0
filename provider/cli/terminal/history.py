"""Draws decisions: a whole line each in a pipe, grouped by day on a terminal."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from provider.cli.terminal.status import write
from provider.cli.terminal.words import OUTCOME_STYLES, printable
from provider.model import api_types as api

DAY = len("2026-01-31")
_OF_A_DECISION = ("TIME", "SERVICE", "EVENT", "COLOUR", "RELEASE", "ROLLOUT", "OUTCOME", "ACTOR")


def show(rows: Sequence[api.Decision], *, verbose: bool = False) -> None:
    """Print decisions, newest last; with `verbose` also their evidence."""
    write(draw(printable(rows), is_terminal=sys.stdout.isatty(), verbose=verbose))


def draw(rows: Sequence[api.Decision], *, is_terminal: bool, verbose: bool = False) -> RenderableType:
    """Draw decisions that come newest first, the newest last.

    In a pipe a decision is one whole line, for grep. On a terminal each day is printed once, columns without
    information are left out, and the detail of a decision is on the next line.
    """
    if not rows:
        return Text("no decisions in that time")
    oldest_first = rows[::-1]
    cells = [_cells(row) for row in oldest_first]
    days = [cell[0][:DAY] for cell in cells]
    shown = list(range(len(_OF_A_DECISION)))
    if is_terminal:
        cells = [(cell[0][DAY + 1 :], *cell[1:]) for cell in cells]
        shown = [number for number in shown if _is_useful(number, cells)]
    drawn = [[row[number] for number in shown] for row in (_OF_A_DECISION, *cells)]
    widths = [max(map(len, column)) for column in zip(*drawn, strict=True)]
    lines: list[RenderableType] = [_line(drawn[0], widths, "bold", "" if is_terminal else "DETAIL")]
    for number, (row, cell) in enumerate(zip(oldest_first, drawn[1:], strict=True)):
        if is_terminal and days[number] not in days[:number][-1:]:
            lines.append(Text(f"{days[number]} UTC", style="dim"))
        style = "" if row["outcome"] is None else OUTCOME_STYLES.get(row["outcome"], "red")
        detail = [row["detail"]] if row["detail"] else []
        lines.append(_line(cell, widths, style, "" if is_terminal else "".join(detail)))
        below = [*(detail if is_terminal else []), *(row["evidence"] if verbose else [])]
        lines += [Padding(Text(each, style="dim"), (0, 0, 0, 4)) for each in below]
    return Group(*lines)


def _cells(row: api.Decision) -> tuple[str, ...]:
    at = datetime.fromisoformat(row["at"]).astimezone(UTC)
    text = (row[name] or "" for name in ("service", "event", "colour", "release", "rollout", "outcome", "actor"))
    return (f"{at:%Y-%m-%d %H:%M:%SZ}", *text)


def _is_useful(number: int, cells: Sequence[Sequence[str]]) -> bool:
    """Whether a column has information: a single service or no entry at all is none."""
    entries = {row[number] for row in cells}
    return len(entries) > 1 if _OF_A_DECISION[number] == "SERVICE" else entries != {""}


def _line(cells: Sequence[str], widths: Sequence[int], style: str, last: str) -> Text:
    padded = [*(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)), last]
    return Text("  ".join(padded).rstrip(), style=style)
