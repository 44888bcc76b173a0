"""The verbs that command a running daemon."""

import json
import shlex
from typing import TYPE_CHECKING

import click

from provider.cli.completion import service_argument
from provider.cli.ending import Exit, fail, say
from provider.cli.kinds import COLOURS
from provider.cli.options import Daemon, asks_a_daemon, json_option

if TYPE_CHECKING:
    from collections.abc import Callable

    from provider.client import Admin
    from provider.following import Answer

FORWARD = frozenset({"approve", "retry", "switch", "resume"})
"""The verbs after which one waits for something."""

reason_option = click.option("--reason", metavar="WORDS", help="Why; it stands in the history.")
no_wait_option = click.option(
    "--no-wait", is_flag=True, help="Do not wait, for 10 s at most, until every Traefik that is read back shows it."
)


@click.command()
@service_argument()
@asks_a_daemon
@click.option("--release", metavar="ID", help="The release that was looked at. Without it, says which one waits.")
@reason_option
@no_wait_option
@json_option
def approve(
    daemon: Daemon, service: str, release: str | None, reason: str | None, no_wait: bool, as_json: bool
) -> None:
    """Approve a release that waits for it.

    Another one that came in the meantime is not approved with it. Where it takes the traffic at once, this waits until
    every Traefik that is read back shows that, as a rollback does.
    """
    if release is None:
        fail(Exit.USAGE, f"bluegreen: {daemon.ask(lambda admin: _which_waits(admin, service))}")
    _move(daemon, service, "approve", lambda _: {"release": release, "reason": reason}, no_wait, as_json)


@click.command()
@service_argument()
@asks_a_daemon
@reason_option
@no_wait_option
@json_option
def abort(daemon: Daemon, service: str, reason: str | None, no_wait: bool, as_json: bool) -> None:
    """End the rollout under way; after its switch, roll back.

    Then it waits until every Traefik that is read back shows that, as a rollback does.
    """
    _move(daemon, service, "abort", lambda _: {"reason": reason}, no_wait, as_json)


@click.command()
@service_argument()
@asks_a_daemon
@click.option("--from", "leaving", metavar="ID", help="The release to leave. [default: the one that is active now]")
@click.option("--force", is_flag=True, help="Also to a release that is not healthy; wants a --reason.")
@reason_option
@no_wait_option
@json_option
def rollback(
    daemon: Daemon,
    service: str,
    leaving: str | None,
    force: bool,
    reason: str | None,
    no_wait: bool,
    as_json: bool,
) -> None:
    """Go back to the release that was active before.

    That is one switch, without gates. Where the release to leave is not active any more, nothing is done, and that is
    success: somebody else was faster.

    What is decided stands at once. Then it waits until every Traefik of traefik.api shows it, for 10 s at most, and
    ends with 5 where one has fetched it and does not show it, or nobody has fetched it.
    """
    check_reason(force=force, reason=reason)

    def body(admin: "Admin") -> dict[str, object]:
        return {"from": leaving or _active_release(admin, service), "force": force, "reason": reason}

    _move(daemon, service, "rollback", body, no_wait, as_json)


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
@no_wait_option
@json_option
def switch(
    daemon: Daemon,
    service: str,
    colour: str,
    release: str | None,
    force: bool,
    reason: str | None,
    no_wait: bool,
    as_json: bool,
) -> None:
    """Begin a rollout to a colour, through its gates.

    Of the rollback target only its health is asked. Where the traffic moves at once, this waits until every Traefik
    that is read back shows that, as a rollback does.
    """
    check_reason(force=force, reason=reason)
    body: dict[str, object] = {"colour": colour, "release": release, "force": force, "reason": reason}
    _move(daemon, service, "switch", lambda _: body, no_wait, as_json)


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
    _tell(service, verb, _ask(daemon, service, verb, lambda _: body))


def _move(
    daemon: Daemon,
    service: str,
    verb: str,
    body: "Callable[[Admin], dict[str, object]]",
    no_wait: bool,
    as_json: bool,
) -> None:
    """Command what may move traffic, and say which Traefiks show it; what was decided is told before the wait."""
    from provider import following

    done = _ask(daemon, service, verb, body)
    if not as_json:
        _tell(service, verb, done)
    applied: Answer | None = done.get("applied") if no_wait else following.read_back(daemon.connect(), service, done)
    if as_json:
        click.echo(json.dumps({**done, "applied": applied}, indent=2))
    if applied is None or no_wait:
        return
    if applied["refused"]:
        explain = shlex.join(["bluegreen", "explain", service])
        fail(Exit.TIMED_OUT, f"bluegreen: {service}: {applied['detail']}; what was decided stands: {explain}")
    if not as_json:
        say(f"{service}: {applied['detail']}")


def _ask(daemon: Daemon, service: str, verb: str, body: "Callable[[Admin], dict[str, object]]") -> "Answer":
    from provider.client import service_path

    def question(admin: "Admin") -> dict[str, object]:
        written = {name: value for name, value in body(admin).items() if value is not None}
        return admin.post(service_path(service, verb), written)

    return daemon.ask(question)


def _tell(service: str, verb: str, done: "Answer") -> None:
    told = f"{service}: {'nothing to do: ' if done['already'] else ''}{done['detail']}"
    status = done["status"]
    if verb in FORWARD and isinstance(status, dict) and status.get("rollout"):
        told += f"; to follow it: {shlex.join(['bluegreen', 'wait', service])}"
    say(told)


def _which_waits(admin: "Admin", service: str) -> str:
    """Say which release of a service waits for an approval, and how it is given."""
    from typing import Any

    status: Any = admin.service(service)
    under_way = status["rollout"]
    if under_way is None or under_way["gates"]["approval"]["state"] not in {"pending", "running"}:
        return f"{service}: no release waits for an approval: {shlex.join(['bluegreen', 'explain', service])}"
    version = status["colours"][under_way["candidate"]]["version"]
    release = f"release {under_way['release']}{f' ({version})' if version else ''} in {under_way['candidate']}"
    phase = (
        "waits for approval" if status["phase"] == "approval" else f"needs approval, and is {status['phase']} so far"
    )
    command = shlex.join(["bluegreen", "approve", service, "--release", under_way["release"] or "ID"])
    return f"{service}: {release} {phase}. Look at it, then name it: {command}"


def _active_release(admin: "Admin", service: str) -> str | None:
    """Return the release that is active now: of a mixed colour any, for leaving one leaves them all."""
    from typing import Any

    status: Any = admin.service(service)
    if status["active"] is None:
        return None
    found = status["colours"][status["active"]]
    release: str | None = found["release"] or next((server["release"] for server in found["servers"]), None)
    return release
