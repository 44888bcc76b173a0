"""`bluegreen store`: a store as one text, and copies from one kind of store to another, apart from any daemon."""

import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from provider.cli.commands.exit_codes import Exit, fail, say
from provider.cli.commands.help import Verb, Verbs
from provider.cli.commands.options import credentials_option, state_dir_option, store_option, store_url

if TYPE_CHECKING:
    from provider.store.contents import Contents

T = TypeVar("T")

STDIO = "-"
MODE = 0o600
"""The desired state may have secrets."""

file_argument = click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))


@click.group(
    cls=Verbs,
    examples="""
    # Back up a store
    bluegreen store export --state-dir /var/lib/bluegreen /backup/bluegreen.json

    # Move from a state directory to etcd, while the daemon is stopped
    bluegreen store copy sqlite:/var/lib/bluegreen \\
      "etcd://node-1,node-2,node-3/bluegreen/production?ca=etcd-ca.pem" --store-credentials etcd-user
    """,
)
def store() -> None:
    """Export, import and copy the store of a daemon that does not run.

    A store holds the decisions, the history, the last servers, the last desired state and the revision.
    """


@store.command(
    cls=Verb,
    examples="""
    # Write the store of a stopped daemon to a file
    bluegreen store export --state-dir /var/lib/bluegreen /backup/bluegreen.json

    # Write that of running replicas to standard output
    bluegreen store export --store "etcd://node-1,node-2,node-3/bluegreen/production?ca=etcd-ca.pem" \\
      --store-credentials etcd-user - | gzip > bluegreen.json.gz
    """,
)
@file_argument
@store_option
@state_dir_option
@credentials_option
def export(file: str, store: str | None, state_dir: Path | None, store_credentials: Path | None) -> None:
    """Write everything in a store to FILE, as JSON; - is standard output.

    A state directory must not be in use by a daemon. etcd is read at one revision, and replicas go on.
    """
    from provider.runtime.files import replace_file
    from provider.store.contents import written
    from provider.store.kinds import kind_of

    url = store_url(state_dir, store)

    async def read() -> "Contents":
        kind = kind_of(url)
        address = await kind.settle(kind.parse(url), store_credentials, None)
        return await kind.read_all(address, store_credentials)

    contents = _run(read())
    if contents.is_empty:  # no backup is as useless as that of another prefix
        fail(Exit.REFUSED, f"bluegreen: {url} has no store, or nothing in it. Look whether this is the right one")
    text = written(contents)
    if file == STDIO:
        sys.stdout.buffer.write(text)
        return
    try:
        replace_file(Path(file), text, mode=MODE)
    except OSError as failure:
        fail(Exit.UNEXPECTED, f"bluegreen: {file}: cannot be written: {failure.strerror}")
    say(f"{file}: {_summary(contents)}")


@store.command(
    "import",
    cls=Verb,
    examples="""
    # Fill a new state directory with what was exported
    bluegreen store import --state-dir /var/lib/bluegreen /backup/bluegreen.json
    """,
)
@file_argument
@store_option
@state_dir_option
@credentials_option
def import_(file: str, store: str | None, state_dir: Path | None, store_credentials: Path | None) -> None:
    """Fill an empty store with what was exported to FILE; - is standard input.

    Exits with 3, and changes nothing, if the store is not empty or is in use.
    """
    from provider.store import offline
    from provider.store.contents import ContentsRefused, read
    from provider.store.kinds import kind_of

    url = store_url(state_dir, store)
    try:
        contents = read(_content(file))
    except ContentsRefused as error:
        fail(Exit.USAGE, f"bluegreen: {'standard input' if file == STDIO else file}: {error}")

    async def fill() -> None:
        kind = kind_of(url)
        address = await kind.settle(kind.parse(url), store_credentials, lambda: _environment(contents))
        await offline.fill(kind.target(address, store_credentials), contents)

    _run(fill())
    say(f"{url}: {_summary(contents)}")


@store.command(
    cls=Verb,
    examples="""
    # Move from a state directory to etcd
    bluegreen store copy sqlite:/var/lib/bluegreen \\
      "etcd://node-1,node-2,node-3/bluegreen/production?ca=etcd-ca.pem" --store-credentials etcd-user

    # Move back
    bluegreen store copy "etcd://node-1,node-2,node-3/bluegreen/production?ca=etcd-ca.pem" \\
      sqlite:/var/lib/bluegreen --store-credentials etcd-user
    """,
)
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@credentials_option
def copy(source: str, target: str, store_credentials: Path | None) -> None:
    """Fill the empty store TO with everything in the store FROM, which stays as it is.

    Stop all daemons of both before. Exits with 3, and changes nothing, if TO is not empty or one of them is in use.
    """
    from provider.store import offline
    from provider.store.kinds import kind_of

    async def move() -> "Contents":
        reading, filling = kind_of(source), kind_of(target)
        begin, end = reading.parse(source), filling.parse(target)
        begin = await reading.settle(begin, store_credentials, None)

        async def environment() -> str | None:
            return await _environment(await reading.read_all(begin, store_credentials))

        end = await filling.settle(end, store_credentials, environment)
        return await offline.copy(reading.source(begin, store_credentials), filling.target(end, store_credentials))

    contents = _run(move())
    say(f"{target}: {_summary(contents)}")
    say(f"{source} is as it was: start no daemon on it again, and delete it once the copy is in use", err=True)


def _run(work: Coroutine[None, None, T]) -> T:
    """Do a work on stores; exit with the reason where it cannot be done."""
    import asyncio
    import logging

    import structlog

    from provider.model.errors import AddressError, BluegreenError, StoreConflict, StoreLocked
    from provider.runtime.files import FileRefused

    structlog.configure(  # standard output is the export's, and who leads meanwhile is nobody's affair
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
    )
    try:
        return asyncio.run(work)
    except (AddressError, FileRefused) as error:
        fail(Exit.USAGE, f"bluegreen: {error}")
    except (StoreConflict, StoreLocked) as error:
        fail(Exit.REFUSED, f"bluegreen: {error}")
    except BluegreenError as error:
        fail(Exit.UNEXPECTED, f"bluegreen: {error}")


async def _environment(contents: "Contents") -> str | None:
    from provider.config.environment import environment_of

    return environment_of(contents.stored.desired_text or "")


def _content(file: str) -> bytes:
    from provider.store.contents import LARGEST_BYTES

    try:
        if file == STDIO:
            content = sys.stdin.buffer.read(LARGEST_BYTES + 1)
        else:
            with Path(file).open("rb") as opened:
                content = opened.read(LARGEST_BYTES + 1)
    except OSError as failure:
        fail(Exit.USAGE, f"bluegreen: {file}: cannot be read: {failure.strerror}")
    if len(content) > LARGEST_BYTES:
        fail(Exit.USAGE, f"bluegreen: {file}: is larger than {LARGEST_BYTES >> 20} MiB, as no export is")
    return content


def _summary(contents: "Contents") -> str:
    stored = contents.stored
    return f"{len(stored.services)} services, {len(contents.history)} decisions, revision {stored.revision}"
