"""Costs that grow with the number of services."""

import asyncio
from collections.abc import Sequence

import uvloop

from bench import change, health, polls, start
from bench.certificate import default_store
from bench.documents import Fleet
from bench.machine import Missing
from bench.processes import folder
from bench.report import Section, Spread, Table, figure, ratio
from bench.routed import apply

SIZES = (10, 100, 1_000, 10_000)
RENDERS = 5
APPLIED = 3
TEXT = """\
Every service has one router and one server in the active colour. Polls come from wrk over 8 connections and are not
held (`?hold=0`); the daemon and nginx have one process each.

- **render**: render every service and join them
- **change to document**: from Docker's edge reporting a new server to new bytes, through the real controller and
  store
- **start to document**: from the start of the process, with the state of an earlier run, to its first document; best
  of three
- **memory**: the maximum after everything was read
- **document to routed**: from Traefik's fetch of a document with one changed server to its marker in Traefik's API,
  with a default certificate
- **whole, plain, as served**: JSON with the idle colour's load balancers; without them; also split if large"""


def main() -> Section:
    """Measure everything at every size."""
    with folder() as place:
        try:
            store, notes = default_store(place), []
        except Missing as missing:
            store, notes = {}, [f"Without a default certificate: {missing}."]
        fleets = [Fleet(services, store) for services in SIZES]
        tables = [_daemon(fleets), asyncio.run(_traefik(fleets, notes)), asyncio.run(_polls()), health.table()]
    return Section("growth", "Growth", TEXT, tables)


def _daemon(fleets: Sequence[Fleet]) -> Table:
    rows = []
    for fleet in fleets:
        services = len(fleet.services)
        rendered = Spread([fleet.render_s() for _ in range(RENDERS)])
        changed = Spread(uvloop.run(change.changes_s(services)))
        starts = start.best(services)
        started = figure(1e3 * starts.fastest_s)
        rows.append((f"{services:,}", figure(rendered.median_ms), changed.words(), started, figure(starts.memory_mb)))
        print("  " + " | ".join(rows[-1]), flush=True)
    columns = (
        *("services", "render", "change to document: median / p95"),
        *("start to document", "memory, MB"),
    )
    return Table("The daemon, in ms", columns, rows)


async def _traefik(fleets: Sequence[Fleet], notes: Sequence[str]) -> Table:
    rows = []
    for fleet in fleets:
        forms = (fleet.whole(), fleet.plain(), fleet.as_served())
        whole, plain, served = [await apply(pair, APPLIED) for pair in forms]
        rows.append(
            (
                *(f"{len(fleet.services):,}", f"{len(fleet.as_served().first.body):,}"),
                *[figure(1e3 * one.median_s) for one in (whole, plain, served)],
                ratio(whole.median_s, served.median_s),
                *[figure(1e3 * one.cpu_s) for one in (whole, served)],
                *[figure(one.resident_mb) for one in (whole, served)],
            )
        )
        print("  " + " | ".join(rows[-1]), flush=True)
    columns = (
        *("services", "bytes", "whole", "plain", "as served", "whole / as served"),
        *("CPU, whole", "CPU, as served", "Traefik's memory, MB, whole", "as served"),
    )
    return Table("Document to routed, in ms", columns, rows, notes)


async def _polls() -> Table:
    heading, rows = "Polls a second", []
    try:
        for services in SIZES:
            one = await polls.polls(services)
            beside = figure(one.nginx) if one.nginx else "-"
            rows.append(
                (f"{services:,}", f"{one.document_bytes:,}", figure(one.ours), beside, ratio(one.ours, one.nginx))
            )
            print("  " + " | ".join(rows[-1]), flush=True)
    except Missing as missing:
        return Table(heading, (), (), [f"Skipped: {missing}."])
    return Table(heading, ("services", "bytes", "daemon", "nginx", "daemon / nginx"), rows)
