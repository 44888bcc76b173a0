"""What grows with the number of services, and how fast."""

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
Every service has one router and one server in the colour that is active. **Render** makes the document from nothing:
every service is rendered, and all are joined. **Change to document** is the time from Docker's edge saying that a
service has another server to new bytes, through the real controller and its store; **start to document** that from the
start of the process to its first document, the best of three, with the state of a daemon that has served before: it
reads and renders everything, or **finds all as it was** and serves the document that the stop before it kept;
**memory** is the most that it had when all was read. **Document to routed** is from the fetch by a real Traefik of a
document in which one server is another to its marker in Traefik's API, with a default certificate: **whole** is JSON
that has the load balancers of the idle colour as well, **plain** leaves these out, and **as served** is split where it
is large, too. Polls are asked for by wrk over 8 connections, and are not held (`?hold=0`); the daemon and nginx have
one process each."""


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
        started = [figure(1e3 * one_s) for one_s in (starts.reading_s, starts.resumed_s)]
        rows.append((f"{services:,}", figure(rendered.median_ms), changed.words(), *started, figure(starts.memory_mb)))
        print("  " + " | ".join(rows[-1]), flush=True)
    columns = (
        *("services", "render", "change to document: median / p95"),
        *("start to document", "start that finds all as it was", "memory, MB"),
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
