"""Releases in steps: the shares that they reach, and what their analysis costs."""

import asyncio

from bench import analysed, shares
from bench.report import Section

TEXT = f"""\
**Shares**: a daemon takes a release through its steps, behind a real Traefik. At each step {shares.REQUESTS} clients
send a request each over a connection of its own: the same clients at each step, which keep their cookies, and with
`cookie` as many new ones. With `client` each has an address of its own.

**Cost**: {analysed.SERVICES:,} services are in a step of 50 % at once, and each has the tests `errors` and `slow`. A
daemon in the process of the measurement looks every {analysed.EVERY_S:g} s at the metrics of a real Traefik, through
which {analysed.VISITORS / analysed.PAUSE_S:.0f} requests a second go at most, to one service after the other. A
**stall** is defined as in [Stalls](#stalls). Other processes lengthen it; the **longest turn** is the processor time
that the thread of the event loop used without giving way."""


def main() -> Section:
    """Measure both."""
    tables = [asyncio.run(shares.measure()), analysed.run()]
    return Section("canary", "Releases in steps", TEXT, tables)
