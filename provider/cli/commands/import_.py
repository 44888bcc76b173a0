"""`bluegreen import`: a desired state from compose files, or from what runs."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from provider.cli.commands.exit_codes import Exit, fail, say
from provider.cli.commands.help import Verb

if TYPE_CHECKING:
    from provider.cli.importing.found import Found, Left

NONE = "none"
HERE = ""
"""`--docker` without a URL."""


@click.command(
    "import",
    cls=Verb,
    examples="""
    # Print the desired state for a compose file, and keep what was not taken
    bluegreen import compose.yaml >production.yaml 2>left.txt

    # Print that of a project of two files, as with docker compose -f compose.yaml -f compose.override.yaml
    bluegreen import compose.yaml compose.override.yaml --environment staging

    # Print that of all that runs here
    bluegreen import --docker
    """,
)
@click.argument("files", metavar="FILE...", nargs=-1, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--docker",
    is_flag=False,
    flag_value=HERE,
    default=None,
    metavar="[URL]",
    help="Read the containers that run, in place of files. [default: DOCKER_HOST, else the local socket]",
)
@click.option(
    "--environment", metavar="NAME", help="Name of the environment. [default: that of the labels, else production]"
)
@click.option("--labels", "by_labels", is_flag=True, help="Leave the routing in the labels: print routing: labels.")
@click.option(
    "--default-rule",
    metavar="TEMPLATE",
    help="Rule of routers without one, as Traefik's providers.docker.defaultRule. [default: Traefik's own]",
)
@click.option(
    "--compose",
    envvar="BLUEGREEN_COMPOSE",
    metavar="COMMAND|none",
    help="Command of Docker Compose, which reads the files; none to read them without. [default: the one found]",
)
def import_(
    files: tuple[Path, ...],
    docker: str | None,
    environment: str | None,
    by_labels: bool,
    default_rule: str | None,
    compose: str | None,
) -> None:
    """Print the desired state for compose files, or for what runs.

    Takes routers, middlewares, ports and health checks from traefik.* labels. Several files are one project, the later
    ones on top. The routing is printed in the file, so that it no longer needs labels; with --labels it stays in them.
    A service with a label that cannot be taken is left.

    Standard error lists what was left or needs a decision, each with what to do. What is printed is valid. Exits with
    3 if nothing could be taken.
    """
    if bool(files) == (docker is not None):
        raise click.UsageError("Name compose files, or write --docker for what runs.")
    founds, lefts, source = _of_files(files, compose) if files else _of_engine(docker or None)

    from provider.cli.importing.imported import Options, imported

    result = imported(founds, source, Options(environment, default_rule, by_labels))
    for left in dict.fromkeys((*lefts, *result.lefts)):
        say(str(left).replace("\n", " "), err=True)
    if result.text is None:
        fail(Exit.REFUSED, f"{source}: nothing could be taken: no router leads to a service of it")
    click.echo(result.text, nl=False)


def _of_files(files: tuple[Path, ...], compose: str | None) -> "tuple[list[Found], list[Left], str]":
    from provider.cli.client.compose import ComposeError, find_command
    from provider.cli.importing.files import ComposeFiles, UnreadableError

    command: tuple[str, ...] | None
    try:
        command = None if compose == NONE else tuple(shlex.split(compose)) if compose else find_command()
    except ComposeError:
        command = None
    except ValueError as error:
        fail(Exit.USAGE, f"--compose {compose}: {error}")
    read = ComposeFiles(files, command or None)
    try:
        return *read.find(), read.name
    except UnreadableError as error:
        fail(Exit.USAGE, str(error))


def _of_engine(url: str | None) -> "tuple[list[Found], list[Left], str]":
    import asyncio

    from provider.cli.doctor.facts.docker import address
    from provider.cli.importing import running
    from provider.model.errors import DockerUnavailable
    from provider.model.text import without_userinfo

    engine = address(url)
    try:
        return *asyncio.run(running.find(engine)), f"the containers of {without_userinfo(engine)}"
    except DockerUnavailable as error:
        fail(Exit.USAGE, f"Docker {engine}: {error}")
