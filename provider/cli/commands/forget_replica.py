"""`bluegreen forget-replica`: a replica that is gone for good, and the Traefiks that polled it."""

from urllib.parse import quote

import click

from provider.cli.commands.help import Verb
from provider.cli.commands.options import DaemonOptions, asks_a_daemon
from provider.cli.commands.sending import reason_option


@click.command(
    "forget-replica",
    cls=Verb,
    examples="""
    # Host node-3 is gone for good, and the Traefik on it
    bluegreen forget-replica node-3 --reason "disk failed, replaced by node-4"
    """,
)
@click.argument("replica")
@asks_a_daemon
@reason_option
def forget_replica(daemon: DaemonOptions, replica: str, reason: str | None) -> None:
    """Forget a replica that is gone for good.

    Until then the Traefiks that polled it count as not having the document, so no switch is confirmed.
    """
    path = f"/api/v1/replicas/{quote(replica, safe='')}/forget"
    answer = daemon.ask(lambda admin: admin.post(path, {"reason": reason} if reason else {}))
    click.echo(answer["detail"])
