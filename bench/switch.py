"""How long a switch takes: from the decision to the first answer of the new colour and the last of the old one."""

import asyncio
import os
import random
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.load import ANSWER_LIMIT_S, CLIENT_PAUSE_S, CLIENTS, PROBER_PAUSE_S, Seen, clients, colours
from bench.machine import Missing
from bench.processes import folder
from bench.report import Section, Spread, Table, figure, ratio
from bench.stamped import Moments
from bench.ways import FILE_PROVIDER, WAYS, Scene, Way
from provider.model import Colour
from provider.traefik.process import free_ports

DEFAULT_SWITCHES = 40
OTHER_SWITCHES = 10
SLOW_SWITCHES = 6
SLOW_S = 5.0
REST_S = 0.3
SYNCS = 50
TEXT = f"""\
{CLIENTS} clients on kept connections ask for one service, each {1e3 * CLIENT_PAUSE_S:g} ms after its last answer, and
a prober asks {1e3 * PROBER_PAUSE_S:g} ms after its last, while the service is switched between two colours. The peers
get the documents that the daemon serves, through a Traefik with a throttle of 1 ms; HAProxy runs without Traefik.
Without a default certificate in the document, Traefik makes an RSA key at each change. A switch comes at a random
moment after Traefik's poll interval and throttle have passed since the last one.

- **command**: `switch` is sent to the admin API
- **decision**: the daemon begins to decide, at the moment that its history shows; for files: the rename into place; for
  HAProxy: the write to its admin socket
- **published**: the daemon has committed and has the new document
- **first new, last old**: the first answer of the new colour to any client, the last of the old one; **overlap** is
  the time between them
- **lost**: broken or refused connections, answers other than 200, answers after more than {ANSWER_LIMIT_S:g} s"""


@dataclass(slots=True)
class Found:
    """The switches of one way, in seconds; `reported` are the moments that only a daemon reports."""

    from_command: list[float] = field(default_factory=list)
    from_decision: list[float] = field(default_factory=list)
    from_published: list[float] = field(default_factory=list)
    last_old: list[float] = field(default_factory=list)
    overlap: list[float] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    answers: int = 0
    parts: dict[str, list[float]] = field(default_factory=dict)

    def note(self, sent_s: float, reported: Moments | None, seen: Seen) -> None:
        """Note a switch that was sent off at this moment."""
        assert seen.first_new_s is not None, f"the new colour did not come: {seen}"
        decided_s = reported.looked if reported else sent_s
        self.from_decision.append(seen.first_new_s - decided_s)
        self.last_old.append(seen.last_old_s - decided_s)
        self.overlap.append(seen.last_old_s - seen.first_new_s)
        self.lost += seen.lost
        self.answers += seen.answers
        if reported:
            self.from_command.append(seen.first_new_s - sent_s)
            self.from_published.append(seen.first_new_s - reported.published)
            for part, took_s in parts(sent_s, reported, seen.first_new_s).items():
                self.parts.setdefault(part, []).append(took_s)


def parts(sent_s: float, at: Moments, first_new_s: float) -> dict[str, float]:
    """Return how long each part of a switch took, in seconds and in their order."""
    return {
        "command or file received": at.looked - sent_s,
        "decided": at.decided - at.looked,
        "to the store's thread and back": (at.writing - at.decided) + (at.committed - at.written),
        "transaction of SQLite": at.counting - at.writing,
        "counter beside it": at.written - at.counting,
        "rendered and published": at.published - at.committed,
        "answer written": at.answered - at.published,
        "Traefik applied it, and a client was answered": first_new_s - at.answered,
    }


def main(switches: int) -> Section:
    """Measure every way; the main one `switches` times, the others less often."""
    return asyncio.run(_measure(switches))


