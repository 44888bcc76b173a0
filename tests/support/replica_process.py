"""A replica in a process of its own: it is asked on its standard input, and tells what it sees on its output.

Each line is JSON: asked is `[number, group]`; told is the name of a record and its fields, or `["Answer", number,
outcome]`. SIGTERM ends it in order.
"""

import argparse
import asyncio
import logging
import signal
import sys
from contextlib import suppress

import orjson
import structlog

from provider.store.etcd.client import JsonGateway
from provider.store.etcd.store import new_id
from tests.support.etcd_broken import BROKEN
from tests.support.replicas import Disk, Outcome, Record, Replica

BUILDS = {broken.__name__: broken for broken in BROKEN}


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--etcd", nargs="+", required=True)
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--broken", choices=BUILDS)
    args = parser.parse_args()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    sound = JsonGateway(args.etcd)
    gateway = BUILDS[args.broken](sound) if args.broken else sound
    replica = Replica(gateway, args.prefix, args.name, Disk(), lambda record: _say(_told(record)), new_id)
    running = asyncio.current_task()
    assert running is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_take(replica))
            group.create_task(replica.run())
    finally:
        await gateway.close()


async def _take(replica: Replica) -> None:
    """Pass on what is asked until the input ends."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        number, group = orjson.loads(line)
        replica.decide(number, group).add_done_callback(_Answer(number))


class _Answer:
    """Tells the answer to a decision."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __call__(self, answer: "asyncio.Future[Outcome]") -> None:
        if not answer.cancelled():
            _say(["Answer", self._number, answer.result()])


def _told(record: Record) -> list[object]:
    fields = [getattr(record, name) for name in record.__slots__]
    return [type(record).__name__, *(field.decode() if isinstance(field, bytes) else field for field in fields)]


def _say(line: list[object]) -> None:
    sys.stdout.buffer.write(orjson.dumps(line) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    with suppress(asyncio.CancelledError, KeyboardInterrupt):
        asyncio.run(main())
