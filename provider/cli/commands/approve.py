"""`bluegreen approve`: lets a release pass the gate approval."""

import shlex
from typing import TYPE_CHECKING

import click

from provider.cli.commands.completion import service_argument
from provider.cli.commands.exit_codes import Exit, fail
from provider.cli.commands.help import Verb
from provider.cli.commands.options import DaemonOptions, asks_a_daemon, json_option
from provider.cli.commands.params import STEPS

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

    # Approve what follows its step 2, and no other step
    bluegreen approve shop --release 77b0e1d2 --step 2
    """,
)
@service_argument()
@asks_a_daemon
@click.option("--release", metavar="ID", help="The release to approve. Without it, print which one awaits approval.")
@click.option("--step", type=STEPS, metavar="N", help="The step to approve. [default: the one that is on]")
@reason_option
@no_wait_option
@json_option
def approve(
    daemon: DaemonOptions,
    service: str,
    release: str | None,
    step: int | None,
    reason: str | None,
    no_wait: bool,
    as_json: bool,
) -> None:
    """Approve a release, so that its rollout continues.

    The approval is for this release only: if another one has taken its place, the daemon refuses. During steps it is
    for the step that is on: a step that is over needs none. If traffic moves at once, waits until every Traefik has
    applied it, as rollback does.
    """
    if release is None:
        fail(Exit.USAGE, f"bluegreen: {daemon.ask(lambda admin: _awaiting_approval(admin, service))}")

    def body(admin: "Admin") -> dict[str, object]:
        number = step if step is not None else _step_of(admin, service, release)
        return {"release": release, "step": number, "reason": reason}

    move_traffic(daemon, service, "approve", body, no_wait, as_json)


def _step_of(admin: "Admin", service: str, release: str | None) -> int | None:
    """Return the step that a release is in, if it asks for an approval; None otherwise."""
    from provider.cli.client.read_back import step_of

    status = admin.service(service)
    under_way, step = status["rollout"], step_of(status)
    if under_way is None or step is None or step["approval"] is None or under_way["release"] != release:
        return None
    return step["number"]


def _awaiting_approval(admin: "Admin", service: str) -> str:
    """Return which release of a service awaits approval, and the command that approves it."""
    from provider.cli.client.read_back import step_of
    from provider.model import Gate

    status = admin.service(service)
    under_way = status["rollout"]
    if under_way is None or under_way["gates"][Gate.APPROVAL]["state"] not in {"pending", "running"}:
        return f"{service}: no release waits for approval: {shlex.join(['bluegreen', 'explain', service])}"
    version = status["colours"][under_way["candidate"]]["version"]
    release = f"release {under_way['release']}{f' ({version})' if version else ''} in {under_way['candidate']}"
    step = step_of(status)
    is_of_step = step is not None and step["approval"] is not None
    of_step = () if step is None or not is_of_step else ("--step", str(step["number"]))
    command = shlex.join(["bluegreen", "approve", service, "--release", under_way["release"] or "ID", *of_step])
    if step is not None and is_of_step:
        place = f"is in step {step['number']} of {step['of']} ({step['weight']} %), and what follows needs approval"
        return f"{service}: {release} {place}. Look at it, then run: {command}"
    phase = (
        "waits for approval" if status["phase"] == "approval" else f"needs approval, and is {status['phase']} so far"
    )
    return f"{service}: {release} {phase}. Test it, then run: {command}"
