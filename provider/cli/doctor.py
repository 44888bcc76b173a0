"""The verb that looks a set-up over."""

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from provider.cli.ending import Exit, fail, say
from provider.cli.options import Daemon, asks_a_daemon, compose_option, json_option, tags_option

if TYPE_CHECKING:
    from provider.doctor.look.compose import Order

NONE = "none"
path = click.Path(path_type=Path)


def _codes(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    from provider.doctor.findings import Code

    return [code.value for code in Code if code.startswith(incomplete)]


@click.command()
@asks_a_daemon
@click.option(
    "--desired-state",
    envvar="BLUEGREEN_DESIRED_STATE",
    metavar="FILE",
    type=path,
    help="The desired state. [default: the daemon's]",
)
@click.option(
    "--state-dir", envvar="BLUEGREEN_STATE_DIR", metavar="DIR", type=path, help="Its state. [default: the daemon's]"
)
@click.option(
    "--traefik",
    "traefiks",
    multiple=True,
    metavar="URL|none",
    help="API of a Traefik; may be given several times. [default: traefik.api of the desired state]",
)
@click.option(
    "--docker",
    envvar="BLUEGREEN_DOCKER",
    metavar="URL|none",
    help="The Docker Engine. [default: the daemon's, else DOCKER_HOST or the local socket]",
)
@click.option(
    "-f",
    "--file",
    "files",
    multiple=True,
    metavar="FILE",
    type=path,
    help="A compose file, as for deploy; looked at too.",
)
@tags_option
@click.option(
    "--project-prefix",
    "prefix",
    metavar="NAME",
    help="Projects are NAME-blue, NAME-green. [default: the directory of the compose file]",
)
@compose_option
@click.option(
    "--ignore",
    multiple=True,
    metavar="CODE",
    shell_complete=_codes,
    help="A finding to leave out; may be given several times.",
)
@json_option
def doctor(
    daemon: Daemon,
    desired_state: Path | None,
    state_dir: Path | None,
    traefiks: tuple[str, ...],
    docker: str | None,
    files: tuple[Path, ...],
    tags: dict[str, str],
    prefix: str | None,
    compose: str | None,
    ignore: tuple[str, ...],
    as_json: bool,
) -> None:
    """Look the whole set-up over, and say how to mend what is wrong.

    Looks at the daemon, its files, each Traefik, the containers, and compose files before they are started; changes
    nothing. What could not be looked at is said, too. docs/doctor.md has every finding.

    Ends with 0 when nothing is worse than an info, 3 when something is, and 6 when no daemon answers, after all else
    was looked at; --admin none asks none, as before there is one.
    """
    import asyncio

    from provider.doctor import sheet
    from provider.doctor.examination import Options, examine
    from provider.doctor.findings import Code
    from provider.terminal import tables

    unknown = sorted(set(ignore) - set(Code))
    if unknown:
        raise click.BadParameter(f"{unknown[0]!r} is no finding; docs/doctor.md has them all", param_hint="--ignore")
    for url in traefiks:
        if url != NONE and not url.startswith(("http://", "https://")):
            raise click.BadParameter(f"{url!r} is no URL: write http://HOST:PORT, or none", param_hint="--traefik")
    options = Options(
        admin=None if daemon.admin == NONE else daemon.connect(),
        desired_state=desired_state,
        state_dir=state_dir,
        traefiks=tuple(url for url in traefiks if url != NONE) if traefiks else None,
        docker=docker,
        compose=_order(files, tags, prefix, compose),
        ignore=frozenset(map(Code, ignore)),
    )
    report = asyncio.run(examine(options))
    if not report.looked and not report.findings:
        fail(Exit.USAGE, "bluegreen: nothing was looked at: name a daemon (--admin), a file, a Traefik or an engine")
    if as_json:
        say(json.dumps(sheet.as_json(report), indent=2))
    else:
        tables.write(sheet.draw(report))
    if any(one.code is Code.NO_DAEMON for one in report.findings):
        raise SystemExit(Exit.NO_DAEMON)
    if report.has_trouble:
        raise SystemExit(Exit.REFUSED)


def _order(files: tuple[Path, ...], tags: dict[str, str], prefix: str | None, compose: str | None) -> "Order | None":
    import re

    from provider.compose import ComposeError, find_command
    from provider.doctor.look.compose import Order

    if not files:
        return None
    for file in files:
        if not file.is_file():
            fail(Exit.USAGE, f"bluegreen: {file}: there is no such compose file (-f)")
    name = prefix or re.sub(r"[^a-z0-9_-]", "", files[0].absolute().parent.name.lower()).strip("-_") or "project"
    try:
        return Order(tuple(shlex.split(compose)) if compose else find_command(), files, name, tags)
    except ComposeError as error:
        fail(Exit.UNEXPECTED, f"bluegreen: {error}")
