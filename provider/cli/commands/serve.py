"""`bluegreen serve`: the options of the daemon, and the errors at its start."""

import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from provider.cli.commands.exit_codes import Exit, fail
from provider.cli.commands.help import Verb
from provider.cli.commands.options import (
    KEPT_IN,
    SHARED,
    credentials_option,
    file_option,
    is_typed,
    state_dir_option,
    store_option,
    store_url,
)
from provider.cli.commands.params import host_names, poll_hold, public_url

if TYPE_CHECKING:
    from provider.app import Settings
    from provider.store.kinds import StoreAddress


@click.command(
    cls=Verb,
    examples="""
    # Serve the document on loopback, for a Traefik on this machine
    bluegreen serve --desired-state config/production.yaml --state-dir /var/lib/bluegreen

    # Serve it to a Traefik on another machine, with tokens and TLS
    bluegreen serve --desired-state config/production.yaml --state-dir /var/lib/bluegreen \\
      --listen 0.0.0.0:8900 --provider-token-file provider-token \\
      --admin-listen 0.0.0.0:8901 --tokens-file tokens --tls-cert cert.pem --tls-key key.pem

    # Serve containers by their traefik labels, without a file
    bluegreen serve --environment production --state-dir /var/lib/bluegreen

    # Serve as one of three replicas over etcd; the file seeds the store
    bluegreen serve --desired-state config/production.yaml --state-dir /var/lib/bluegreen \\
      --store "etcd://node-1,node-2,node-3/bluegreen/production?ca=etcd-ca.pem" --store-credentials etcd-user \\
      --admin-listen 0.0.0.0:8901 --tokens-file tokens --advertise http://node-1:8901
    """,
)
@click.option(
    "--desired-state",
    envvar="BLUEGREEN_DESIRED_STATE",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Desired-state file, or a directory of *.yaml, reloaded when it changes; without one, see --environment. With "
    "--store etcd: only the first one, and optional.",
)
@click.option(
    "--environment",
    envvar="BLUEGREEN_ENVIRONMENT",
    metavar="NAME",
    help="Without --desired-state: serve the containers with bluegreen.environment=NAME, as their traefik labels say.",
)
@state_dir_option
@store_option
@credentials_option
@click.option(
    "--replica",
    envvar="BLUEGREEN_REPLICA",
    metavar="NAME",
    help="Name of this one of several replicas over one store; each has its own. [default: the host name]",
)
@click.option(
    "--advertise",
    envvar="BLUEGREEN_ADVERTISE",
    callback=public_url,
    metavar="URL",
    help="Where the other replicas reach the admin API. [default: the address of --admin-listen, or the host name]",
)
@click.option(
    "--new-store",
    is_flag=True,
    envvar="BLUEGREEN_NEW_STORE",
    help="Begin anew on an empty prefix of etcd, though this replica has served a document from it.",
)
@click.option(
    "--listen",
    envvar="BLUEGREEN_LISTEN",
    default="127.0.0.1:8900",
    show_default=True,
    metavar="HOST:PORT",
    help="Address where Traefik polls /traefik and Prometheus scrapes /metrics.",
)
@click.option(
    "--admin-listen",
    envvar="BLUEGREEN_ADMIN_LISTEN",
    default="127.0.0.1:8901",
    show_default=True,
    metavar="HOST:PORT|unix:PATH",
    help="Address of the admin API and the web console.",
)
@click.option(
    "--docker",
    envvar="BLUEGREEN_DOCKER",
    metavar="URL|none",
    help="Docker Engine; none if the file names every server. [default: DOCKER_HOST, else the local socket]",
)
@click.option(
    "--docker-mode",
    envvar="BLUEGREEN_DOCKER_MODE",
    type=click.Choice(["auto", "engine", "swarm"]),
    default="auto",
    show_default=True,
    help="What to follow: the engine's own containers, the services of its Swarm, or what it has. See docs/swarm.md.",
)
@click.option(
    "--docker-host-address",
    envvar="BLUEGREEN_DOCKER_HOST_ADDRESS",
    metavar="ADDRESS",
    help="Address of containers with host networking. [default: host.docker.internal, else 127.0.0.1]",
)
@click.option(
    "--log-format",
    envvar="BLUEGREEN_LOG_FORMAT",
    type=click.Choice(["auto", "text", "json"]),
    default="auto",
    show_default=True,
    help="Log format. auto: text if standard error is a terminal, else JSON.",
)
@file_option(
    "--tokens-file",
    "Tokens for the admin listener, as `bluegreen token` prints them. Required unless it is on loopback.",
)
@file_option("--provider-token-file", "Bearer token, or its hash, that Traefik and Prometheus must send.")
@click.option(
    "--provider-host",
    "provider_hosts",
    envvar="BLUEGREEN_PROVIDER_HOST",
    multiple=True,
    callback=host_names,
    metavar="NAME",
    help="Host name that a provider listener on loopback accepts in requests. Repeatable.",
)
@file_option(
    "--tls-cert", "Certificate chain of both listeners (PEM), reloaded when it changes. A unix socket has no TLS."
)
@file_option("--tls-key", "Private key of --tls-cert (PEM). [default: in the file of --tls-cert]")
@file_option("--tls-client-ca", "Require a client certificate of this CA (PEM) on both listeners: mutual TLS.")
@click.option(
    "--poll-hold",
    "poll_hold_s",
    envvar="BLUEGREEN_POLL_HOLD",
    default="4s",
    show_default=True,
    callback=poll_hold,
    metavar="DURATION",
    help="Hold a poll until the document changes, at most this long. Less than Traefik's pollTimeout; 0 disables it.",
)
@click.option(
    "--notify-url",
    "notify_urls",
    envvar="BLUEGREEN_NOTIFY_URL",
    multiple=True,
    metavar="URL",
    help="Apprise URL for notifications. Repeatable. Better use BLUEGREEN_NOTIFY_URL or --notify-file: every user "
    "of the machine can read a command line.",
)
@file_option("--notify-file", "File of Apprise URLs, one per line.")
@click.option(
    "--public-url",
    envvar="BLUEGREEN_PUBLIC_URL",
    callback=public_url,
    metavar="URL",
    help="URL of the web console, for links in notifications.",
)
@file_option(
    "--write-file", "Also write the document to this .yaml, for Traefik's file provider. See docs/operations.md."
)
def serve(
    desired_state: Path | None,
    environment: str | None,
    state_dir: Path | None,
    store: str | None,
    store_credentials: Path | None,
    replica: str | None,
    advertise: str | None,
    new_store: bool,
    listen: str,
    admin_listen: str,
    docker: str | None,
    docker_mode: str,
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
    from provider import app
    from provider.model import DockerMode
    from provider.observability import logs

    logs.configure(as_json=log_format == "json" or (log_format == "auto" and not sys.stderr.isatty()))
    urls = _notify_urls(notify_urls, notify_file)
    is_shared = (store or "").startswith(SHARED)
    if environment is not None and (desired_state is not None or is_shared):
        raise click.UsageError("--environment is for a daemon without a desired state, which names its own.")
    if desired_state is None and environment is None and not is_shared:
        raise click.UsageError(
            "Missing option '--desired-state', or '--environment' to serve containers by their labels."
        )
    if environment is not None and docker == "none":
        raise click.UsageError("--environment serves containers by their labels, and --docker none finds none.")
    replica = replica or socket.gethostname()
    address, directory = _store(state_dir, store, desired_state, replica)
    settings = app.Settings(
        desired_state=desired_state,
        state_dir=directory,
        store=address,
        store_credentials=store_credentials,
        replica=replica,
        advertise=advertise,
        new_store=new_store,
        listen=listen,
        admin_listen=admin_listen,
        docker_enabled=docker != "none",
        docker=docker,
        docker_host_address=docker_host_address,
        docker_mode=DockerMode(docker_mode),
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
        environment=environment,
    )
    _run(settings)


def _notify_urls(urls: tuple[str, ...], file: Path | None) -> tuple[str, ...]:
    """Return these URLs and those of a file; warn of one on the command line."""
    import structlog

    from provider.observability.sender import NotifyError, read_urls

    if is_typed("notify_urls"):
        structlog.get_logger("bluegreen").warning(
            "every user of this machine can read --notify-url in the process list",
            way_out="--notify-file, or BLUEGREEN_NOTIFY_URL",
        )
    try:
        return (*urls, *(read_urls(file) if file else ()))
    except NotifyError as error:
        fail(Exit.USAGE, f"bluegreen: {error}")


def _store(
    state_dir: Path | None, store: str | None, desired_state: Path | None, replica: str
) -> "tuple[StoreAddress, Path]":
    """Return the address of the store, and the directory that is the daemon's own."""
    from provider.store.sqlite.address import SqliteAddress

    address = _address(store_url(state_dir, store, is_daemon=True), desired_state)
    if isinstance(address, SqliteAddress):
        return address, address.directory
    return address, state_dir or KEPT_IN / address.prefix.strip("/") / replica


def _address(url: str, desired_state: Path | None) -> "StoreAddress":
    """Read the URL of the store; where its prefix is that of several environments, the file says which."""
    import asyncio

    from provider.config.directory import read
    from provider.config.environment import environment_of
    from provider.model.errors import AddressError, DesiredStateError
    from provider.store.kinds import kind_of

    async def environment() -> str | None:
        return environment_of(read(desired_state).text) if desired_state is not None else None

    async def settled() -> "StoreAddress":
        kind = kind_of(url)
        address: StoreAddress = await kind.settle(kind.parse(url), None, environment)
        return address

    try:
        return asyncio.run(settled())
    except DesiredStateError as error:
        fail(Exit.USAGE, str(error))
    except AddressError as error:
        raise click.UsageError(str(error)) from error


def _run(settings: "Settings") -> None:
    """Run the daemon; exit with the code of the error that ends it."""
    import uvloop

    from provider import app
    from provider.api.access import Unprotected
    from provider.controller.fallback_file import WriteFileRefused
    from provider.model.errors import AddressError, BluegreenError, DesiredStateError, DockerUnavailable
    from provider.observability.sender import NotifyError
    from provider.runtime.files import FileRefused

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
