"""Asks everybody in turn, and gathers what the checks make of it."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from provider import config
from provider.about import place
from provider.client import Admin
from provider.compose import ComposeError
from provider.doctor import composed, copies, files, routing, standing
from provider.doctor.findings import Code, Finding, Report, Unseen, report
from provider.doctor.look import compose as look_compose
from provider.doctor.look import daemon as look_daemon
from provider.doctor.look import docker as look_docker
from provider.doctor.look import files as look_files
from provider.doctor.look import traefik as look_traefik
from provider.errors import DesiredStateError, DockerUnavailable
from provider.model import Desired
from provider.watch import DesiredStateFile

NONE = "none"
PROBLEMS_SHOWN = 3
NAMED_MOST = 3


@dataclass(frozen=True, slots=True)
class Options:
    """What is asked for. What is None is learnt from the daemon; `docker` and `traefiks` may say that none is meant."""

    admin: Admin | None
    desired_state: Path | None = None
    state_dir: Path | None = None
    traefiks: tuple[str, ...] | None = None
    docker: str | None = None
    compose: look_compose.Order | None = None
    ignore: frozenset[Code] = frozenset()


async def examine(options: Options) -> Report:
    """Look at everything that the options and the daemon name; whoever does not answer is a finding."""
    examination = _Examination(options)
    await examination.run()
    return report(examination.looked, examination.findings, examination.unseen, options.ignore)


@dataclass(slots=True)
class _Examination:
    options: Options
    looked: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    unseen: list[Unseen] = field(default_factory=list)
    daemon: standing.Daemon | None = None
    desired: Desired | None = None
    paths: dict[str, Path] = field(default_factory=dict)

    async def run(self) -> None:
        await self._daemon()
        self._files()
        self._desired()
        traefiks, addresses = await self._traefiks()
        docker = await self._docker(addresses)
        await self._compose(traefiks)
        self._check(traefiks, docker)

    # --- what there is ------------------------------------------------------------------------------------------------

    async def _daemon(self) -> None:
        if self.options.admin is None:
            self._not_seen("the daemon", "--admin none")
            return
        self.daemon, findings, unseen = await asyncio.to_thread(look_daemon.look, self.options.admin)
        self.findings += findings
        self.unseen += unseen
        if self.daemon is not None:
            told = self.daemon.services
            services = [str(one["service"]) for one in standing.objects(told, "services")]
            names = f"{len(services)} services" if len(services) > NAMED_MOST else ", ".join(services) or "no services"
            self.looked.append(f"daemon {self.daemon.admin} ({told['environment']}: {names})")

    def _files(self) -> None:
        """Find the files: those of the options, and of the daemon's those that are the same ones here."""
        given = {"desired-state": self.options.desired_state, "state-dir": self.options.state_dir}
        self.paths = {role: path for role, path in given.items() if path is not None}
        hidden, gone = [], []
        for row in self.daemon.rows("files") if self.daemon is not None else ():
            role, path = str(row["role"]), Path(str(row["path"]))
            if role in self.paths:
                continue
            if row["place"] is None:
                gone.append(files.File(role, str(path)))
            elif place(path) == row["place"]:
                self.paths[role] = path
            else:
                hidden.append(f"{role} {path}")
        if hidden:
            why = "the daemon's are others than those here, or not for you to see: run this where it runs, as its user"
            self._not_seen(f"files: {', '.join(hidden)}", f"{why} (docker exec DAEMON bluegreen doctor)")
        elif not self.paths and not gone:
            self._not_seen("files of a daemon", "none is named: --desired-state, --state-dir")
        seen = gone + [look_files.look(role, path) for role, path in self.paths.items()]
        uid = self.daemon.number("uid") if self.daemon is not None else None
        self.findings += files.check(seen, None if uid is None else int(uid))
        self.looked += [f"{one.role} {one.path}" for one in seen if one.mode is not None]
        cert = self.paths.get("tls-cert")
        if cert is not None and (shown := look_files.certificate(cert)) is not None:
            self.findings += routing.expiring(f"tls-cert {cert}", shown, look_files.now())

    def _desired(self) -> None:
        path = self.paths.get("desired-state")
        if path is None:
            self._not_seen("the desired state", "there is no file to read here: name it with --desired-state")
            return
        try:
            self.desired = config.load(DesiredStateFile(path).read(), str(path))
        except DesiredStateError as refusal:
            told = [str(problem) for problem in refusal.problems]
            more = f"; and {len(told) - PROBLEMS_SHOWN} more" if len(told) > PROBLEMS_SHOWN else ""
            what = f"it cannot be accepted: {'; '.join(told[:PROBLEMS_SHOWN])}{more}"
            mend = f"bluegreen validate {path} names everything, with line and column"
            self.findings.append(Finding(Code.DESIRED_STATE_REFUSED, f"desired-state {path}", what, mend))

    async def _traefiks(self) -> tuple[tuple[routing.Traefik, ...], frozenset[str]]:
        """Look at each Traefik; return them, and every address that one may have in Docker."""
        urls = self.options.traefiks
        if urls is None and self.daemon is not None:
            urls = tuple(str(url) for url in self.daemon.rows("traefik"))
        if not urls and self.options.traefiks is None and self.desired is not None:
            urls = self.desired.traefik_api
        pollers = frozenset(str(row["poller"]) for row in self.daemon.rows("polls")) if self.daemon else frozenset()
        if not urls:
            why = (
                "--traefik none"
                if urls is not None and self.options.traefiks is not None
                else ("neither --traefik nor traefik.api in the desired state names one")
            )
            self._not_seen("Traefik", why)
            return (), pollers
        seen = await asyncio.gather(*(look_traefik.look(url) for url in urls))
        self.findings += [finding for one in seen for finding in one.findings]
        self.unseen += [unseen for one in seen for unseen in one.unseen]
        found = {traefik.api: traefik for one in seen for traefik in one.traefiks}
        self.looked += [f"Traefik {one.api} ({one.version}, {len(one.routers)} routers)" for one in found.values()]
        return tuple(found.values()), pollers.union(*(one.addresses for one in seen))

    async def _docker(self, addresses: frozenset[str]) -> look_docker.Docker | None:
        url, why = self._engine()
        if why is not None:
            self._not_seen("Docker", why)
            return None
        host = self.daemon.text("hostname") if self.daemon is not None and self.daemon.flag("in_container") else ""
        try:
            found = await look_docker.look(url, traefik_addresses=addresses, daemon_host=host)
        except DockerUnavailable as failure:
            what = f"it does not answer, so no container was looked at: {failure}"
            mend = "name the engine with --docker, as a user who may ask it; or --docker none where there is none"
            self.findings.append(Finding(Code.DOCKER_UNREACHABLE, f"Docker {look_docker.address(url)}", what, mend))
            return None
        self.looked.append(f"Docker {found.url} ({len(found.copies)} containers of ours among {len(found.ids)})")
        self.unseen += found.unseen
        missing = self._containers_of_daemon() - found.ids
        if missing:
            why = f"{found.url} does not have the containers of the daemon ({', '.join(sorted(missing)[:3])})"
            self._not_seen("the daemon's Docker Engine", f"{why}: name its engine with --docker")
        return found

    def _engine(self) -> tuple[str | None, str | None]:
        """Return which engine to ask, None for this machine's own, or why none is asked."""
        if self.options.docker is not None:
            return (None, "--docker none") if self.options.docker == NONE else (self.options.docker, None)
        about = self.daemon.about if self.daemon is not None else None
        docker = about.get("docker") if about is not None else None
        url = None
        if isinstance(docker, dict):
            if not docker["enabled"]:
                return None, "the daemon was started with --docker none"
            url = str(docker["url"]) if docker["url"] and "state-dir" in self.paths else None
        if url is None and not look_docker.is_here():
            return None, "there is none at its usual place here; name it with --docker"
        return url, None

    def _containers_of_daemon(self) -> frozenset[str]:
        told = standing.objects(self.daemon.services, "services") if self.daemon is not None else ()
        servers = [
            server
            for service in told
            for colour in standing.colours(service)
            for server in standing.objects(colour, "servers")
        ]
        return frozenset(str(server["container"]) for server in servers if server["container"])

    async def _compose(self, traefiks: Iterable[routing.Traefik]) -> None:
        order = self.options.compose
        if order is None:
            return
        try:
            rendered = await asyncio.to_thread(look_compose.look, order)
        except ComposeError as failure:
            mend = "settle compose's complaint; what the file takes from the environment is given with -e NAME=VALUE"
            self.findings.append(Finding(Code.COMPOSE_REFUSED, order.name, str(failure).strip(), mend))
            return
        self.looked.append(order.name)
        self.findings += composed.findings(rendered, order.prefix, order.name, self._around(traefiks, None))
        started = composed.unique(rendered, order.prefix)
        if any(copies.needs_healthcheck(copy, self.desired) is None for copy in started):
            self._not_seen(
                f"HEALTHCHECK of the images in {order.name}", "only a container tells whether its image has one"
            )

    # --- what it means ------------------------------------------------------------------------------------------------

    def _check(self, traefiks: tuple[routing.Traefik, ...], docker: look_docker.Docker | None) -> None:
        daemon = self.daemon
        if daemon is not None:
            own = next((one.name for one in docker.traefiks if one.has_own_network), None) if docker else None
            self.findings += standing.check(daemon, docker_runs_traefik=own)
        expected = routing.Expected(
            desired=self.desired,
            poll_hold_s=daemon.number("poll_hold_s") if daemon is not None else None,
            observed_interval_s=daemon.interval_s if daemon is not None else None,
            has_document=daemon is None or daemon.services["revision"] is not None,
            is_polled=daemon is None or bool(daemon.services["pollers"]),
            writes_file=daemon is not None and any(row["role"] == files.WRITTEN for row in daemon.rows("files")),
        )
        for traefik in traefiks:
            self.findings += routing.check(traefik, expected, look_files.now())
        if docker is not None:
            self.findings += copies.check(docker.copies, self._around(traefiks, docker))

    def _around(self, traefiks: Iterable[routing.Traefik], docker: look_docker.Docker | None) -> copies.Surroundings:
        known = [one.static.providers for one in traefiks if one.static.providers]
        peers = {f"Traefik {one.name}": one.networks for one in docker.traefiks} if docker is not None else {}
        if docker is not None and docker.daemon is not None:
            peers[f"{copies.THE_DAEMON}{docker.daemon.name}"] = docker.daemon.networks
        environment = self.daemon.services["environment"] if self.daemon is not None else None
        return copies.Surroundings(
            desired=self.desired,
            environment=self.desired.environment if self.desired else str(environment) if environment else None,
            has_docker_provider=any("Docker" in one for one in known) if known else None,
            peers=peers,
        )

    def _not_seen(self, what: str, why: str) -> None:
        self.unseen.append(Unseen(what, why))
