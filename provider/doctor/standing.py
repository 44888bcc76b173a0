"""Checks what a daemon says of itself: how it was started, and what it complains of."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

from provider import __version__
from provider.doctor.findings import Code, Finding
from provider.exposure import is_loopback
from provider.model import Severity

SKEW_S = 2.0
Answer = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Daemon:
    """What a daemon answered: `about` itself (None where it does not tell yet), and how its services stand.

    `late_s` is how far its clock is behind ours, None where that was not looked at.
    """

    admin: str
    about: Answer | None
    services: Answer
    late_s: float | None = None

    def text(self, key: str) -> str:
        """Return a text that it tells of itself, "" where it does not."""
        found = (self.about or {}).get(key)
        return found if isinstance(found, str) else ""

    def number(self, key: str) -> float | None:
        """Return a number that it tells of itself."""
        found = (self.about or {}).get(key)
        return float(found) if isinstance(found, int | float) else None

    def flag(self, key: str) -> bool:
        """Return whether it says so of itself."""
        return (self.about or {}).get(key) is True

    def rows(self, key: str) -> Sequence[Answer]:
        """Return a list that it tells of itself."""
        found = (self.about or {}).get(key)
        return cast("Sequence[Answer]", found) if isinstance(found, list) else ()

    @property
    def interval_s(self) -> float | None:
        """How far apart its slowest poller asks, None where that is not known."""
        gaps = [row["interval_s"] for row in self.rows("polls")]
        return max((float(gap) for gap in gaps if isinstance(gap, int | float)), default=None)


def check(daemon: Daemon, *, docker_runs_traefik: str | None = None) -> Iterator[Finding]:
    """Yield what is wrong with a daemon.

    `docker_runs_traefik` names the container of a Traefik, where that has a network of its own.
    """
    where = f"daemon {daemon.admin}"
    yield from _conditions(daemon)
    yield from _loopback(daemon, docker_runs_traefik)
    if daemon.about is None:
        return
    yield from _listeners(daemon, where)
    if daemon.late_s is not None and abs(daemon.late_s) > SKEW_S:
        direction = "behind" if daemon.late_s > 0 else "ahead of"
        what = f"its clock is {abs(daemon.late_s):.0f} s {direction} this machine's: dates in the history mislead"
        yield Finding(Code.CLOCK_SKEW, where, what, "keep both in time with NTP: timedatectl set-ntp true")
    if daemon.text("version") != __version__:
        what = f"it is version {daemon.text('version')}, this command is {__version__}"
        yield Finding(Code.VERSIONS_DIFFER, where, what, "update the older of the two")
    if not daemon.rows("traefik"):
        what = "the desired state names no traefik.api: what Traefik applied is never read back"
        mend = (
            "write traefik: {api: [http://TRAEFIK:8080]}, and a switch that Traefik refuses is noticed and taken back"
        )
        yield Finding(Code.NO_READ_BACK, where, what, mend)


def _conditions(daemon: Daemon) -> Iterator[Finding]:
    """Name what the daemon complains of itself, a line each; its own words are in the status."""
    told: dict[tuple[str, str], tuple[str, list[str]]] = {}
    for condition in objects(daemon.services, "conditions"):
        told[str(condition["code"]), str(condition["message"])] = str(condition["severity"]), []
    for service in objects(daemon.services, "services"):
        for condition in objects(service, "conditions"):
            key = str(condition["code"]), str(condition["message"])
            if key not in told or told[key][1]:
                told.setdefault(key, (str(condition["severity"]), []))[1].append(str(service["service"]))
    for (code, message), (severity, services) in told.items():
        found = {Severity.CRITICAL: Code.CONDITION_CRITICAL, Severity.WARNING: Code.CONDITION_WARNING}
        if (kind := found.get(Severity(severity))) is None:
            continue
        names = f" {', '.join(services[:3])}{f' and {len(services) - 3} more' if len(services) > 3 else ''}"
        where = f"daemon, {code}{names if services else ''}"
        whole = "; ".join(line.strip() for line in message.splitlines())  # what to do about it stands at its end
        command = f"bluegreen explain {services[0]}" if services else "bluegreen status"
        yield Finding(kind, where, whole, f"{command} says what to do; docs/operations.md has each condition")


def _loopback(daemon: Daemon, docker_runs_traefik: str | None) -> Iterator[Finding]:
    """Find servers on 127.0.0.1 that are another place to who must reach them.

    A server that the daemon finds healthy is proof that it shares that loopback, as with host networking.
    """
    for service in objects(daemon.services, "services"):
        urls = []
        for found in colours(service):
            for server in objects(found, "servers"):
                host = urlsplit(str(server["url"])).hostname or ""
                if server.get("container") is None and is_loopback(host):
                    urls.append((str(server["url"]), server["health"] == "healthy"))
        unreached = [url for url, is_healthy in urls if not is_healthy]
        if daemon.flag("in_container") and unreached:
            what = (
                f"the daemon runs in a container, where {unreached[0]} is that container itself, and finds nobody there"
            )
        elif docker_runs_traefik is not None and urls:
            what = f"Traefik runs in the container {docker_runs_traefik}, where {urls[0][0]} is that container itself"
        else:
            continue
        mend = (
            "write the address that Traefik and the daemon reach, such as http://host.docker.internal:PORT, or run "
            "them with network_mode: host"
        )
        yield Finding(Code.LOOPBACK_SERVERS, f"services.{service['service']}.servers", what, mend)


def _listeners(daemon: Daemon, where: str) -> Iterator[Finding]:
    listen, admin = daemon.text("listen"), daemon.text("admin_listen")
    is_open = bool(listen) and not is_loopback(_host(listen)) and not daemon.flag("guarded")
    is_clear = (
        bool(admin) and not admin.startswith("unix:") and not is_loopback(_host(admin)) and not daemon.flag("tls")
    )
    if daemon.flag("in_container") and (is_open or is_clear):
        both = " and ".join(
            [f"--listen {listen} without a token"] * is_open + [f"--admin-listen {admin} without TLS"] * is_clear
        )
        what = f"{both}: whoever shares a network with its container can read the document, or tokens on their way"
        mend = "publish neither port on the host, and share its networks with Traefik and Prometheus alone"
        yield Finding(Code.OPEN_IN_CONTAINER, where, what, mend)
        return
    if is_open:
        what = f"--listen {listen} shows the document, with the addresses of all servers, to everybody who reaches it"
        mend = "name a --provider-token-file (Traefik sends it in providers.http.headers), or listen on 127.0.0.1"
        yield Finding(Code.PROVIDER_OPEN, where, what, mend)
    if is_clear:
        what = f"--admin-listen {admin} takes tokens unencrypted"
        mend = "name --tls-cert and --tls-key, or listen on 127.0.0.1 or unix:PATH"
        yield Finding(Code.ADMIN_UNENCRYPTED, where, what, mend)


def _host(address: str) -> str:
    return re.sub(r":\d*$", "", address).strip("[]")


def objects(answer: Answer, key: str) -> Iterable[Answer]:
    """Return a list of objects in an answer, empty where there is none."""
    found = answer.get(key)
    return cast("Iterable[Answer]", found) if isinstance(found, list) else ()


def colours(service: Answer) -> Iterable[Answer]:
    """Return what is told of both colours of a service."""
    return cast("Mapping[str, Answer]", service["colours"]).values()
