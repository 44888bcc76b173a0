"""Gathers the facts from each source in turn, and runs the checks on them."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from provider import config
from provider.cli.client.admin_api import Admin, CommandRefused, NoDaemon
from provider.cli.client.compose import ComposeError
from provider.cli.doctor.checks import adoption, containers
from provider.cli.doctor.checks import compose as compose_checks
from provider.cli.doctor.checks import daemon as daemon_checks
from provider.cli.doctor.checks import daemon_files as file_checks
from provider.cli.doctor.checks import labelled as labelled_checks
from provider.cli.doctor.checks import replicas as replica_checks
from provider.cli.doctor.checks import steps as step_checks
from provider.cli.doctor.checks import swarm as swarm_checks
from provider.cli.doctor.checks import traefik as traefik_checks
from provider.cli.doctor.facts import compose as compose_facts
from provider.cli.doctor.facts import daemon as daemon_facts
from provider.cli.doctor.facts import daemon_files as file_facts
from provider.cli.doctor.facts import docker as docker_facts
from provider.cli.doctor.facts import etcd as etcd_facts
from provider.cli.doctor.facts import replicas as replica_facts
from provider.cli.doctor.facts import swarm as swarm_facts
from provider.cli.doctor.facts import traefik as traefik_facts
from provider.cli.doctor.facts.applied import adopted_servers
from provider.cli.doctor.findings import Code, Finding, Report, Skipped, report
from provider.config.directory import read
from provider.model import Colour, Desired, DockerMode, Engine, listed
from provider.model import api_types as api
from provider.model.errors import AddressError, DesiredStateError, DockerUnavailable
from provider.runtime.files import FileRefused, file_id
from provider.store.etcd.address import SCHEME, parse_address

NONE = "none"
PROBLEMS_SHOWN = 3
NAMED_MOST = 3


@dataclass(frozen=True, slots=True)
class Options:
    """What to check. None is taken from the daemon; `docker` may be `none`, and `traefiks` empty, to skip them."""

    admin: Admin | None
    desired_state: Path | None = None
    state_dir: Path | None = None
    traefiks: tuple[str, ...] | None = None
    docker: str | None = None
    store: str | None = None
    store_credentials: Path | None = None
    compose: compose_facts.ComposeFiles | None = None
    ignore: frozenset[Code] = frozenset()


async def examine(options: Options) -> Report:
    """Check everything that the options and the daemon name; a source that does not answer is a finding."""
    examination = _Examination(options)
    await examination.run()
    return report(examination.checked, examination.findings, examination.skipped, options.ignore)


@dataclass(slots=True)
class _Examination:
    options: Options
    checked: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    daemon: daemon_checks.DaemonFacts | None = None
    desired: Desired | None = None
    paths: dict[str, Path] = field(default_factory=dict)

    async def run(self) -> None:
        await self._gather_daemon()
        await self._check_replicas()
        await self._check_etcd()
        self._gather_files()
        await self._load_desired_state()
        traefiks, addresses = await self._gather_traefiks()
        docker = await self._gather_docker(addresses)
        swarm = await self._gather_swarm() if docker is not None else None
        await self._check_compose(traefiks)
        self._check(traefiks, docker, swarm)

    @property
    def _about(self) -> api.Daemon | None:
        return self.daemon.about if self.daemon is not None else None

    # --- facts --------------------------------------------------------------------------------------------------------

    async def _gather_daemon(self) -> None:
        if self.options.admin is None:
            self._skip("the daemon", "--admin none")
            return
        self.daemon, findings, skipped = await asyncio.to_thread(daemon_facts.gather, self.options.admin)
        self.findings += findings
        self.skipped += skipped
        if self.daemon is not None:
            status = self.daemon.services
            services = [one["service"] for one in status["services"]]
            names = f"{len(services)} services" if len(services) > NAMED_MOST else ", ".join(services) or "no services"
            self.checked.append(f"daemon {self.daemon.admin} ({status['environment']}: {names})")

    async def _check_replicas(self) -> None:
        """Ask every replica of the daemon at the address that it gives to the others."""
        admin, daemon = self.options.admin, self.daemon
        if admin is None or daemon is None or not (replicas := daemon.services.get("replicas", ())):
            return
        reached = list(await replica_facts.gather(admin, daemon.services))
        if (own := await asyncio.to_thread(replica_facts.own, admin)) is not None:
            reached.append(own)
        self.findings += replica_checks.check(daemon.services, reached)
        self.checked.append(f"replicas {listed(one['replica'] for one in replicas)}")
        if self.options.store is None:
            self._skip("etcd", "name it with --store, as bluegreen serve does, and --store-credentials")

    async def _check_etcd(self) -> None:
        url = self.options.store
        if url is None or not url.startswith(SCHEME):
            return
        try:
            cluster = await etcd_facts.gather(parse_address(url), self.options.store_credentials)
        except (AddressError, FileRefused) as refusal:
            self._skip("etcd", str(refusal))
            return
        self.findings += replica_checks.check_etcd(cluster)
        self.checked += [f"etcd {one.endpoint} ({one.version})" for one in cluster.health]

    def _gather_files(self) -> None:
        """Check the files that the options name, and those of the daemon's that are the same files here."""
        given = {"desired-state": self.options.desired_state, "state-dir": self.options.state_dir}
        self.paths = {role: path for role, path in given.items() if path is not None}
        hidden, gone = [], []
        about = self._about
        for row in about["files"] if about is not None else ():
            role, path = row["role"], Path(row["path"])
            if role in self.paths:
                continue
            if row["place"] is None:
                gone.append(file_checks.File(role, str(path)))
            elif file_id(path) == row["place"]:
                self.paths[role] = path
            else:
                hidden.append(f"{role} {path}")
        if hidden:
            why = "not the daemon's files here, or not visible to you: run doctor where the daemon runs, as its user"
            self._skip(f"files: {', '.join(hidden)}", f"{why} (docker exec DAEMON bluegreen doctor)")
        elif not self.paths and not gone:
            self._skip("files of a daemon", "name them with --desired-state and --state-dir")
        seen = gone + [file_facts.gather(role, path) for role, path in self.paths.items()]
        self.findings += file_checks.check(seen, about["uid"] if about is not None else None)
        self.checked += [f"{one.role} {one.path}" for one in seen if one.mode is not None]
        cert = self.paths.get("tls-cert")
        if cert is not None and (shown := file_facts.certificate(cert)) is not None:
            self.findings += traefik_checks.expiring(f"tls-cert {cert}", shown, file_facts.now())

    async def _load_desired_state(self) -> None:
        path = self.paths.get("desired-state")
        where = f"desired-state {path}"
        try:
            if path is not None:
                whole = await asyncio.to_thread(read, path)
                with whole.placing():
                    self.desired = config.load(whole.text, whole.name)
            elif (text := await asyncio.to_thread(self._text_of_replicas)) is not None:
                where = "desired state of the replicas"
                self.desired, _ = config.load_accepted(text, where)
                self.checked.append(where)
            elif self._about is not None and (text := daemon_facts.text_of_labels(self._about)) is not None:
                self.desired = config.load(text, "labels")
            else:
                self._skip("the desired state", "no file to read here: name it with --desired-state")
        except DesiredStateError as refusal:
            problems = [str(problem) for problem in refusal.problems]
            more = f"; and {len(problems) - PROBLEMS_SHOWN} more" if len(problems) > PROBLEMS_SHOWN else ""
            what = f"it is invalid: {'; '.join(problems[:PROBLEMS_SHOWN])}{more}"
            fix = f"bluegreen validate {path or 'FILE'} lists every problem, with line and column"
            self.findings.append(Finding(Code.DESIRED_STATE_REFUSED, where, what, fix))

    def _text_of_replicas(self) -> str | None:
        """Return the desired state that replicas keep in their store, where the token may see it (rule 62)."""
        if self.options.admin is None or self.daemon is None or not self.daemon.services.get("replicas"):
            return None
        try:
            return self.options.admin.desired()["text"]
        except (NoDaemon, CommandRefused) as refusal:
            self._skip("the desired state of the replicas", str(refusal))
            return None

    async def _gather_traefiks(self) -> tuple[tuple[traefik_checks.TraefikFacts, ...], frozenset[str]]:
        """Gather the facts of each Traefik; return them, and every address that one may have in Docker."""
        urls, about = self.options.traefiks, self._about
        if urls is None and about is not None:
            urls = tuple(about["traefik"])
        if not urls and self.options.traefiks is None and self.desired is not None:
            urls = self.desired.traefik_api
        pollers = frozenset(row["poller"] for row in about["polls"]) if about is not None else frozenset()
        if not urls:
            why = (
                "--traefik none"
                if urls is not None and self.options.traefiks is not None
                else ("neither --traefik nor traefik.api in the desired state is set")
            )
            self._skip("Traefik", why)
            return (), pollers
        seen = await asyncio.gather(*(traefik_facts.gather(url) for url in urls))
        self.findings += [finding for one in seen for finding in one.findings]
        self.skipped += [skipped for one in seen for skipped in one.skipped]
        found = {traefik.api: traefik for one in seen for traefik in one.traefiks}
        self.checked += [f"Traefik {one.api} ({one.version}, {len(one.routers)} routers)" for one in found.values()]
        return tuple(found.values()), pollers.union(*(one.addresses for one in seen))

    async def _gather_docker(self, addresses: frozenset[str]) -> docker_facts.DockerFacts | None:
        host = self._about["hostname"] if self._about is not None and self._about["in_container"] else ""
        if self.options.docker is None and self.desired is not None and self.desired.engines:
            return await self._gather_engines(self.desired.engines, addresses, host)
        url, why = self._engine()
        if why is not None:
            self._skip("Docker", why)
            return None
        try:
            found = await docker_facts.gather(url, traefik_addresses=addresses, daemon_host=host)
        except DockerUnavailable as failure:
            what = f"it does not answer, so no container was checked: {failure}"
            fix = "name the engine with --docker, as a user with access to it, or use --docker none"
            self.findings.append(Finding(Code.DOCKER_UNREACHABLE, f"Docker {docker_facts.address(url)}", what, fix))
            return None
        self.checked.append(
            f"Docker {found.url} ({len(found.containers)} of {len(found.ids)} containers with our labels)"
        )
        self.skipped += found.skipped
        missing = self._containers_of_daemon() - found.ids
        if missing:
            why = f"{found.url} does not have the daemon's containers ({', '.join(sorted(missing)[:3])})"
            self._skip("the daemon's Docker Engine", f"{why}: name its engine with --docker")
        return found

    async def _gather_swarm(self) -> swarm_checks.SwarmFacts | None:
        """Ask the engine for its Swarm; most have none."""
        url, _ = self._engine()
        try:
            found = await swarm_facts.gather(url)
        except DockerUnavailable as failure:
            self._skip("Docker Swarm", str(failure))
            return None
        if isinstance(found, str):
            if self._mode is DockerMode.SWARM:
                self.findings.append(swarm_checks.no_manager(docker_facts.address(url), found))
            return None
        if found.services:
            self.checked.append(f"Swarm {found.url} ({len(found.services)} services with our labels)")
        if found.left_out:
            self._skip(f"Swarm {found.url}", f"{found.left_out} services beyond the first {swarm_facts.CHECKED_MOST}")
        return found

    @property
    def _mode(self) -> DockerMode | None:
        return DockerMode(self._about.get("docker_mode", DockerMode.AUTO)) if self._about is not None else None

    async def _gather_engines(
        self, engines: Iterable[Engine], addresses: frozenset[str], host: str
    ) -> docker_facts.DockerFacts | None:
        """Ask each engine of the desired state, and join what they have (rule 38)."""
        joined: docker_facts.DockerFacts | None = None
        for engine in engines:
            try:
                found = await docker_facts.gather(engine, traefik_addresses=addresses, daemon_host=host)
            except DockerUnavailable as failure:
                what = f"it does not answer, so none of its containers was checked: {failure}"
                fix = "make it answer, or take it out of docker.engines"
                self.findings.append(
                    Finding(Code.DOCKER_UNREACHABLE, f"engine {engine.name} ({engine.url})", what, fix)
                )
                continue
            self.checked.append(f"engine {engine.name} ({len(found.containers)} of {len(found.ids)} with our labels)")
            self.skipped += found.skipped
            joined = found if joined is None else joined.with_more(found)
        return joined

    def _engine(self) -> tuple[str | None, str | None]:
        """Return the engine to ask (None: the default of this machine), or the reason to ask none."""
        if self.options.docker is not None:
            return (None, "--docker none") if self.options.docker == NONE else (self.options.docker, None)
        url = None
        if self._about is not None:
            docker = self._about["docker"]
            if not docker["enabled"]:
                return None, "the daemon was started with --docker none"
            url = docker["url"] if "state-dir" in self.paths else None
        if url is None and not docker_facts.is_here():
            return None, "there is no engine at the default address; name one with --docker"
        return url, None

    def _containers_of_daemon(self) -> frozenset[str]:
        services = self.daemon.services["services"] if self.daemon is not None else ()
        servers = [
            server for service in services for found in service["colours"].values() for server in found["servers"]
        ]
        return frozenset(server["container"] for server in servers if server["container"])

    async def _check_compose(self, traefiks: Iterable[traefik_checks.TraefikFacts]) -> None:
        order = self.options.compose
        if order is None:
            return
        try:
            rendered = await asyncio.to_thread(compose_facts.gather, order)
        except ComposeError as failure:
            fix = "correct what compose reports; set variables of the file with -e NAME=VALUE"
            self.findings.append(Finding(Code.COMPOSE_REFUSED, order.name, str(failure).strip(), fix))
            return
        self.checked.append(order.name)
        if order.is_stack:
            self.findings += swarm_checks.stack(rendered[Colour.BLUE], order.name, self._context(traefiks, None))
            return
        self.findings += compose_checks.findings(rendered, order.prefix, order.name, self._context(traefiks, None))
        started = compose_checks.unique(rendered, order.prefix)
        if any(containers.needs_healthcheck(container, self.desired) is None for container in started):
            self._skip(
                f"HEALTHCHECK of the images in {order.name}", "only a running container shows whether its image has one"
            )

    # --- checks -------------------------------------------------------------------------------------------------------

    def _check(
        self,
        traefiks: tuple[traefik_checks.TraefikFacts, ...],
        docker: docker_facts.DockerFacts | None,
        swarm: swarm_checks.SwarmFacts | None,
    ) -> None:
        daemon = self.daemon
        if daemon is not None:
            own = next((one.name for one in docker.traefiks if one.has_own_network), None) if docker else None
            self.findings += daemon_checks.check(daemon, docker_runs_traefik=own)
        context = self._context(traefiks, docker)
        labelled = labelled_checks.services(containers.read(docker.containers, context)) if docker is not None else ()
        expected = traefik_checks.Expected(
            desired=self.desired,
            labelled=labelled,
            poll_hold_s=self._about["poll_hold_s"] if self._about is not None else None,
            observed_interval_s=daemon.interval_s if daemon is not None else None,
            has_document=daemon is None or daemon.services["revision"] is not None,
            is_polled=daemon is None or bool(daemon.services["pollers"]),
            writes_file=any(
                row["role"] == file_checks.WRITTEN for row in (self._about["files"] if self._about else ())
            ),
        )
        for traefik in traefiks:
            self.findings += traefik_checks.check(traefik, expected, file_facts.now())
            self.findings += adoption.check(f"Traefik {traefik.api}", traefik.objects, self._adopted(docker))
        for service in labelled:
            self.findings += labelled_checks.routers(service, f"service {service.name}")
        if self.desired is not None:
            self.findings += step_checks.check(self.desired, traefiks)
        if docker is not None:
            tasks = {task.container for state in swarm.services for task in state.tasks} if swarm else frozenset()
            alone = [one for one in docker.containers if one.docker.id not in tasks]
            self.findings += containers.check(alone, context)
        if swarm is not None:
            self.findings += swarm_checks.check(swarm, context, self._mode)

    def _adopted(self, docker: docker_facts.DockerFacts | None) -> adoption.Adopted:
        """Return what containers of our services define in a Traefik: known of the engine, else of the daemon."""
        servers = adopted_servers(self.daemon.services["services"]) if self.daemon is not None else {}
        if docker is None:
            return adoption.Adopted(servers, {})
        ours = [one for one in docker.containers if one.service in servers or self.daemon is None]
        return adoption.Adopted.of(servers, ours, docker.other_labels)

    def _context(
        self, traefiks: Iterable[traefik_checks.TraefikFacts], docker: docker_facts.DockerFacts | None
    ) -> containers.Context:
        known = [one.static.providers for one in traefiks if one.static.providers]
        peers = {f"Traefik {one.name}": one.networks for one in docker.traefiks} if docker is not None else {}
        if docker is not None and docker.daemon is not None:
            peers[f"{containers.THE_DAEMON}{docker.daemon.name}"] = docker.daemon.networks
        environment = self.daemon.services["environment"] if self.daemon is not None else None
        return containers.Context(
            desired=self.desired,
            environment=self.desired.environment if self.desired else environment,
            has_docker_provider=any("Docker" in one for one in known) if known else None,
            peers=peers,
        )

    def _skip(self, what: str, because: str) -> None:
        self.skipped.append(Skipped(what, because))
