"""Compose files in the shapes in which people publish them, and what `bluegreen import` makes of each."""

from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import ROOT

HERE = ROOT / "tests" / "cli" / "importing"
FILES = HERE / "files"
EXPECTED = HERE / "expected"
OVERRIDES = {"base": ("base.yaml", "override.yaml")}
NAMES = sorted(path.stem for path in FILES.glob("*.yaml") if path.stem != "override")
NOTHING_TAKEN = frozenset({"broken"})


@dataclass(frozen=True)
class Expected:
    """What is printed, None for nothing, and the lines about what was left."""

    text: str | None
    lefts: list[str]


def files(name: str) -> tuple[str, ...]:
    """Return the files of one project, relative to FILES."""
    return OVERRIDES.get(name, (f"{name}.yaml",))


def expected(name: str) -> Expected:
    """Return what is made of them; a person has read it."""
    text = EXPECTED / f"{name}.yaml"
    lefts = (EXPECTED / f"{name}.txt").read_text().splitlines()
    return Expected(None if name in NOTHING_TAKEN else text.read_text(), lefts)


def paths(name: str) -> tuple[Path, ...]:
    """Return the files of one project."""
    return tuple(FILES / one for one in files(name))
