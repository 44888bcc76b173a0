"""Measures the numbers that docs/benchmarks.md shows; `make bench` runs this on a quiet machine."""

import argparse
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog

from bench import docker, growth, machine, report, split, stalls, switch
from bench.report import Section

FILE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
PARTS: Mapping[str, Callable[[argparse.Namespace], Section]] = {
    "switch": lambda given: switch.main(given.switches),
    "growth": lambda _: growth.main(),
    "stalls": lambda _: stalls.main(),
    "split": lambda _: split.main(),
    "docker": lambda _: docker.main(),
}
BY_NAME_ONLY = frozenset({"split"})
"""What decides how the daemon is built, not how well it does."""


def main() -> None:
    """Measure the parts that were named, print what they find, and write it down."""
    given = arguments()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    for name in given.parts or [name for name in PARTS if name not in BY_NAME_ONLY]:
        load = os.getloadavg()
        print(f"{name}: load average {load[0]:.1f}", flush=True)
        text = PARTS[name](given).markdown(machine.circumstances(load))
        print(f"\n{text}\n", flush=True)
        report.keep(given.file, tuple(PARTS), {name: text})


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    names = f"{', '.join(PARTS)}; by default all but {', '.join(BY_NAME_ONLY)}"
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], metavar="PART", help=names)
    parser.add_argument("--switches", type=int, default=switch.DEFAULT_SWITCHES, help="how many for the aim")
    parser.add_argument("--file", type=Path, default=FILE, help="where the sections are kept")
    return parser.parse_args()


if __name__ == "__main__":
    main()
