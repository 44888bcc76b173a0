"""The size from which the split form helps Traefik, and the best size of its blocks."""

import asyncio

from bench.certificate import default_store
from bench.documents import Fleet
from bench.processes import folder
from bench.report import Section, Table, figure
from bench.routed import apply
from provider.traefik.document.render import BLOCK, SPLIT_ABOVE

SIZES = (200, 500, 1_000, 2_000, 5_000, 10_000)
BLOCKS = (25, 50, 100, 200, 400)
CHANGES = 5
TEXT = f"""\
Traefik's YAML decoder takes time quadratic in the number of keys of one map. The split form cuts the maps `routers`
(one key for each service) and `services` (two) into blocks and joins them with YAML's merge key. Times run from the
fetch of a document with one changed server to its marker in Traefik's API, with a default certificate; medians of
{CHANGES}. The daemon splits maps of more than {SPLIT_ABOVE:,} keys into blocks of {BLOCK} services."""


def main() -> Section:
    """Apply every form at every size. Raises Missing."""
    return asyncio.run(_measure())


async def _measure() -> Section:
    rows = []
    with folder() as place:
        for services in SIZES:
            fleet = Fleet(services, default_store(place))
            forms = [fleet.plain(), *[fleet.split(block) for block in BLOCKS if block < services]]
            found = [figure(1e3 * (await apply(pair, CHANGES)).median_s) for pair in forms]
            rows.append((f"{services:,}", *found, *["-"] * (1 + len(BLOCKS) - len(found))))
            print("  " + " | ".join(rows[-1]), flush=True)
    columns = ("services", "plain", *[f"blocks of {block}" for block in BLOCKS])
    return Section("split", "The split form", TEXT, [Table("Document to routed, in ms", columns, rows)])
