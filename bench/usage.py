"""What processes and a cluster of etcd use in some seconds."""

import re
import statistics
import time
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bench.processes import cpu_s
from bench.replicated import Node

T = TypeVar("T")

COUNTERS = (
    *("etcd_server_proposals_committed_total", "etcd_debugging_mvcc_put_total"),
    *("etcd_disk_wal_fsync_duration_seconds_count", "etcd_mvcc_db_total_size_in_bytes"),
    *("etcd_network_client_grpc_received_bytes_total", "etcd_network_client_grpc_sent_bytes_total"),
)


@dataclass(frozen=True, slots=True)
class Usage:
    """What was used each second; `cpu` is of each process, in percent of a core.

    Commits, values, syncs and the growth of the database are those of the node that has most; bytes from and to clients
    are of all nodes together, as etcd counts them (the JSON of its gateway is a third longer), those written to disk of
    one node on average.
    """

    cpu: Mapping[int, float]
    commits: float
    values: float
    syncs: float
    database_bytes: float
    received_bytes: float
    sent_bytes: float
    written_bytes: float

    def mean_cpu(self, pids: Iterable[int]) -> float:
        return statistics.mean(self.cpu[pid] for pid in pids)


async def used(nodes: Sequence[Node], pids: Iterable[int], work: Awaitable[T]) -> tuple[Usage, T]:
    """Return what was used while the work was done, and what came of it."""
    before_s = {pid: cpu_s(pid) for pid in (*pids, *[node.pid for node in nodes])}
    before = [await node.counted(*COUNTERS) for node in nodes]
    written = [_written(node.pid) for node in nodes]
    begun_s = time.monotonic()
    done = await work
    took_s = time.monotonic() - begun_s
    cpu = {pid: 100 * (cpu_s(pid) - one_s) / took_s for pid, one_s in before_s.items()}
    after = [await node.counted(*COUNTERS) for node in nodes]
    each = [[(new - old) / took_s for old, new in zip(*pair, strict=True)] for pair in zip(before, after, strict=True)]
    commits, values, syncs, database = (max(one[number] for one in each) for number in range(4))
    received, sent = (sum(one[number] for one in each) for number in (4, 5))
    disk = statistics.mean(_written(node.pid) - old for node, old in zip(nodes, written, strict=True)) / took_s
    return Usage(cpu, commits, values, syncs, database, received, sent, disk), done


def _written(pid: int) -> int:
    found = re.search(r"^write_bytes: (\d+)$", Path(f"/proc/{pid}/io").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])
