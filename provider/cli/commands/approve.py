"""`bluegreen approve`: lets a release pass the gate approval."""

import shlex
from typing import TYPE_CHECKING

import click

from provider.cli.commands.completion import service_argument
from provider.cli.commands.exit_codes import Exit, fail
from provider.cli.commands.help import Verb
from provider.cli.commands.options import DaemonOptions, asks_a_daemon, json_option

if TYPE_CHECKING:
    from provider.cli.client.admin_api import Admin
from provider.cli.commands.sending import move_traffic, no_wait_option, reason_option


@click.command(
    cls=Verb,
    examples="""
    # Print which release awaits approval, and the command that approves it
    bluegreen approve shop

    # Approve this release and no other
    bluegreen approve shop --release 77b0e1d2 --reason "tested on the preview"
    """,
)
@service_argument()
@asks_a_daemon
@click.option("--release", metavar="ID", help="The release to approve. Without it, print which one awaits approval.")
@reason_option
@no_wait_option
@json_option
def approve(
    daemon: DaemonOptions, service: str, release: str | None, reason: str | None, no_wait: bool, as_json: bool
) -> None:
    """Approve a release, so that its rollout continues.

    The approval is for this release only: if another one has taken its place, the daemon refuses. If traffic moves at
    once, waits until every Traefik has applied the switch, as rollback does.
    """
    if release is None:
        fail(Exit.USAGE, f"bluegreen: {daemon.ask(lambda admin: _awaiting_approval(admin, service))}")
    move_traffic(daemon, service, "approve", lambda _: {"release": release, "reason": reason}, no_wait, as_json)


def _awaiting_approval(admin: "Admin", service: str) -> str:
    """Return which release of a service awaits approval, and the command that approves it."""
    from provider.model import Gate

    status = admin.service(service)
    under_way = status["rollout"]
    if under_way is None or under_way["gates"][Gate.APPROVAL]["state"] not in {"pending", "running"}:
        return f"{service}: no release waits for approval: {shlex.join(['bluegreen', 'explain', service])}"
    version = status["colours"][under_way["candidate"]]["version"]
    release = f"release {under_way['release']}{f' ({version})' if version else ''} in {under_way['candidate']}"
    phase = (
        "waits for approval" if status["phase"] == "approval" else f"needs approval, and is {status['phase']} so far"
    )
    command = shlex.join(["bluegreen", "approve", service, "--release", under_way["release"] or "ID"])
    return f"{service}: {release} {phase}. Test it, then run: {command}"
