"""The composition root: builds the parts, owns the one TaskGroup and the signals."""

import asyncio
import gc
import signal
import sys
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

import structlog
from aiohttp import web

from provider import __version__, notices, report, supervisor, writefile
from provider.about import About
from provider.access import Unprotected
from provider.addresses import split_address
from provider.admin import admin_app
from provider.certificate import DefaultCertificate
from provider.clock import CLOCK, clock
from provider.connections import admin_connections, provider_connections, raise_file_limit
from provider.controller import Controller
from provider.feed import Feed
from provider.files import FileRefused, FollowedFiles
from provider.health import HealthChecker
from provider.listening import UNIX, is_local, listen
from provider.metrics import Metrics
from provider.model import Condition, ConditionCode, Decision, Severity
from provider.notify import Notifier, Result
from provider.readback import ReadBack
from provider.reload import Reload, Surroundings
from provider.render import Document
from provider.server import provider_app
from provider.smoke import SmokeTester
from provider.store import Store, Stored
from provider.tls import RenewedContext, TlsFiles, read_context
from provider.tokens import read_provider_tokens, read_tokens
from provider.writefile import WriteFile

if TYPE_CHECKING:
    import ssl

    from provider.containers import Containers

log = structlog.get_logger("bluegreen")

T = TypeVar("T")

DRAIN_S = 1.0
LAG_EVERY_S = 0.02
LAG_WINDOW_S = 15.0
"""The worst of the last one or two of these is told: as long as Prometheus usually takes from scrape to scrape."""
RESTART_S = 1.0


@dataclass(frozen=True, slots=True)
class Settings:
    """The flags of `bluegreen serve`. `docker` None asks the environment, as Docker's own client does."""

    desired_state: Path
    state_dir: Path
    listen: str = "127.0.0.1:8900"
    admin_listen: str = "127.0.0.1:8901"
    docker_enabled: bool = True
    docker: str | None = None
    docker_host_address: str | None = None
    tokens_file: Path | None = None
    provider_token_file: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    notify_urls: tuple[str, ...] = ()
    poll_hold_s: float = 4.0
    write_file: Path | None = None
    public_url: str | None = None
    provider_hosts: tuple[str, ...] = ()


async def serve(settings: Settings) -> None:
    """Run the daemon until SIGTERM or SIGINT.

    Raises:
        DesiredStateError: the file cannot be accepted, and no earlier one is known.
        StoreError: the state directory cannot be used.
        ListenError: an address cannot be listened on.
        Unprotected: a listener would be open to everybody.
        FileRefused: the tokens or the certificates cannot be used.
        WriteFileRefused: Traefik would not read the file that is to be written.
    """
    share_the_interpreter()
    raise_file_limit()
    stop = asyncio.Event()
    _check(settings)
    store = Store(settings.state_dir)
    try:
        _on_signals(
            cast("asyncio.Task[None]", asyncio.current_task()).cancel
        )  # another daemon may hold the lock for long
        stored = await store.open()
    except asyncio.CancelledError:
        log.info("stopped before it began")
        return
    _on_signals(stop.set)
    daemon = Daemon(settings, store, stored)
    try:
        await daemon.run(stop)
    finally:
        await daemon.controller.close()
    log.info("stopped")


def share_the_interpreter() -> None:
    """Keep what works beside the event loop from holding it up.

    Ten thousand services are a million lasting objects: looking through them for cycles took a third of the start. So
    new values are looked at once, ten thousand at a time (some 3 ms), and what has lasted hardly ever again. And the
    loop waits for the interpreter for as long as a thread may keep it, 5 ms where nothing else is said.
    """
    gc.set_threshold(10_000, 500, 100)
    sys.setswitchinterval(0.001)


