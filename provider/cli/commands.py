"""The verbs that command a running daemon."""

import shlex
from typing import TYPE_CHECKING

import click

from provider.cli.completion import service_argument
from provider.cli.ending import say
from provider.cli.kinds import COLOURS
from provider.cli.options import Daemon, asks_a_daemon

if TYPE_CHECKING:
    from collections.abc import Callable

    from provider.client import Admin

FORWARD = frozenset({"approve", "retry", "switch", "resume"})
"""The verbs after which one waits for something."""

reason_option = click.option("--reason", metavar="WORDS", help="Why; it stands in the history.")


@click.command()
@service_argument()
@asks_a_daemon
@click.option("--release", required=True, metavar="ID", help="The release that was looked at, as status shows it.")
@reason_option
def approve(daemon: Daemon, service: str, release: str, reason: str | None) -> None:
    """Approve a release that waits for it.

    Another one that came in the meantime is not approved with it.
    """
    _command(daemon, service, "approve", release=release, reason=reason)


@click.command()
@service_argument()
@asks_a_daemon
@reason_option
def abort(daemon: Daemon, service: str, reason: str | None) -> None:
    """End the rollout under way; after its switch, roll back."""
    _command(daemon, service, "abort", reason=reason)


@click.command()
@service_argument()
@asks_a_daemon
@click.option("--from", "leaving", metavar="ID", help="The release to leave. [default: the one that is active now]")
@click.option("--force", is_flag=True, help="Also to a release that is not healthy; wants a --reason.")
@reason_option
def rollback(daemon: Daemon, service: str, leaving: str | None, force: bool, reason: str | None) -> None:
    """Go back to the release that was active before.

    That is one switch, without gates. Where the release to leave is not active any more, nothing is done, and that is
    success: somebody else was faster.
    """
    check_reason(force=force, reason=reason)

    def body(admin: "Admin") -> dict[str, object]:
        return {"from": leaving or _active_release(admin, service), "force": force, "reason": reason}

    _ask(daemon, service, "rollback", body)


@click.command()
@service_argument()
@asks_a_daemon
@reason_option
def retry(daemon: Daemon, service: str, reason: str | None) -> None:
    """Try the release that failed once more.

    After a rollback this also lets the file decide again.
    """
    _command(daemon, service, "retry", reason=reason)


@click.command()
@service_argument()
@click.argument("colour", type=COLOURS, metavar="blue|green")
@asks_a_daemon
@click.option("--release", metavar="ID", help="Only if the colour runs this release.")
@click.option("--force", is_flag=True, help="Waive the gates; wants a --reason.")
@reason_option
def switch(daemon: Daemon, service: str, colour: str, release: str | None, force: bool, reason: str | None) -> None:
    """Begin a rollout to a colour, through its gates.

    Of the way back only its health is asked.
    """
    check_reason(force=force, reason=reason)
    _command(daemon, service, "switch", colour=colour, release=release, force=force, reason=reason)


@click.command()
@service_argument()
@asks_a_daemon
@reason_option
def pause(daemon: Daemon, service: str, reason: str | None) -> None:
    """Stop forward rollouts of a service and its group.

    The way back stays open.
    """
    _command(daemon, service, "pause", reason=reason)


@click.command()
@service_argument()
@asks_a_daemon
@reason_option
def resume(daemon: Daemon, service: str, reason: str | None) -> None:
    """Let rollouts go on that were paused."""
    _command(daemon, service, "resume", reason=reason)


def check_reason(*, force: bool, reason: str | None) -> None:
    """Say before anything is asked that force wants a reason."""
    if force and not (reason and reason.strip()):
        raise click.UsageError("--force wants a --reason: who forces says why.")


def _command(daemon: Daemon, service: str, verb: str, **body: object) -> None:
    _ask(daemon, service, verb, lambda _: body)


def _ask(daemon: Daemon, service: str, verb: str, body: "Callable[[Admin], dict[str, object]]") -> None:
    from provider.client import service_path

    def question(admin: "Admin") -> dict[str, object]:
        written = {name: value for name, value in body(admin).items() if value is not None}
        return admin.post(service_path(service, verb), written)

    done = daemon.ask(question)
    told = f"{service}: {'nothing to do: ' if done['already'] else ''}{done['detail']}"
    status = done["status"]
    if verb in FORWARD and isinstance(status, dict) and status.get("rollout"):
        told += f"; to follow it: {shlex.join(['bluegreen', 'wait', service])}"
    say(told)


def _active_release(admin: "Admin", service: str) -> str | None:
    """Return the release that is active now: of a mixed colour any, for leaving one leaves them all."""
    from typing import Any

    status: Any = admin.service(service)
    if status["active"] is None:
        return None
    found = status["colours"][status["active"]]
    release: str | None = found["release"] or next((server["release"] for server in found["servers"]), None)
    return release
