"""Completion in a shell: the verb that prints its script, and the values that only a daemon knows."""

from typing import TYPE_CHECKING, Any

import click

from provider.cli.ending import Exit, fail

if TYPE_CHECKING:
    from collections.abc import Callable

ANSWER_S = 0.5
"""So long somebody who pressed a key waits for a daemon that does not answer."""
VARIABLE = "_BLUEGREEN_COMPLETE"
"""How a shell tells the program that it asks for completions; the name is click's choice."""
SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the script that makes a shell complete verbs, options, colours and services.

    \b
    bash  bluegreen completion bash > /etc/bash_completion.d/bluegreen
    zsh   bluegreen completion zsh > "${fpath[1]}/_bluegreen"
    fish  bluegreen completion fish > ~/.config/fish/completions/bluegreen.fish

    or, for the shell that runs now: eval "$(bluegreen completion bash)". The names of services are asked from the
    daemon that --admin, or BLUEGREEN_ADMIN, names.
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        fail(Exit.UNEXPECTED, f"bluegreen: this click knows no completion for {shell}")
    click.echo(kind(click.get_current_context().find_root().command, {}, "bluegreen", VARIABLE).source(), nl=False)


def service_argument(*, required: bool = True) -> "Callable[[Any], Any]":
    """Give a verb the argument SERVICE, which a shell completes."""
    return click.argument("service", required=required, shell_complete=_services)


def _services(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of services that begin so; none where no daemon answers, as a prompt is no place for errors."""
    from provider.client import Admin
    from provider.errors import BluegreenError

    given = context.params
    identity = {name: given.get(name) for name in ("token", "ca", "cert", "key")}
    try:
        told = Admin(given["admin"], timeout_s=ANSWER_S, **identity).get("/api/v1/daemon")
    except BluegreenError:
        return []
    names = told.get("services")
    return [name for name in names if name.startswith(incomplete)] if isinstance(names, list) else []
