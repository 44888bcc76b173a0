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
@click.option(
    "--from",
    "leaving",
    metavar="ID",
    help="The release to leave. [default: the active one; during steps the candidate]",
)
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
    happens and the command succeeds: somebody else was faster. During steps it ends the rollout, as abort does: all of
    the traffic goes back to the active colour.

    Waits 10 s at most until every Traefik of traefik.api has applied the switch. Exits with 5 if one has not, although
    it fetched the document, or if none fetched it. The rollback stands in any case.
    """
    check_reason(force=force, reason=reason)

    def body(admin: "Admin") -> dict[str, object]:
        return {"from": leaving or _leaving(admin, service), "force": force, "reason": reason}

    move_traffic(daemon, service, "rollback", body, no_wait, as_json)


def _leaving(admin: "Admin", service: str) -> str | None:
    """Return the active release, during steps the candidate's; of a mixed colour any: to leave one is to leave all."""
    from provider.cli.client.read_back import step_of

    status = admin.service(service)
    under_way = status["rollout"]
    if under_way is not None and step_of(status) is not None:
        return under_way["release"]
    if status["active"] is None:
        return None
    found = status["colours"][status["active"]]
    return found["release"] or next((server["release"] for server in found["servers"]), None)
