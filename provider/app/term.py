"""What a replica does while it leads: it decides, probes, reads Docker and Traefik, and follows the desired state."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

import structlog

from provider.app.loops import supervise
from provider.app.settings import Settings
from provider.checks.analysis import Analyser
from provider.checks.health import HealthChecker
from provider.checks.smoke import SmokeTester
from provider.controller.controller import Controller
from provider.controller.desired_source import DesiredSource
from provider.controller.inputs import PROBLEMS_SHOWN, Inputs
from provider.controller.labels_desired import LabelsDesired
from provider.controller.lasting import Lasting
from provider.controller.loading import Loader, Surroundings, Validate, validated
from provider.controller.outputs import Listeners, Outputs
from provider.controller.reload import Reload
from provider.controller.stored_desired import StoredDesired
from provider.model.errors import DesiredStateError
from provider.observability.metrics import Metrics
from provider.store import SharedStore, Store, Stored
from provider.traefik.certificate import CertificateFile, DefaultCertificate, StoredCertificate
from provider.traefik.readback import ReadBack

if TYPE_CHECKING:
    from provider.docker.kinds import Discovery

log = structlog.get_logger("bluegreen")


class _Over(Exception):  # noqa: N818
    """Another replica leads."""


class Term:
    """The parts of one term; `store` is open, and `stored` is what it holds.

    `metrics`, `listeners` and `lasting` are the process's, and `more` are further loops of the term. `shared` is the
    same store where several replicas share it: then it has the desired state and the default certificate. `validate` is
    where that may be validated already.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        stored: Stored,
        metrics: Metrics,
        listeners: Listeners,
        lasting: Lasting,
        *,
        shared: SharedStore | None = None,
        more: Mapping[str, Callable[[], Awaitable[None]]] | None = None,
        validate: Validate = validated,
    ) -> None:
        self._settings, self._store, self._stored, self._metrics = settings, store, stored, metrics
        self._tasks = asyncio.TaskGroup()
        self._has_begun, self._more = False, more or {}
        self.controller = Controller(
            store,
            stored,
            metrics,
            self._edges,
            listeners,
            lasting,
            docker_enabled=settings.docker_enabled,
            desired_in_store=shared is not None,
        )
        self._certificate = DefaultCertificate(
            StoredCertificate(shared) if shared is not None else CertificateFile(settings.state_dir),
            on_certificate=self.controller.inputs.certificate_renewed,
            on_fault=self.controller.inputs.certificate_fault,
        )
        self.controller.state.tracked.guard(settings.is_private)
        surroundings = Surroundings(
            settings.listen,
            settings.is_private,
            writes_file=settings.write_file is not None,
            most_members=store.most_members,
        )
        loader = Loader(self.controller, self._certificate, surroundings, validate)
        self._desired = self.controller.desired_source = self._source(loader, shared)

    async def begin(self) -> None:
        """Load the desired state, once. Raises DesiredStateError where there is none that can be accepted."""
        if not self._has_begun:
            self._has_begun = True
            await self._desired.first(self._stored.desired_text, self._stored.applied)

    async def run(self, on_begun: Callable[[], None]) -> bool:
        """Run every loop of the term until the store is lost, or this is cancelled; begin it where that is not done.

        `on_begun` is called once the desired state is loaded: only then can a command be decided. Returns False where
        that cannot be: this version, or its flags, do not go with what the store has.
        """
        can_lead = True
        try:
            async with self._tasks:
                self._start(self._store.loops())
                try:
                    await self.begin()
                except DesiredStateError as error:
                    problems = [str(one) for one in error.problems[:PROBLEMS_SHOWN]]
                    log.error("this replica cannot load the desired state, so another has to lead", problems=problems)  # noqa: TRY400  the file's fault
                    can_lead = False
                    raise _Over from None
                on_begun()
                self._start(self._loops())
                self._tasks.create_task(self._end_with_the_store(), name="end")
        except* _Over:
            log.info("the term is over")
        finally:
            self.controller.step_down()
        return can_lead

    async def close(self) -> None:
        """Leave the store in order and let go of it."""
        await self.controller.close()

    async def _end_with_the_store(self) -> None:
        await self._store.lost.wait()
        raise _Over  # which also ends the checks under way

    def _start(self, loops: Mapping[str, Callable[[], Awaitable[None]]]) -> None:
        for name, loop in loops.items():
            self._tasks.create_task(supervise(name, loop, self.controller.loop_failed), name=name)

    def _loops(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        loops: dict[str, Callable[[], Awaitable[None]]] = {
            "decide": self.controller.decide,
            "publish": self.controller.publisher.run,
            "save": self.controller.save,
            "health": self._checker.run,
            "smoke": self._tester.run,
            "analysis": self._analyser.run,
            "read back": self._reader.run,
            "conditions": self.controller.daemon_conditions.run,
            "certificate": self._certificate.run,
            **self._desired.loops(),
            **self._more,
        }
        if self._containers is not None:
            loops["containers"] = self._containers.run
        return loops

    def _source(self, loader: Loader, shared: SharedStore | None) -> DesiredSource:
        file, inputs = self._settings.desired_state, self.controller.inputs
        if shared is not None:
            return StoredDesired(shared, loader, inputs, seed=file)
        if file is None:
            return LabelsDesired(self._settings.environment or "", loader)
        return Reload(file, loader, inputs)

    def _edges(self, inputs: Inputs) -> Outputs:
        """Build what talks to servers, Docker and Traefik: each reports to the inputs."""
        self._checker = HealthChecker(
            spawn=lambda check, name: self._tasks.create_task(check, name=name),
            on_verdict=inputs.health_verdict,
            on_result=inputs.health_checked,
        )
        self._tester = SmokeTester(
            spawn=lambda tests, name: self._tasks.create_task(tests, name=name), on_smoke=inputs.smoked
        )
        self._reader = ReadBack(on_reading=inputs.traefik_read, on_gone=inputs.traefik_gone)
        self._analyser = Analyser(on_scrape=inputs.scraped, on_answer=inputs.answered_query)
        self._containers = self._follow_docker(inputs) if self._settings.docker_enabled else None
        return Outputs(self._checker, self._tester, self._reader, self._analyser, self._containers)

    def _follow_docker(self, inputs: Inputs) -> "Discovery":
        # Docker's SDK takes a tenth of a start, also of one that does without it.
        from provider.docker import hosts, kinds  # noqa: PLC0415

        for action in kinds.ACTIONS:
            self._metrics.docker_events.labels(action)  # from zero on: a rate knows nothing of what begins with 1
        settings = self._settings
        return hosts.Hosts(
            inputs,
            mode=settings.docker_mode,
            base_url=settings.docker,
            docker_host_address=settings.docker_host_address,
        )
