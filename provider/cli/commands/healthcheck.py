"""`bluegreen healthcheck`, for the HEALTHCHECK of a container."""

from pathlib import Path

import click

from provider.cli.commands.exit_codes import Exit, fail, say
from provider.cli.commands.help import Verb
from provider.cli.commands.options import file_option


@click.command(
    cls=Verb,
    examples="""
    # Check the daemon in this container, which listens where BLUEGREEN_LISTEN says
    bluegreen healthcheck

    # Check that it serves a document
    bluegreen healthcheck --ready --listen 127.0.0.1:8900
    """,
)
@click.option(
    "--listen",
    envvar="BLUEGREEN_LISTEN",
    default="127.0.0.1:8900",
    show_default=True,
    metavar="HOST:PORT",
    help="The --listen of the daemon. For an unspecified address (0.0.0.0), loopback is asked.",
)
@click.option("--ready", is_flag=True, help="Check that a document is served, not only that the daemon is alive.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0.1),
    default=3.0,
    show_default=True,
    metavar="SECONDS",
    help="Give up after this long.",
)
@file_option("--tls-cert", "The --tls-cert of the daemon. If set, it is asked over TLS.")
@file_option("--tls-client-ca", "The --tls-client-ca of the daemon. If set, a TLS handshake counts as alive.")
def healthcheck(listen: str, ready: bool, timeout_s: float, tls_cert: Path | None, tls_client_ca: Path | None) -> None:
    """Check that the daemon is alive.

    For the HEALTHCHECK of its container. Exits with 0 if it is alive, else with 1. Requests /healthz of the provider
    listener, with --ready /readyz. A daemon without a document is alive but not ready: it waits for somebody to choose
    the active colour, and a restart would not help.
    """
    from provider.cli.client import healthcheck as client
    from provider.model.errors import AddressError

    if ready and tls_client_ca is not None:
        raise click.UsageError("--ready does not work with --tls-client-ca: healthcheck has no client certificate.")
    try:
        answer = client.check(
            listen,
            "/readyz" if ready else "/healthz",
            has_tls=tls_cert is not None,
            requires_certificates=tls_client_ca is not None,
            timeout_s=timeout_s,
        )
    except AddressError as error:
        fail(Exit.USAGE, f"bluegreen: {error}")
    except client.NotAlive as error:
        fail(Exit.UNEXPECTED, f"bluegreen: {error}")
    say(answer)
