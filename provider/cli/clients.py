"""The verbs that ask a running daemon how things stand."""

import json
from datetime import datetime
from typing import TYPE_CHECKING

import click

from provider.cli.completion import service_argument
from provider.cli.ending import Exit, fail, say
from provider.cli.kinds import COLOURS, duration
from provider.cli.kinds import since as since_value
from provider.cli.options import Daemon, asks_a_daemon, json_option

if TYPE_CHECKING:
    from provider.client import Admin


@click.command()
@service_argument(required=False)
@asks_a_daemon
@json_option
@click.option("--watch", is_flag=True, help="Follow it: on a terminal a picture, else a line for each change.")
def status(daemon: Daemon, service: str | None, as_json: bool, watch: bool) -> None:
    """Show how the services stand.

    --watch ends with Ctrl-C, or q; a daemon that is away meanwhile is waited for.
    """
    if as_json:
        if watch:
            raise click.UsageError("--watch is for people: a program reads GET /api/v1/events, or asks again.")
        say(json.dumps(daemon.ask(lambda admin: admin.standing(service)), indent=2))
        return
    if watch:
        from provider.terminal.live import watch as follow

        daemon.ask(lambda admin: follow(admin, service))
        return
    from provider.terminal import tables

    tables.show(daemon.ask(lambda admin: admin.standing(service)))


@click.command()
@service_argument()
@asks_a_daemon
@json_option
def explain(daemon: Daemon, service: str, as_json: bool) -> None:
    """Say in words where a service stands, and what happens next."""
    found = daemon.ask(lambda admin: admin.service(service))
    if as_json:
        say(json.dumps(found, indent=2))
        return
    from provider.terminal import tables

    tables.say(found)


@click.command()
@service_argument(required=False)
@asks_a_daemon
@json_option
@click.option(
    "--since", callback=since_value, metavar="DATE|DURATION", help="From then on, as 2026-01-31T12:00:00Z or 2h."
)
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=100,
    show_default=True,
    metavar="NUMBER",
    help="So many, the newest.",
)
@click.option("--verbose", "-v", is_flag=True, help="Also what each decision rests on.")
def history(
    daemon: Daemon, service: str | None, as_json: bool, since: datetime | None, limit: int, verbose: bool
) -> None:
    """Show what was decided, the newest last.

    With --json the newest stands first, and each with what it rests on.
    """
    from urllib.parse import urlencode

    asked = {"service": service, "since": since.isoformat() if since else None, "limit": limit}
    query = urlencode({name: value for name, value in asked.items() if value is not None}, errors="surrogateescape")

    def look(admin: "Admin") -> dict[str, object]:
        answer = admin.get(f"/api/v1/history?{query}")
        if service is not None and not answer["history"]:
            admin.service(service)  # a service that is gone has a history; a name that never was one is refused
        return answer

    found = daemon.ask(look)
    if as_json:
        say(json.dumps(found["history"], indent=2))
        return
    from provider.terminal.history import show

    show(found, verbose=verbose)


@click.command()
@service_argument()
@asks_a_daemon
@json_option
@click.option("--active", type=COLOURS, metavar="COLOUR", help="Also wait until this colour is active.")
@click.option("--release", metavar="ID|VERSION", help="Also wait until this release is active: its id, or its version.")
@click.option(
    "--until",
    type=click.Choice(["confirmed", "steady"]),
    default="steady",
    show_default=True,
    help="Until every Traefik shows what was switched to, or until no rollout is under way: the watch is over.",
)
@click.option(
    "--timeout", "timeout_s", callback=duration, metavar="DURATION", help="At most so long. [default: no limit]"
)
def wait(
    daemon: Daemon,
    service: str,
    as_json: bool,
    active: str | None,
    release: str | None,
    until: str,
    timeout_s: float | None,
) -> None:
    """Wait until a service is where it is meant to be.

    Without --active and --release that is also where a deployment that has the lease, or a release that is wanted in
    the standby, brings it. A pipeline that has just started one names it: --release.

    Ends with 0 when it is, 4 when a rollout ended otherwise than switched meanwhile, 5 when the time is over. A daemon
    that restarts meanwhile is waited for, 30 s at most.
    """
    from provider import following
    from provider.terminal.progress import Progress
    from provider.terminal.words import standing

    def question(admin: "Admin") -> following.Answer:
        with Progress(quiet=as_json) as progress:
            story = following.Story(admin, service, progress.tell)
            story.limit(timeout_s)
            goal = following.Goal(following.Until(until), active, release)
            return following.wait(story, goal, progress.tell, progress.show)

    try:
        found = daemon.ask(question)
    except following.EndedOtherwise as end:
        fail(Exit.OTHERWISE, f"bluegreen: {end}")
    except following.TimedOut as end:
        fail(Exit.TIMED_OUT, f"bluegreen: {end}")
    say(json.dumps(found, indent=2) if as_json else standing(found))