def _check(settings: Settings) -> None:
    """Refuse flags that cannot be right, before anything is touched.

    Raises AddressError, Unprotected and WriteFileRefused.
    """
    split_address(settings.listen)
    if not settings.admin_listen.startswith(UNIX) or settings.admin_listen == UNIX:
        split_address(settings.admin_listen)
    if settings.tokens_file is None and not is_local(settings.admin_listen):
        raise Unprotected(
            f"--admin-listen {settings.admin_listen} lets everybody who reaches it switch services: name a "
            f"--tokens-file (bluegreen token makes its lines), or listen on 127.0.0.1 or {UNIX}PATH"
        )
    if settings.tls_cert is None and (settings.tls_key or settings.tls_client_ca):
        flag = "--tls-client-ca" if settings.tls_client_ca else "--tls-key"
        raise Unprotected(f"{flag} alone leaves the listeners without TLS: name the --tls-cert that belongs to it")
    if settings.write_file is not None:
        writefile.check(settings.write_file)


def _on_signals(do: Callable[[], object]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, do)


class Daemon:
    """The parts of one running daemon, put together."""

    def __init__(self, settings: Settings, store: Store, stored: Stored) -> None:
        self.metrics = Metrics(with_docker=settings.docker_enabled)
        self._is_private = (
            is_local(settings.listen)
            or settings.provider_token_file is not None
            or (settings.tls_cert is not None and settings.tls_client_ca is not None)
        )
        surroundings = Surroundings(settings.listen, self._is_private, writes_file=settings.write_file is not None)
        self._terms = f"{__version__}, {surroundings.terms}"
        self.controller = Controller(
            store, stored, self.metrics, docker_enabled=settings.docker_enabled, terms=self._terms
        )
        self._tasks = asyncio.TaskGroup()
        self._checker = HealthChecker(
            spawn=lambda check, name: self._tasks.create_task(check, name=name),
            on_verdict=self.controller.intake.health_verdict,
            on_result=self.controller.intake.health_checked,
        )
        self._containers = self._follow_docker(settings)
        self._tester = SmokeTester(
            spawn=lambda tests, name: self._tasks.create_task(tests, name=name), on_smoke=self.controller.intake.smoked
        )
        self._reader = ReadBack(
            on_reading=self.controller.intake.traefik_read, on_gone=self.controller.intake.traefik_gone
        )
        self.controller.intake.attach(self._checker, self._containers, self._tester, self._reader)
        self._feed = Feed()
        self._notifier = Notifier(
            settings.notify_urls, on_sent=lambda result: self.metrics.notifications.labels(result).inc()
        )
        for result in Result if settings.notify_urls else ():
            self.metrics.notifications.labels(result)  # from zero on: a rate knows nothing of what begins with 1
        self.controller.on_decision = self._tell
        self.controller.on_news = self._tell_changed
        self.controller.conditions.on_new = self._tell_condition
        self.controller.publisher.on_condition = self._tell_service_condition
        self._settings, self._stored = settings, stored
        self._name = str(settings.desired_state)
        self._certificate = DefaultCertificate(
            settings.state_dir,
            on_certificate=self.controller.intake.certificate_renewed,
            on_fault=self.controller.intake.certificate_fault,
        )
        self._reload = Reload(settings.desired_state, self.controller.intake, self._certificate, surroundings)
        self._files = FollowedFiles(self._tell_file)
        self._tokens = self._follow("tokens-file-refused", settings.tokens_file, read_tokens)
        self._provider_tokens = self._follow(
            "provider-token-file-refused", settings.provider_token_file, read_provider_tokens
        )
        self._tls: ssl.SSLContext | None = None
        if settings.tls_cert is not None:
            files = TlsFiles(settings.tls_cert, settings.tls_key, settings.tls_client_ca)
            read = self._files.follow("certificate-refused", files.paths, partial(read_context, files))
            self._tls = RenewedContext(read)
        self._write_file: WriteFile | None = None
        if settings.write_file is not None:
            self._write_file = WriteFile(
                settings.write_file, self.controller.publication.after, self.controller.conditions, self.metrics
            )

    async def run(self, stop: asyncio.Event) -> None:
        """Load the file, listen, and run every loop until `stop` is set."""
        CLOCK.on_gap = self.controller.intake.slept
        self._files.look()
        kept = self._resumable()
        if kept is None:
            await self._reload.first(self._stored.desired_text, self._stored.applied)
        if not self._is_private:
            log.warning(
                "everybody who reaches the provider listener can read the document", listen=self._settings.listen
            )
        if self._tls is None and not is_local(self._settings.admin_listen):
            log.warning("tokens are sent to the admin listener unencrypted", admin_listen=self._settings.admin_listen)
        loops: dict[str, Callable[[], Awaitable[None]]] = {
            "clock": CLOCK.run,
            "decide": self.controller.decide,
            "publish": self.controller.publisher.run,
            "save": self.controller.save,
            "keep": self.controller.keep,
            "health": self._checker.run,
            "watch": self._reload.watch,
            "reload": self._reload.run,
            "lag": self._measure_lag,
            "smoke": self._tester.run,
            "read back": self._reader.run,
            "look": self.controller.intake.look,
            "files": self._files.run,
            "certificate": self._certificate.run,
        }
        loops |= self._notifier.loops()
        if self._containers is not None:
            loops["containers"] = self._containers.run
        if self._write_file is not None:
            loops["write file"] = self._write_file.run
        async with AsyncExitStack() as stack:
            hold_s = self._settings.poll_hold_s
            files = raise_file_limit()
            most = provider_connections(files)
            provider = provider_app(
                self.controller,
                self.metrics,
                self._provider_tokens,
                poll_hold_s=hold_s,
                held_most=most // 2,
                hosts=frozenset(self._settings.provider_hosts) if is_local(self._settings.listen) else None,
            )
            # Who stops waiting for a document shall be noticed; who stops waiting for a command has still given it.
            await self._answer(stack, provider, self._settings.listen, name="provider", most=most, cancels=True)
            if kept is not None:
                await self.controller.publisher.resume(kept)
                await self._reload.first(self._stored.desired_text, self._stored.applied)
            admin = admin_app(self.controller, self._tokens, self._feed, self._about())
            most = admin_connections(files)
            await self._answer(stack, admin, self._settings.admin_listen, name="admin", most=most, cancels=False)
            await stack.enter_async_context(self._tasks)
            running = [self._tasks.create_task(self._supervise(name, loop), name=name) for name, loop in loops.items()]
            supervisor.tell(supervisor.READY)
            await stop.wait()
            supervisor.tell(supervisor.STOPPING)
            log.info("stopping")
            self._feed.close()
            self.controller.publication.close()
            for task in running:
                task.cancel()
        if self._write_file is not None:
            await self._write_file.flush(self.controller.published)

    def _resumable(self) -> Document | None:
        """Return the document of the store, where this start is bound to make the very same.

        Nothing was written after it, it was made on the same terms, and the file is as it was. Addresses of Docker's
        wait for Docker (rule 4).
        """
        kept = self._stored.document
        if kept is None or kept.terms != self._terms or not self._reload.is_as(self._stored.desired_text):
            return None
        colours = (servers for stored in self._stored.servers.values() for _, servers in stored.colours.items())
        is_dockers = any(server.container for servers in colours for server in servers)
        return None if is_dockers else kept.document

    async def _supervise(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        """Start a loop again that failed by a fault of ours: what is served stays as it is meanwhile (P4)."""
        while True:
            try:
                await loop()
            except Exception as error:
                log.exception("a loop failed and is started again", loop=name)
                self.controller.loop_failed(name, error)
            await asyncio.sleep(RESTART_S)

    def _follow_docker(self, settings: Settings) -> "Containers | None":
        if not settings.docker_enabled:
            return None
        # Docker's SDK takes a tenth of a start, also of one that does without it.
        from provider.containers import Containers  # noqa: PLC0415
        from provider.engine import Action  # noqa: PLC0415

        for action in Action:
            self.metrics.docker_events.labels(action)  # from zero on, likewise
        return Containers(
            self.controller.intake, base_url=settings.docker, docker_host_address=settings.docker_host_address
        )

    def _about(self) -> About:
        settings = self._settings
        files = {
            "desired-state": settings.desired_state,
            "state-dir": settings.state_dir,
            "tokens-file": settings.tokens_file,
            "provider-token-file": settings.provider_token_file,
            "tls-cert": settings.tls_cert,
            "tls-key": settings.tls_key,
            "tls-client-ca": settings.tls_client_ca,
            "write-file": settings.write_file,
        }
        return About(
            listen=settings.listen,
            admin_listen=settings.admin_listen,
            is_guarded=(
                settings.provider_token_file is not None
                or (settings.tls_cert is not None and settings.tls_client_ca is not None)
            ),
            has_tls=settings.tls_cert is not None,
            poll_hold_s=settings.poll_hold_s,
            docker_enabled=settings.docker_enabled,
            docker=settings.docker,
            docker_host_address=settings.docker_host_address,
            files={role: path.absolute() for role, path in files.items() if path is not None},
        )

    def _follow(self, code: ConditionCode, path: Path | None, read: Callable[[Path], T]) -> Callable[[], T] | None:
        return self._files.follow(code, (path,), partial(read, path)) if path is not None else None

    def _tell_file(self, code: ConditionCode, names: str, refusal: FileRefused | None) -> None:
        """Follow whether a file that was changed can be used; what it said before goes on meanwhile."""
        if refusal is None:
            self.controller.conditions.clear(code)
            log.info("read anew", files=names)
            return
        message = f"what {names} said before goes on, what is there now was refused: {refusal}"
        if self.controller.conditions.put(code, Severity.WARNING, message, clock().utc):
            log.error("a changed file was refused, what it said before goes on", files=names, problem=str(refusal))

    async def _measure_lag(self) -> None:
        loop = asyncio.get_running_loop()
        worst_s, before_s, until_s = 0.0, 0.0, loop.time() + LAG_WINDOW_S
        while True:
            due_s = loop.time() + LAG_EVERY_S
            await asyncio.sleep(LAG_EVERY_S)
            worst_s = max(worst_s, loop.time() - due_s)
            self.metrics.event_loop_lag.set(max(worst_s, before_s))
            if due_s >= until_s:
                worst_s, before_s, until_s = 0.0, worst_s, due_s + LAG_WINDOW_S

    def _tell(self, decision: Decision) -> None:
        """Tell those who listen, and those who want to be told, of a decision that is on disk."""
        self._feed.put(decision)
        context = report.context(self.controller.world, decision.service, self._settings.public_url)
        notice = notices.of_decision(decision, context) if context is not None else None
        if notice is not None:
            self._notifier.put(notice)

    def _tell_changed(self, groups: Iterable[str]) -> None:
        members = self.controller.world.members
        self._feed.change(lambda: (name for key in groups for name in members.get(key, ())))

    def _tell_condition(self, condition: Condition, is_reworded: bool) -> None:
        notice = notices.of_condition(condition, self._environment, is_reworded=is_reworded)
        if notice is not None:
            self._notifier.put(notice)

    def _tell_service_condition(self, service: str, condition: Condition) -> None:
        notice = notices.of_service_condition(condition, service, self._environment)
        if notice is not None:
            self._notifier.put(notice)

    @property
    def _environment(self) -> str:
        desired = self.controller.world.desired
        return desired.environment if desired else self._name

    async def _answer(
        self,
        stack: AsyncExitStack,
        application: web.Application,
        address: str,
        *,
        name: str,
        most: int,
        cancels: bool,
    ) -> None:
        """Listen until the stack is left; `cancels` the handler of a client that goes away."""
        runner = web.AppRunner(
            application, handle_signals=False, shutdown_timeout=DRAIN_S, handler_cancellation=cancels
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await listen(runner, address, self._tls, name=name, most=most)
        if address.startswith(UNIX):
            stack.callback(Path(address.removeprefix(UNIX)).unlink, missing_ok=True)
        log.info("listening", address=address)
