"""The verb of a container's HEALTHCHECK."""

from pathlib import Path

import click

from provider.cli.ending import Exit, fail, say


@click.command()
@click.option(
    "--listen",
    envvar="BLUEGREEN_LISTEN",
    default="127.0.0.1:8900",
    show_default=True,
    metavar="HOST:PORT",
    help="The --listen of the daemon; of every address, loopback is asked.",
)
@click.option("--ready", is_flag=True, help="Ask whether a document is served, and not only whether the daemon lives.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0.1),
    default=3.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for an answer.",
)
@click.option(
    "--tls-cert",
    envvar="BLUEGREEN_TLS_CERT",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The daemon's: where it has one, it is asked over TLS.",
)
@click.option(
    "--tls-client-ca",
    envvar="BLUEGREEN_TLS_CLIENT_CA",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The daemon's: where it has one, that it asks for a certificate is the sign of life.",
)
def healthcheck(listen: str, ready: bool, timeout_s: float, tls_cert: Path | None, tls_client_ca: Path | None) -> None:
    """Tell whether the daemon in this container is alive: 0 if it is, else 1.

    It asks /healthz of the provider listener. A daemon that has no document yet, since nobody has said which colour is
    active, is alive: to start it anew would not help, and Traefik need not wait for it. --ready asks /readyz, which
    says no until a document is served.
    """
    from provider import alive
    from provider.errors import AddressError

    if ready and tls_client_ca is not None:
        raise click.UsageError("--ready needs a certificate where --tls-client-ca is set, and has none to show.")
    try:
        said = alive.look(
            listen,
            "/readyz" if ready else "/healthz",
            has_tls=tls_cert is not None,
            wants_certificates=tls_client_ca is not None,
            timeout_s=timeout_s,
        )
    except AddressError as error:
        fail(Exit.USAGE, f"bluegreen: {error}")
    except alive.NotAlive as error:
        fail(Exit.UNEXPECTED, f"bluegreen: {error}")
    say(said)
