"""Checks what a daemon shows of itself: its settings and its conditions."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from provider import __version__
from provider.cli.doctor.findings import Code, Finding
from provider.model import Severity
from provider.model import api_types as api
from provider.model.addresses import is_loopback
from provider.model.condition_catalogue import ConditionCode

SKEW_S = 2.0
SWITCH = "bluegreen switch"
"""What gets a service an active colour where both run; where none does there is nothing to choose."""
CONDITION_CODES: Mapping[str, Code] = {
    Severity.CRITICAL: Code.CONDITION_CRITICAL,
    Severity.WARNING: Code.CONDITION_WARNING,
}
"""The findings for conditions; nothing else of them is one."""


@dataclass(frozen=True, slots=True)
class DaemonFacts:
    """The answers of a daemon: `about` itself (None if it shows none), and the status of its services.

    `late_s` is how far its clock is behind ours, None if not known.
    """

    admin: str
    about: api.Daemon | None
    services: api.Overview
    late_s: float | None = None

    @property
    def interval_s(self) -> float | None:
        """The poll interval of its slowest poller, None if not known."""
        polls = self.about["polls"] if self.about is not None else ()
        return max((one["interval_s"] for one in polls if one["interval_s"] is not None), default=None)


def check(daemon: DaemonFacts, *, docker_runs_traefik: str | None = None) -> Iterator[Finding]:
    """Yield what is wrong with a daemon.

    `docker_runs_traefik` names the container of a Traefik that has a network of its own.
    """
    where = f"daemon {daemon.admin}"
    yield from _conditions(daemon)
    yield from _loopback(daemon, docker_runs_traefik)
    about = daemon.about
    if about is None:
        return
    yield from _listeners(about, where)
    if daemon.late_s is not None and abs(daemon.late_s) > SKEW_S:
        direction = "behind" if daemon.late_s > 0 else "ahead of"
        what = f"its clock is {abs(daemon.late_s):.0f} s {direction} this machine's, so dates in the history are off"
        yield Finding(Code.CLOCK_SKEW, where, what, "synchronise both with NTP: timedatectl set-ntp true")
    if about["version"] != __version__:
        what = f"it is version {about['version']}, this command is {__version__}"
        yield Finding(Code.VERSIONS_DIFFER, where, what, "update the older of the two")
    if not about["traefik"]:
        what = "the desired state has no traefik.api, so the daemon cannot confirm that Traefik applied a switch"
        write = "write traefik: {api: [http://TRAEFIK:8080]}"
        if about.get("discovers") and not any(row["role"] == "desired-state" for row in about.get("files", ())):
            write = f"serve a file (--desired-state) with services: auto, and {write} in it"
        fix = f"{write}: a switch that Traefik refuses is then rolled back"
        yield Finding(Code.NO_READ_BACK, where, what, fix)


def _conditions(daemon: DaemonFacts) -> Iterator[Finding]:
    """Report each condition of the daemon once, with the services that have it."""
    found: dict[tuple[str, str], tuple[Severity, list[str]]] = {}
    for condition in daemon.services["conditions"]:
        found[condition["code"], condition["message"]] = condition["severity"], []
    for service in daemon.services["services"]:
        for condition in service["conditions"]:
            key = condition["code"], condition["message"]
            if key not in found or found[key][1]:
                found.setdefault(key, (condition["severity"], []))[1].append(service["service"])
    for (code, message), (severity, services) in found.items():
        if (kind := CONDITION_CODES.get(severity)) is None:
            continue
        if code == ConditionCode.UNDECIDED and SWITCH in message:
            kind = Code.SERVICE_UNDECIDED
        names = f" {', '.join(services[:3])}{f' and {len(services) - 3} more' if len(services) > 3 else ''}"
        where = f"daemon, {code}{names if services else ''}"
        whole = one_sentence(message)
        command = f"bluegreen explain {services[0]}" if services else "bluegreen status"
        yield Finding(kind, where, whole, f"{command} shows what to do; docs/operations.md describes each condition")


def one_sentence(message: str) -> str:
    """Return the message of a condition, whose last line says what to do, as one line."""
    return "; ".join(line.strip() for line in message.splitlines())


def _loopback(daemon: DaemonFacts, docker_runs_traefik: str | None) -> Iterator[Finding]:
    """Find servers on 127.0.0.1 that are elsewhere for Traefik or the daemon, which must reach them.

    A server that the daemon finds healthy proves that both share that loopback, as with host networking.
    """
    is_in_container = daemon.about is not None and daemon.about["in_container"]
    for service in daemon.services["services"]:
        urls = [
            (server["url"], server["health"] == "healthy")
            for found in service["colours"].values()
            for server in found["servers"]
            if server["container"] is None and is_loopback(urlsplit(server["url"]).hostname or "")
        ]
        unreached = [url for url, is_healthy in urls if not is_healthy]
        if is_in_container and unreached:
            what = f"the daemon runs in a container, where {unreached[0]} is the container itself"
        elif docker_runs_traefik is not None and urls:
            what = f"Traefik runs in the container {docker_runs_traefik}, where {urls[0][0]} is that container itself"
        else:
            continue
        fix = (
            "write the address that Traefik and the daemon reach, such as http://host.docker.internal:PORT, or run "
            "them with network_mode: host"
        )
        yield Finding(Code.LOOPBACK_SERVERS, f"services.{service['service']}.servers", what, fix)


def _listeners(about: api.Daemon, where: str) -> Iterator[Finding]:
    listen, admin = about["listen"], about["admin_listen"]
    is_open = bool(listen) and not is_loopback(_host(listen)) and not about["guarded"]
    is_clear = bool(admin) and not admin.startswith("unix:") and not is_loopback(_host(admin)) and not about["tls"]
    if about["in_container"] and (is_open or is_clear):
        both = " and ".join(
            [f"--listen {listen} without a token"] * is_open + [f"--admin-listen {admin} without TLS"] * is_clear
        )
        what = f"{both}: every container on a network with it can read the document, or tokens in transit"
        fix = "publish neither port on the host, and share its networks only with Traefik and Prometheus"
        yield Finding(Code.OPEN_IN_CONTAINER, where, what, fix)
        return
    if is_open:
        what = (
            f"--listen {listen} serves the document, with the addresses of all servers, to everybody who can reach it"
        )
        fix = "set --provider-token-file (Traefik sends it in providers.http.headers), or listen on 127.0.0.1"
        yield Finding(Code.PROVIDER_OPEN, where, what, fix)
    if is_clear:
        what = f"--admin-listen {admin} takes tokens unencrypted"
        fix = "set --tls-cert and --tls-key, or listen on 127.0.0.1 or unix:PATH"
        yield Finding(Code.ADMIN_UNENCRYPTED, where, what, fix)


def _host(address: str) -> str:
    return re.sub(r":\d*$", "", address).strip("[]")
