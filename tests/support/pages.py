"""Every page of Markdown in the repository, as tests look at them."""

import re
from collections.abc import Iterator

from docs.generate.markdown import anchor
from tests.support.paths import ROOT

PAGES = {
    str(page.relative_to(ROOT)): page
    for page in sorted(ROOT.rglob("*.md"))
    if not any(part.startswith(".") or part == "node_modules" for part in page.relative_to(ROOT).parts)
}


def blocks(text: str, language: str) -> Iterator[str]:
    """Yield the blocks of code in a language; one that stands in a list is taken back to the margin."""
    for indent, block in re.findall(rf"^( *)```{language}\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL):
        yield re.sub(rf"(?m)^{indent}", "", block)


def blocks_by_heading(text: str, language: str) -> dict[str, list[str]]:
    """Return the blocks of code in a language, by the heading of the second level that they stand under."""
    parts = re.split(r"(?m)^## (.*)$", text)
    found = {heading: list(blocks(part, language)) for heading, part in zip(parts[1::2], parts[2::2], strict=True)}
    return {heading: scripts for heading, scripts in found.items() if scripts}


def without_blocks(text: str) -> str:
    """Return a page without its blocks of code."""
    return re.sub(r"(?ms)^ *```.*?^ *```$", "", text)


def anchors(text: str) -> set[str]:
    """Return the anchors that a page has: of its headings, and those that it writes itself."""
    prose = without_blocks(text)
    return {anchor(one) for one in re.findall(r"(?m)^#+ (.*)$", prose)} | set(re.findall(r'<a id="([^"]+)">', prose))


def links(text: str) -> Iterator[str]:
    """Yield where the links and images of a page lead, but for other sites."""
    prose = re.sub(r"(`+).+?\1", "", without_blocks(text))
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if "://" not in target and not target.startswith("mailto:"):
            yield target


def rows(text: str, heading: str) -> Iterator[list[str]]:
    """Yield the cells of each row of the first table under a heading."""
    _, _, rest = f"\n{text}".partition(f"\n{heading}\n")
    found = re.search(r"(?m)^\|.*\n\|[-|: ]+\|\n((?:\|.*\n)+)", rest)
    assert found is not None, heading
    for line in found[1].splitlines():
        yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
