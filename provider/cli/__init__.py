"""The command line: one command a verb. Clients of a running daemon ask its admin API; the others need none.

Exit codes stand in `ending`. Everything slow to import is imported by the verb that needs it.
"""

import click

from provider import __version__
from provider.cli.clients import explain, history, status, wait
from provider.cli.commands import abort, approve, pause, resume, retry, rollback, switch
from provider.cli.completion import completion
from provider.cli.daemon import serve
from provider.cli.deploy import deploy
from provider.cli.doctor import doctor
from provider.cli.ending import MEANING
from provider.cli.healthcheck import healthcheck
from provider.cli.local import demo, render, schema, token, validate

EXIT_CODES = f"Exit codes: {'; '.join(f'{code:d} {meaning}' for code, meaning in MEANING.items())}."


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}, epilog=EXIT_CODES)
@click.version_option(__version__, prog_name="bluegreen")
def main() -> None:
    """Blue-green releases for Docker and Traefik: proven, atomic, reversible."""


for verb in (
    *(serve, status, explain, history, wait, deploy),
    *(approve, abort, rollback, retry, switch, pause, resume),
    *(validate, render, schema, token, completion, doctor, healthcheck, demo),
):
    main.add_command(verb)
