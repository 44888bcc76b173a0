"""Shell completion: the verb that prints the script, and the names of services, which only a daemon knows."""

from typing import TYPE_CHECKING, Any

import click

from provider.cli.commands.exit_codes import Exit, fail
from provider.cli.commands.help import Verb

if TYPE_CHECKING:
    from collections.abc import Callable

ANSWER_S = 0.5
"""How long a key press waits for a daemon that does not answer."""
VARIABLE = "_BLUEGREEN_COMPLETE"
"""The variable by which a shell asks for completions; the name is click's choice."""
SHELLS = ("bash", "zsh", "fish")


@click.command(
    cls=Verb,
    examples="""
    # Enable completion in the current shell
    source <(bluegreen completion bash)

    # Install it for bash, zsh or fish
    bluegreen completion bash > /etc/bash_completion.d/bluegreen
    bluegreen completion zsh > "${fpath[1]}/_bluegreen"
    bluegreen completion fish > ~/.config/fish/completions/bluegreen.fish
    """,
)
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the completion script for a shell.

    It completes commands, options, colours and services. The names of services come from the daemon at --admin
    (BLUEGREEN_ADMIN).
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        fail(Exit.UNEXPECTED, f"bluegreen: no completion for {shell} in this version of click")
    click.echo(kind(click.get_current_context().find_root().command, {}, "bluegreen", VARIABLE).source(), nl=False)


def service_argument(*, required: bool = True) -> "Callable[[Any], Any]":
    """Add the argument SERVICE, which a shell completes."""
    return click.argument("service", required=required, shell_complete=_services)


def _services(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Return the matching names; none if no daemon answers, as a prompt is no place for errors."""
    from provider.cli.client.admin_api import Admin
    from provider.model.errors import BluegreenError

    given = context.params
    identity = {name: given.get(name) for name in ("token", "ca", "cert", "key")}
    try:
        answer = Admin(given["admin"], timeout_s=ANSWER_S, **identity).get("/api/v1/daemon")
    except BluegreenError:
        return []
    names = answer.get("services")
    return [name for name in names if name.startswith(incomplete)] if isinstance(names, list) else []
