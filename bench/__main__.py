"""Measures the numbers that docs/benchmarks.md shows; `make bench` runs this on a quiet machine."""

import argparse
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog

from bench import canary, docker, growth, machine, replicas, report, sizing, split, stalls, switch
from bench.report import Section

FILE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
PARTS: Mapping[str, Callable[[argparse.Namespace], Section]] = {
    "switch": lambda given: switch.main(given.switches),
    "growth": lambda _: growth.main(),
    "stalls": lambda _: stalls.main(),
    "split": lambda _: split.main(),
    "docker": lambda _: docker.main(),
    "canary": lambda _: canary.main(),
    "replicas": lambda _: replicas.main(),
    "sizing": lambda _: sizing.main(),
}
BY_NAME_ONLY = frozenset({"sizing", "split"})
"""Parts that take long, or that inform how the daemon is built, not how fast it is."""
PAGES = {"sizing": FILE.with_name("sizing.md")}
"""Parts with a page of their own, in which their section has its place."""


def main() -> None:
    """Measure the named parts, print the results and write them to the documentation."""
    given = arguments()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    for name in given.parts or [name for name in PARTS if name not in BY_NAME_ONLY]:
        load = os.getloadavg()
        print(f"{name}: load average {load[0]:.1f}", flush=True)
        text = PARTS[name](given).markdown(machine.circumstances(load))
        print(f"\n{text}\n", flush=True)
        if name in PAGES:
            report.replace(PAGES[name], name, text)
        else:
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
