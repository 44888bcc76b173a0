"""`bluegreen demo`: releases on a real Traefik under load."""

import click

from provider.cli.commands.exit_codes import Exit, fail
from provider.cli.commands.help import Verb

STORIES = ("release", "gates", "bad-release", "rollback", "group", "canary", "sessions", "replicas")
"""The names in `provider.cli.demo.run`, which is slow to import."""


@click.command(
    cls=Verb,
    examples="""
    # Show a release and a rollback
    bluegreen demo

    # Leave everything running at the end, to try the console and the commands
    bluegreen demo --keep

    # Show a release that goes bad while it is watched
    bluegreen demo --story bad-release
    """,
)
@click.option(
    "--story",
    type=click.Choice(STORIES),
    default="release",
    show_default=True,
    help="The story to play.",
)
@click.option("--keep", is_flag=True, help="Leave everything running at the end, and print the addresses.")
@click.option("--traefik", default=None, metavar="BINARY", help="Traefik binary. [default: the one found]")
def demo(story: str, keep: bool, traefik: str | None) -> None:
    """Play a release on a real Traefik.

    It takes about a minute, under a steady load. Every statement is checked as it is printed. Exits with 0 if all
    of them hold.

    \b
    release      a release and a rollback
    gates        health, smoke test, preview, approval, switch, confirmation
    bad-release  one release fails its smoke test, one goes bad during the watch
    rollback     a rollback, asked for twice, and a retry
    group        two services that switch together
    canary       a release in steps, and a bad one that is taken back at the first step, on evidence
    sessions     a release in steps that moves no session before the last step
    replicas     three replicas on etcd, the leader killed during a release
    """
    import uvloop

    from provider.cli.demo import run
    from provider.model.errors import BluegreenError

    try:
        failed = uvloop.run(run.play(story, keep=keep, traefik=traefik))
    except BluegreenError as error:
        fail(Exit.UNEXPECTED, f"bluegreen: {error}")
    raise SystemExit(Exit.UNEXPECTED if failed else 0)
