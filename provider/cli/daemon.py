"""The verb that is the daemon."""

import sys
from pathlib import Path

import click

from provider.cli.ending import Exit, fail
from provider.cli.kinds import host_names, poll_hold, public_url


@click.command()
@click.option(
    "--desired-state",
    envvar="BLUEGREEN_DESIRED_STATE",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The file that says what is wanted; it is followed while the daemon runs.",
)
@click.option(
    "--state-dir",
    envvar="BLUEGREEN_STATE_DIR",
    required=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Where decisions are kept, on a local disk.",
)
@click.option(
    "--listen",
    envvar="BLUEGREEN_LISTEN",
    default="127.0.0.1:8900",
    show_default=True,
    metavar="HOST:PORT",
    help="Where Traefik polls /traefik and Prometheus scrapes /metrics.",
)
@click.option(
    "--admin-listen",
    envvar="BLUEGREEN_ADMIN_LISTEN",
    default="127.0.0.1:8901",
    show_default=True,
    metavar="HOST:PORT|unix:PATH",
    help="Where the commands reach the daemon.",
)
@click.option(
    "--docker",
    envvar="BLUEGREEN_DOCKER",
    metavar="URL|none",
    help="The Docker Engine, by default DOCKER_HOST or the local socket; none for fixed servers only.",
)
@click.option(
    "--docker-host-address",
    envvar="BLUEGREEN_DOCKER_HOST_ADDRESS",
    metavar="ADDRESS",
    help="Where Traefik reaches containers with host networking. [default: host.docker.internal, else 127.0.0.1]",
)
@click.option(
    "--log-format",
    envvar="BLUEGREEN_LOG_FORMAT",
    type=click.Choice(["auto", "text", "json"]),
    default="auto",
    show_default=True,
    help="Text for people, JSON for machines; auto looks whether stderr is a terminal.",
)
@click.option(
    "--tokens-file",
    envvar="BLUEGREEN_TOKENS_FILE",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Who may ask the admin listener, a line each as `bluegreen token` prints it; not on loopback it is a must.",
)
@click.option(
    "--provider-token-file",
    envvar="BLUEGREEN_PROVIDER_TOKEN_FILE",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The bearer token, or its hash, that Traefik and Prometheus have to send.",
)
@click.option(
    "--provider-host",
    "provider_hosts",
    envvar="BLUEGREEN_PROVIDER_HOST",
    multiple=True,
    callback=host_names,
    metavar="NAME",
    help="A DNS name by which the provider listener on loopback may be asked; may be given several times.",
)
@click.option(
    "--tls-cert",
    envvar="BLUEGREEN_TLS_CERT",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Certificate chain of both listeners (PEM), read anew when it changes; a unix socket has no TLS.",
)
@click.option(
    "--tls-key",
    envvar="BLUEGREEN_TLS_KEY",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Its private key (PEM). [default: in the file of --tls-cert]",
)
@click.option(
    "--tls-client-ca",
    envvar="BLUEGREEN_TLS_CLIENT_CA",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Let in only clients with a certificate of this CA (PEM): mutual TLS, on both listeners.",
)
@click.option(
    "--poll-hold",
    "poll_hold_s",
    envvar="BLUEGREEN_POLL_HOLD",
    default="4s",
    show_default=True,
    callback=poll_hold,
    metavar="DURATION",
    help="Hold a poll until the document changes, so long at most: less than Traefik's pollTimeout. 0 answers at once.",
)
@click.option(
    "--notify-url",
    "notify_urls",
    envvar="BLUEGREEN_NOTIFY_URL",
    multiple=True,
    metavar="URL",
    help="Where to send notifications, as an Apprise URL; may be given several times. Every user of the "
    "machine reads a command line, so better in BLUEGREEN_NOTIFY_URL or --notify-file.",
)
@click.option(
    "--notify-file",
    envvar="BLUEGREEN_NOTIFY_FILE",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="A file with such URLs, one a line: they carry secrets.",
)
@click.option(
    "--public-url",
    envvar="BLUEGREEN_PUBLIC_URL",
    callback=public_url,
    metavar="URL",
    help="Where people reach the console, for links in notifications.",
)
@click.option(
    "--write-file",
    envvar="BLUEGREEN_WRITE_FILE",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Keep the document in this .yaml, too, for Traefik's file provider: see docs/operations.md.",
)
def serve(
    desired_state: Path,
    state_dir: Path,
    listen: str,
    admin_listen: str,
    docker: str | None,
    docker_host_address: str | None,
    log_format: str,
    tokens_file: Path | None,
    provider_token_file: Path | None,
    provider_hosts: tuple[str, ...],
    tls_cert: Path | None,
    tls_key: Path | None,
    tls_client_ca: Path | None,
    poll_hold_s: float,
    notify_urls: tuple[str, ...],
    notify_file: Path | None,
    write_file: Path | None,
    public_url: str | None,
) -> None:
    """Run the daemon until SIGTERM."""
    import structlog
    import uvloop

    from provider import app, logs
    from provider.access import Unprotected
    from provider.errors import AddressError, BluegreenError, DesiredStateError, DockerUnavailable
    from provider.files import FileRefused
    from provider.notify import NotifyError, read_urls
    from provider.writefile import WriteFileRefused

    logs.configure(as_json=log_format == "json" or (log_format == "auto" and not sys.stderr.isatty()))
    if _is_on_the_command_line("notify_urls"):
        structlog.get_logger("bluegreen").warning(
            "every user of this machine can read --notify-url in the list of processes",
            way_out="--notify-file, or BLUEGREEN_NOTIFY_URL",
        )
    try:
        urls = (*notify_urls, *(read_urls(notify_file) if notify_file else ()))
    except NotifyError as error:
        fail(Exit.USAGE, f"bluegreen: {error}")
    settings = app.Settings(
        desired_state=desired_state,
        state_dir=state_dir,
        listen=listen,
        admin_listen=admin_listen,
        docker_enabled=docker != "none",
        docker=docker,
        docker_host_address=docker_host_address,
        tokens_file=tokens_file,
        provider_token_file=provider_token_file,
        tls_cert=tls_cert,
        tls_key=tls_key,
        tls_client_ca=tls_client_ca,
        notify_urls=urls,
        poll_hold_s=poll_hold_s,
        write_file=write_file,
        public_url=public_url,
        provider_hosts=provider_hosts,
    )
    try:
        uvloop.run(app.serve(settings))
    except DesiredStateError as error:
        fail(Exit.USAGE, str(error))
    except (
        AddressError,
        DockerUnavailable,
        FileRefused,
        NotifyError,
        Unprotected,
        WriteFileRefused,
    ) as error:  # an engine that is only away ends nothing
        fail(Exit.USAGE, f"bluegreen: {error}")
    except BluegreenError as error:
        fail(Exit.UNEXPECTED, f"bluegreen: {error}")


def _is_on_the_command_line(parameter: str) -> bool:
    return click.get_current_context().get_parameter_source(parameter) is click.core.ParameterSource.COMMANDLINE
