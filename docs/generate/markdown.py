"""Pieces of Markdown as GitHub reads it."""

import re
from collections.abc import Iterable, Sequence

NOTE = "<!-- Generated from the code by `make docs`: change it there. -->"


def page(title: str, *parts: str) -> str:
    """Join the parts of a page, with a blank line between them."""
    return "\n\n".join([NOTE, f"# {title}", *(part for part in parts if part)]) + "\n"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; where there are no rows, nothing."""
    lines = [_row(row) for row in rows]
    return "\n".join([_row(headings), "|" + "---|" * len(headings), *lines]) if lines else ""


def fence(text: str, language: str = "") -> str:
    """Return a block of code."""
    return f"```{language}\n{text}\n```"


def code(text: object) -> str:
    """Return a span of code; the text may hold backticks."""
    words = str(text)
    if "`" not in words:
        return f"`{words}`"
    space = " " if words.startswith("`") or words.endswith("`") else ""
    return f"``{space}{words}{space}``"


def anchor(heading: str) -> str:
    """Return the name by which a link reaches a heading."""
    return re.sub(r"[^\w -]", "", heading.strip().lower()).replace(" ", "-")


def link(text: str, heading: str) -> str:
    """Return a link to a heading of the same page."""
    return f"[{text}](#{anchor(heading)})"


def sentence(text: str) -> str:
    """Return a text with its full stop; none stays none."""
    return text if not text or text.endswith((".", "?", ":")) else f"{text}."


def capitalised(text: str) -> str:
    """Return a text that begins with a capital letter."""
    return text[:1].upper() + text[1:]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
