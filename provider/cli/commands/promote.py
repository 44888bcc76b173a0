"""`bluegreen promote`: ends the time of a step."""

from typing import TYPE_CHECKING

import click

from provider.cli.commands.completion import service_argument
from provider.cli.commands.help import Verb
from provider.cli.commands.options import DaemonOptions, asks_a_daemon, json_option
from provider.cli.commands.params import STEPS
from provider.cli.commands.sending import check_reason, move_traffic, no_wait_option, reason_option

if TYPE_CHECKING:
    from provider.cli.client.admin_api import Admin


@click.command(
    cls=Verb,
    examples="""
    # End the time of the step that is on: the next one follows once its gates have passed
    bluegreen promote shop --reason "nothing to see for an hour"

    # End the time of all steps
    bluegreen promote shop --full

    # Go on without the requests, tests and approvals that the step still lacks
    bluegreen promote shop --force --reason "nobody is awake to send requests"

    # Only if it is still in step 2 of release 77b0e1d2
    bluegreen promote shop --release 77b0e1d2 --step 2
    """,
)
@service_argument()
@asks_a_daemon
@click.option("--release", metavar="ID", help="The release to promote. [default: the one under way]")
@click.option("--step", type=STEPS, metavar="N", help="The step to end. [default: the one that is on]")
@click.option("--full", is_flag=True, help="End the time of all steps.")
@click.option("--force", is_flag=True, help="Waive gates as well: analysis, smoke tests, approval. Requires --reason.")
@reason_option
@no_wait_option
@json_option
def promote(
    daemon: DaemonOptions,
    service: str,
    release: str | None,
    step: int | None,
    full: bool,
    force: bool,
    reason: str | None,
    no_wait: bool,
    as_json: bool,
) -> None:
    """End the time of a step.

    The next step, or the switch, follows as soon as the gates of this one have passed: neither a failed test nor a
    missing approval is waived without --force. If that step is over, nothing happens and the command succeeds:
    somebody else was faster. If traffic moves at once, waits until every Traefik has applied it, as rollback does.
    """
    check_reason(force=force, reason=reason)

    def body(admin: "Admin") -> dict[str, object]:
        seen = _seen(admin, service, release, step, full=full)
        return {**seen, "full": full, "force": force, "reason": reason}

    move_traffic(daemon, service, "promote", body, no_wait, as_json)


def _seen(admin: "Admin", service: str, release: str | None, step: int | None, *, full: bool) -> dict[str, object]:
    """Return release and step as typed, else as they are now; all steps are not bound to the one that is on."""
    if release is not None and (step is not None or full):
        return {"release": release, "step": step}
    from provider.cli.client.read_back import step_number

    status = admin.service(service)
    under_way = status["rollout"]
    if under_way is None or (release is not None and under_way["release"] != release):
        return {"release": release, "step": step}
    number = step if step is not None or full else step_number(status)
    return {"release": release or under_way["release"], "step": number}
