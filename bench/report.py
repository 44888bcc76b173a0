"""The results of a run: tables, printed and kept in docs/benchmarks.md, one section for each part."""

import re
import statistics
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

WIDTH = 120
INTRODUCTION = """\
# Benchmarks

`make bench` measures everything and writes this file. `make bench ARGS="switch"` runs one part and replaces its
section; `ARGS=--help` lists the parts.

The daemon and Traefik are real processes, compared with Debian's nginx and HAProxy on the same machine. That machine
also runs the load, so compare ratios within a run rather than absolute times. p95: 19 of 20 values are not above it.
"""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under column names; `notes` follow below, such as why a row is missing."""

    heading: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()

    def markdown(self) -> str:
        """Return the table, its columns aligned, so that it can be read as it is."""
        lines = [self.columns, *self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        padded = ["| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines]
        padded.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
        paragraphs = [f"### {self.heading}", "\n".join(padded) if self.rows else "", *self.notes]
        return "\n\n".join(filter(None, paragraphs))


@dataclass(frozen=True, slots=True)
class Section:
    """The results of one part; `text` defines what was measured."""

    name: str
    title: str
    text: str
    tables: Sequence[Table]

    def markdown(self, circumstances: str) -> str:
        """Return the section; prose is filled, lists are kept. `circumstances`: the machine and the versions."""
        paragraphs = [
            paragraph if paragraph.startswith("- ") else textwrap.fill(paragraph, WIDTH)
            for paragraph in (*self.text.split("\n\n"), circumstances)
        ]
        return "\n\n".join((f"## {self.title}", *paragraphs, *[one.markdown() for one in self.tables]))


class Spread:
    """Durations of one kind, in milliseconds for people."""

    def __init__(self, found_s: Iterable[float]) -> None:
        self._sorted_ms = sorted(1e3 * one for one in found_s)

    @property
    def median_ms(self) -> float:
        return statistics.median(self._sorted_ms)

    @property
    def p95_ms(self) -> float:
        return self._percentile_ms(95)

    @property
    def p99_ms(self) -> float:
        return self._percentile_ms(99)

    @property
    def worst_ms(self) -> float:
        return self._sorted_ms[-1]

    def words(self) -> str:
        """Return the median and the 95th percentile, "-" where nothing was measured."""
        return f"{figure(self.median_ms)} / {figure(self.p95_ms)}" if self._sorted_ms else "-"

    def more_words(self) -> str:
        """Return the median, the 95th and the 99th percentile, "-" where nothing was measured."""
        return f"{self.words()} / {figure(self.p99_ms)}" if self._sorted_ms else "-"

    def _percentile_ms(self, percent: int) -> float:
        return self._sorted_ms[-(-len(self._sorted_ms) * percent // 100) - 1]


def figure(value: float) -> str:
    """Write a number with no more digits than it deserves."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def ratio(value: float, peer: float | None) -> str:
    """Return how many times the peer's value this is, "-" where there is no peer."""
    return figure(value / peer) if peer else "-"


def keep(file: Path, order: Sequence[str], found: Mapping[str, str]) -> None:
    """Write the sections that were found into the file, by name, and leave the others that it has as they are."""
    kept = {name: text.strip() for name, text in _SECTION.findall(file.read_text() if file.exists() else "")}
    sections = {**kept, **found}
    parts = [f"<!-- {name} -->\n\n{sections[name]}\n\n<!-- end of {name} -->" for name in order if name in sections]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n\n".join((INTRODUCTION.strip(), *parts)) + "\n")


def replace(page: Path, name: str, section: str) -> None:
    """Write a section into its place in a page, and leave the rest as it is."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, _, rest = page.read_text().partition(begin)
    _, found, after = rest.partition(end)
    assert found, f"{page}: has no {begin} with {end} after it"
    page.write_text(f"{before}{begin}\n\n{section}\n\n{end}{after}")


_SECTION = re.compile(r"<!-- (\w+) -->\n(.*?)<!-- end of \1 -->", re.DOTALL)
