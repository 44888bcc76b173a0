"""`bluegreen rollback`: goes back to the rollback target."""

from typing import TYPE_CHECKING

import click

from provider.cli.commands.completion import service_argument
from provider.cli.commands.help import Verb
from provider.cli.commands.options import DaemonOptions, asks_a_daemon, json_option

if TYPE_CHECKING:
    from provider.cli.client.admin_api import Admin
from provider.cli.commands.sending import check_reason, move_traffic, no_wait_option, reason_option


@click.command(
    cls=Verb,
    examples="""
    # Go back to the release that was active before
    bluegreen rollback shop --reason "checkout fails"

    # Do so only while release 77b0e1d2 is active
    bluegreen rollback shop --from 77b0e1d2

    # Do so although the release before is unhealthy
    bluegreen rollback shop --force --reason "better slow than down"
    """,
)
@service_argument()
@asks_a_daemon
@click.option("--from", "leaving", metavar="ID", help="The release to leave. [default: the active one]")
@click.option("--force", is_flag=True, help="Roll back even to an unhealthy release. Requires --reason.")
@reason_option
@no_wait_option
@json_option
def rollback(
    daemon: DaemonOptions,
    service: str,
    leaving: str | None,
    force: bool,
    reason: str | None,
    no_wait: bool,
    as_json: bool,
) -> None:
    """Go back to the previous release.

    This is one switch, without gates. The release that is left is quarantined. If it is not active any more, nothing
    happens and the command succeeds: somebody else was faster.

    Waits 10 s at most until every Traefik of traefik.api has applied the switch. Exits with 5 if one has not, although
    it fetched the document, or if none fetched it. The rollback stands in any case.
    """
    check_reason(force=force, reason=reason)

    def body(admin: "Admin") -> dict[str, object]:
        return {"from": leaving or _active_release(admin, service), "force": force, "reason": reason}

    move_traffic(daemon, service, "rollback", body, no_wait, as_json)


def _active_release(admin: "Admin", service: str) -> str | None:
    """Return the active release; of a mixed colour any, as to leave one is to leave them all."""
    status = admin.service(service)
    if status["active"] is None:
        return None
    found = status["colours"][status["active"]]
    return found["release"] or next((server["release"] for server in found["servers"]), None)
