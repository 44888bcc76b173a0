"""`bluegreen doctor`: its options and its exit code."""

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from provider.cli.commands.exit_codes import Exit, fail, say
from provider.cli.commands.help import Verb
from provider.cli.commands.options import (
    DaemonOptions,
    asks_a_daemon,
    compose_option,
    credentials_option,
    json_option,
    tags_option,
)

if TYPE_CHECKING:
    from provider.cli.doctor.facts.compose import ComposeFiles

NONE = "none"
path = click.Path(path_type=Path)


def _codes(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    from provider.cli.doctor.findings import Code

    return [code.value for code in Code if code.startswith(incomplete)]


@click.command(
    cls=Verb,
    examples="""
    # Check the whole set-up
    bluegreen doctor

    # Check a compose file before its first deployment, without a daemon
    bluegreen doctor --admin none --desired-state config/production.yaml -f compose.yaml -e TAG=1.4.2

    # Check several replicas, and the etcd that holds their store
    bluegreen doctor --store "etcd://node-1,node-2,node-3/bluegreen/production?ca=etcd-ca.pem" \\
      --store-credentials etcd-user

    # List the critical findings as JSON
    bluegreen doctor --json | jq '.findings[] | select(.severity == "critical")'
    """,
)
@asks_a_daemon
@click.option(
    "--desired-state",
    envvar="BLUEGREEN_DESIRED_STATE",
    metavar="FILE",
    type=path,
    help="Desired-state file. [default: the daemon's]",
)
@click.option(
    "--state-dir",
    envvar="BLUEGREEN_STATE_DIR",
    metavar="DIR",
    type=path,
    help="State directory. [default: the daemon's]",
)
@click.option(
    "--traefik",
    "traefiks",
    multiple=True,
    metavar="URL|none",
    help="API of a Traefik. Repeatable. [default: traefik.api of the desired state]",
)
@click.option(
    "--docker",
    envvar="BLUEGREEN_DOCKER",
    metavar="URL|none",
    help="Docker Engine. [default: the daemon's, else DOCKER_HOST, else the local socket]",
)
@click.option(
    "--store",
    envvar="BLUEGREEN_STORE",
    metavar="URL",
    help="Store of several replicas, etcd://HOST,HOST,HOST/PREFIX?ca=FILE, to check etcd, too.",
)
@credentials_option
@click.option(
    "-f",
    "--file",
    "files",
    multiple=True,
    metavar="FILE",
    type=path,
    help="Compose file to check, as for deploy. Repeatable.",
)
@tags_option
@click.option(
    "--project-prefix",
    "prefix",
    metavar="NAME",
    help="Name the projects NAME-blue and NAME-green. [default: the directory of the compose file]",
)
@compose_option
@click.option("--swarm", is_flag=True, help="The files are a stack file, for docker stack deploy.")
@click.option(
    "--ignore",
    multiple=True,
    metavar="CODE",
    shell_complete=_codes,
    help="Leave out this finding. Repeatable.",
)
@json_option
def doctor(
    daemon: DaemonOptions,
    desired_state: Path | None,
    state_dir: Path | None,
    traefiks: tuple[str, ...],
    docker: str | None,
    store: str | None,
    store_credentials: Path | None,
    files: tuple[Path, ...],
    tags: dict[str, str],
    prefix: str | None,
    compose: str | None,
    swarm: bool,
    ignore: tuple[str, ...],
    as_json: bool,
) -> None:
    """Check the set-up, and show how to fix it.

    Checks the daemon, its files, each Traefik, the containers, and compose files before they are started. Changes
    nothing, and lists what it could not check. Run it where the daemon runs, such as `docker exec DAEMON bluegreen
    doctor`, to check its files, too. docs/doctor.md describes every finding.

    Exits with 0 if there are only infos, 3 if there are warnings or critical findings, and 6 if no daemon answers.
    With --admin none no daemon is asked.
    """
    import asyncio

    from provider.cli.doctor import output
    from provider.cli.doctor.examine import Options, examine
    from provider.cli.doctor.findings import Code
    from provider.cli.terminal import status

    unknown = sorted(set(ignore) - set(Code))
    if unknown:
        raise click.BadParameter(f"{unknown[0]!r} is not a finding; docs/doctor.md lists them", param_hint="--ignore")
    for url in traefiks:
        if url != NONE and not url.startswith(("http://", "https://")):
            raise click.BadParameter(f"{url!r} is not a URL: write http://HOST:PORT, or none", param_hint="--traefik")
    options = Options(
        admin=None if daemon.admin == NONE else daemon.connect(),
        desired_state=desired_state,
        state_dir=state_dir,
        traefiks=tuple(url for url in traefiks if url != NONE) if traefiks else None,
        docker=docker,
        store=store,
        store_credentials=store_credentials,
        compose=_compose_files(files, tags, prefix, compose, is_stack=swarm),
        ignore=frozenset(map(Code, ignore)),
    )
    report = asyncio.run(examine(options))
    if not report.checked and not report.findings:
        fail(Exit.USAGE, "bluegreen: nothing to check: name a daemon (--admin), a file, a Traefik or a Docker Engine")
    if as_json:
        say(json.dumps(output.as_json(report), indent=2))
    else:
        status.write(output.draw(report))
    if any(one.code is Code.NO_DAEMON for one in report.findings):
        raise SystemExit(Exit.NO_DAEMON)
    if report.has_trouble:
        raise SystemExit(Exit.REFUSED)


def _compose_files(
    files: tuple[Path, ...], tags: dict[str, str], prefix: str | None, compose: str | None, *, is_stack: bool
) -> "ComposeFiles | None":
    import re

    from provider.cli.client.compose import ComposeError, find_command
    from provider.cli.doctor.facts.compose import ComposeFiles

    if not files:
        return None
    for file in files:
        if not file.is_file():
            fail(Exit.USAGE, f"bluegreen: compose file {file} does not exist (-f)")
    name = prefix or re.sub(r"[^a-z0-9_-]", "", files[0].absolute().parent.name.lower()).strip("-_") or "project"
    try:
        return ComposeFiles(tuple(shlex.split(compose)) if compose else find_command(), files, name, tags, is_stack)
    except ComposeError as error:
        fail(Exit.UNEXPECTED, f"bluegreen: {error}")