async def _measure(switches: int) -> Section:
    found, notes, gaps_ms = dict[Way, Found](), list[str](), list[float]()
    ports = dict(zip(Colour, free_ports(2), strict=True))
    scene = Scene(ports, {})
    with colours(ports):
        for way in WAYS:
            most = SLOW_SWITCHES if way.interval_s >= SLOW_S else OTHER_SWITCHES
            try:
                found[way], gaps = await _switch(way, scene, switches if way.is_aim else min(switches, most))
            except Missing as missing:
                notes.append(f"Skipped: {way.name}: {missing}.")
                continue
            gaps_ms.append(gaps.median_ms)
            notes += [f"Lost by {way.name}: {cause}." for cause in sorted(set(found[way].lost))[:3]]
            print("  " + " | ".join(_line(way, found[way], None)), flush=True)
    peers_ms = {way: Spread(one.from_decision).median_ms for way, one in found.items() if way.name == FILE_PROVIDER}
    by_certificate = {way.certificate: median_ms for way, median_ms in peers_ms.items()}
    table = Table(
        "A switch, in ms: median / p95",
        (
            *("way", "certificate", "switches", "command to first new", "decision to first new: median / p95 / p99"),
            *("published to first new", "decision to last old", "overlap: median / longest", "answers", "lost"),
            "decision to first new / file provider's",
        ),
        [
            _line(way, one, by_certificate.get(way.certificate) if way.has_traefik else None)
            for way, one in found.items()
        ],
        [
            f"The prober got an answer every {figure(statistics.median(gaps_ms))} ms, the precision of these times.",
            f"Writing 4 KiB to the disk (fdatasync) took {_sync().words()} ms.",
            *notes,
        ],
    )
    return Section("switch", "Switch", TEXT, [table, _split({way: found[way] for way in found if found[way].parts})])


def _split(found: Mapping[Way, Found]) -> Table:
    """Return which part of a switch takes what, where the aim is about it."""
    aims = {way: one for way, one in found.items() if way.is_aim}
    names = list(dict.fromkeys(name for one in aims.values() for name in one.parts))
    return Table(
        "Where the time goes, in ms: median / p95 / p99",
        ("part", *(way.name for way in aims)),
        [(name, *(Spread(one.parts[name]).more_words() for one in aims.values())) for name in names],
    )


async def _switch(way: Way, scene: Scene, count: int) -> tuple[Found, Spread]:
    """Switch to and fro; return the records, and the time between two answers to the prober."""
    found, chance = Found(), random.Random(way.name)
    async with way.start(way, scene) as running:
        with clients(running.port) as witness:
            for number in range(count + 1):  # the first one warms up
                colour = (Colour.GREEN, Colour.BLUE)[number % 2]
                await witness.expect(colour)
                sent_s = await running.switch(colour)
                seen = await witness.seen()
                reported = await running.reported(colour)
                if number:
                    found.note(sent_s, reported, seen)
                slowest_s = max(way.interval_s, way.throttle_s)
                await asyncio.sleep(slowest_s + REST_S + chance.uniform(0, max(way.interval_s, REST_S)))
            return found, await witness.resolution()


def _line(way: Way, found: Found, peer_ms: float | None) -> tuple[str, ...]:
    decision, overlap = Spread(found.from_decision), Spread(found.overlap)
    return (
        way.name,
        ("yes" if way.certificate else "no") if way.has_traefik else "-",
        str(len(found.from_decision)),
        Spread(found.from_command).words(),
        decision.more_words(),
        Spread(found.from_published).words(),
        Spread(found.last_old).words(),
        f"{figure(overlap.median_ms)} / {figure(overlap.worst_ms)}",
        f"{found.answers:,}",
        str(len(found.lost)),
        ratio(decision.median_ms, peer_ms),
    )


def _sync() -> Spread:
    """Return how long the disk under the state directories takes to have something for good."""
    found_s = []
    with folder() as place:
        file = os.open(Path(place) / "written", os.O_CREAT | os.O_WRONLY)
        try:
            for number in range(SYNCS):
                os.pwrite(file, bytes(4096), 4096 * number)
                begin_s = time.perf_counter()
                os.fdatasync(file)
                found_s.append(time.perf_counter() - begin_s)
        finally:
            os.close(file)
    return Spread(found_s)
