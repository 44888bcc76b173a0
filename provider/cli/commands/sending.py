"""Sends the commands of operators to a running daemon, and prints its answer."""

import json
import shlex
from typing import TYPE_CHECKING

import click

from provider.cli.commands.exit_codes import Exit, fail, say
from provider.cli.commands.options import DaemonOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from provider.cli.client.admin_api import Admin
    from provider.model import api_types as api

FORWARD = frozenset({"approve", "promote", "retry", "switch", "resume"})
OF_STEPS = frozenset({"approve", "promote"})
"""The verbs that may leave a rollout in its step: then it is said what the step waits for."""
"""The verbs that may start a rollout, to be followed with `wait`."""

reason_option = click.option("--reason", metavar="WORDS", help="Reason, recorded in the history.")
no_wait_option = click.option(
    "--no-wait", is_flag=True, help="Return at once, without waiting (10 s at most) until every Traefik has applied it."
)


def check_reason(*, force: bool, reason: str | None) -> None:
    """Raise UsageError for --force without a reason."""
    if force and not (reason and reason.strip()):
        raise click.UsageError("--force requires --reason.")


def send_command(daemon: DaemonOptions, service: str, verb: str, **body: object) -> None:
    """Send a command that moves no traffic, and print the answer."""
    _show(service, verb, _send(daemon, service, verb, lambda _: body))


def move_traffic(
    daemon: DaemonOptions,
    service: str,
    verb: str,
    body: "Callable[[Admin], dict[str, object]]",
    no_wait: bool,
    as_json: bool,
) -> None:
    """Send a command that may move traffic, print the answer, and wait until every Traefik has applied it."""
    from provider.cli.client.read_back import read_back

    done = _send(daemon, service, verb, body)
    if not as_json:
        _show(service, verb, done)
    applied = done.get("applied") if no_wait else read_back(daemon.connect(), service, done)
    if as_json:
        click.echo(json.dumps({**done, "applied": applied}, indent=2))
    if applied is None and verb in OF_STEPS and not no_wait and not as_json:
        _show_step(daemon, service)
    if applied is None or no_wait:
        return
    if applied["refused"]:
        explain = shlex.join(["bluegreen", "explain", service])
        fail(Exit.TIMED_OUT, f"bluegreen: {service}: {applied['detail']}; the decision stands, see: {explain}")
    if not as_json:
        say(f"{service}: {applied['detail']}")


def _send(daemon: DaemonOptions, service: str, verb: str, body: "Callable[[Admin], dict[str, object]]") -> "api.Done":
    def question(admin: "Admin") -> "api.Done":
        sent = {name: value for name, value in body(admin).items() if value is not None}
        return admin.command(service, verb, sent)

    return daemon.ask(question)


def _show_step(daemon: DaemonOptions, service: str) -> None:
    """Say what keeps the rollout in its step, if one is on."""
    from provider.cli.client.read_back import step_number

    status = daemon.ask(lambda admin: admin.service(service))
    if step_number(status) is not None and status["blocking"]:
        say(f"{service}: {status['blocking']}")


def _show(service: str, verb: str, done: "api.Done") -> None:
    text = f"{service}: {'nothing to do: ' if done['already'] else ''}{done['detail']}"
    status = done["status"]
    if verb in FORWARD and status is not None and status["rollout"] is not None:
        text += f"; to follow it: {shlex.join(['bluegreen', 'wait', service])}"
    say(text)
