"""What a process does for all of its life, whether it leads or follows."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, assert_never, cast

import structlog
from aiohttp import web

from provider.api.admin import admin_app
from provider.api.connections import admin_connections, provider_connections, raise_file_limit
from provider.api.listen import UNIX, is_local, listen
from provider.api.provider import provider_app
from provider.api.tls import RenewedContext, TlsFiles, read_context, read_peer_context
from provider.api.tokens import read_provider_tokens, read_tokens
from provider.app.loops import RESTART_S, supervise
from provider.app.reporting import Reporting
from provider.app.settings import Settings
from provider.app.sharing import Sharing
from provider.app.start import free_what_was_frozen, on_signals, share_the_interpreter
from provider.app.term import Term
from provider.controller.controller import Controller
from provider.controller.fallback_file import WriteFile
from provider.controller.faults import report_loop
from provider.controller.lasting import Lasting
from provider.controller.loading import validated
from provider.controller.replica import Replica
from provider.model import ConditionCode, condition
from provider.model.condition_catalogue import OF_DAEMON, OF_PROCESS
from provider.model.errors import StoreError, StoreLocked
from provider.observability.active_conditions import Conditions
from provider.observability.metrics import Metrics
from provider.runtime import systemd
from provider.runtime.clock import CLOCK, clock
from provider.runtime.files import FileRefused, FollowedFiles
from provider.store import Store
from provider.store.etcd.address import EtcdAddress
from provider.store.sqlite import SqliteStore
from provider.store.sqlite.address import SqliteAddress

if TYPE_CHECKING:
    import ssl

log = structlog.get_logger("bluegreen")

T = TypeVar("T")

DRAIN_S = 1.0
LOCK_WAIT_S = 10.0
CALM_S = 15.0
"""Another replica that leads for so long can read what this one could not."""
STAND_BACK_S = 5.0
"""So long a replica that cannot lead leaves it to the others."""
LAG_EVERY_S = 0.02
LAG_WINDOW_S = 15.0
"""The worst of the last one or two of these is shown: as long as Prometheus usually takes from scrape to scrape."""


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
    stop = asyncio.Event()
    settings.check()
    daemon = Daemon(settings)
    try:
        on_signals(cast("asyncio.Task[None]", asyncio.current_task()).cancel)  # another may hold the store for long
        if daemon.is_alone:
            await daemon.lead()
    except asyncio.CancelledError:
        log.info("stopped before it began")
        return
    on_signals(stop.set)
    try:
        await daemon.run(stop)
    finally:
        await daemon.close()
    log.info("stopped")


class Daemon:
    """The parts of one running daemon, put together; `make_store` makes the store of a term in place of the settings'.

    A daemon alone leads from before it listens; one of several replicas listens first.
    """

    def __init__(self, settings: Settings, make_store: Callable[[], Store] | None = None) -> None:
        self.metrics = Metrics(with_docker=settings.docker_enabled)
        self._settings = settings
        self._tasks = asyncio.TaskGroup()
        self._reporting = Reporting(settings, self.metrics, lambda: self.replica.controller)
        self._lasting = Lasting(conditions=Conditions(self._reporting.condition))
        self.replica = Replica(self._lasting, name=settings.replica)
        self._sharing: Sharing | None = None
        self._make_store = make_store or partial(SqliteStore, settings.state_dir)
        match settings.store:
            case EtcdAddress() as address:
                self._sharing = Sharing(settings, address, self.replica)
            case SqliteAddress() | None:
                pass
            case _:
                assert_never(settings.store)
        self._term: Term | None = None
        self._files = FollowedFiles(self._report_file)
        self._tokens = self._follow(ConditionCode.TOKENS_FILE_REFUSED, settings.tokens_file, read_tokens)
        self._provider_tokens = self._follow(
            ConditionCode.PROVIDER_TOKEN_FILE_REFUSED, settings.provider_token_file, read_provider_tokens
        )
        self._tls: ssl.SSLContext | None = None
        self._peer_tls: Callable[[], ssl.SSLContext | None] = lambda: None
        if settings.tls_cert is not None:
            files = TlsFiles(settings.tls_cert, settings.tls_key, settings.tls_client_ca)
            read = self._files.follow(
                ConditionCode.CERTIFICATE_REFUSED, files.paths, lambda: (read_context(files), read_peer_context(files))
            )
            self._tls, self._peer_tls = RenewedContext(lambda: read()[0]), lambda: read()[1]
        self._write_file: WriteFile | None = None
        if settings.write_file is not None:
            self._write_file = WriteFile(
                settings.write_file, self.replica.publication.after, self.replica.conditions, self.metrics
            )

    @property
    def controller(self) -> Controller:
        """The controller of the term; call it only while this replica leads."""
        assert self.replica.controller is not None, "this replica does not lead"
        return self.replica.controller

    @property
    def is_alone(self) -> bool:
        """Whether this is no replica of several: it leads before it listens."""
        return self._sharing is None

    async def lead(self, *, wait_s: float = LOCK_WAIT_S) -> None:
        """Wait for the store, and take the lead. Raises StoreError."""
        shared = self._sharing.make() if self._sharing is not None else None
        store = shared if shared is not None else self._make_store()
        stored = await store.open(wait_s=wait_s)
        self._term = Term(
            self._settings,
            store,
            stored,
            self.metrics,
            self._reporting.listeners,
            self._lasting,
            shared=shared,
            more=self._reporting.follow_term(shared),
            validate=self._sharing.prepared.load if self._sharing is not None else validated,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Load the file, listen, and run every loop until `stop` is set."""
        self._files.check()
        if self._term is not None:
            await self._term.begin()
            self._begun(self._term)
        self._warn()
        loops: dict[str, Callable[[], Awaitable[None]]] = {
            "clock": partial(CLOCK.run, self._slept),
            "lag": self._measure_lag,
            "files": self._files.run,
            "terms": self._lead_terms,
        }
        loops |= self._reporting.notifier.loops()
        if self._sharing is not None:
            loops |= self._sharing.loops()
        if self._write_file is not None:
            loops["write file"] = self._write_file.run
        async with AsyncExitStack() as stack:
            await self._listen(stack)
            if not self.is_alone:
                # Another one leads before this one's listeners are gone: requests are passed on to it.
                stack.push_async_callback(self.close)
            await stack.enter_async_context(self._tasks)
            running = [
                self._tasks.create_task(supervise(name, loop, self._loop_failed), name=name)
                for name, loop in loops.items()
            ]
            systemd.notify(systemd.READY)
            await stop.wait()
            systemd.notify(systemd.STOPPING)
            log.info("stopping")
            self._reporting.events.close()
            self.replica.publication.close()
            for task in running:
                task.cancel()
        if self._write_file is not None:
            await self._write_file.flush(self.replica.published)

    async def close(self) -> None:
        """Let go of the store; call it when `run` has ended."""
        term, self._term, sharing, self._sharing = self._term, None, self._sharing, None
        if term is not None:
            self.replica.step_down()
            await term.close()
        if sharing is not None:
            await sharing.close()

    async def _lead_terms(self) -> None:
        """Lead for as long as the store is this replica's, and stand for the next term then."""
        wait_s = inf
        while True:
            try:
                if self._term is None:
                    await self.lead(wait_s=wait_s)
            except StoreLocked:  # another one leads, and can
                self.replica.conditions.clear(ConditionCode.STORE_FAILING)
                wait_s = inf
                continue
            except StoreError as failure:
                log.error("this replica cannot lead", cause=str(failure))  # noqa: TRY400  our own error, no fault
                self.replica.conditions.put(condition(ConditionCode.STORE_FAILING, clock().utc, cause=failure))
                wait_s = CALM_S
                await asyncio.sleep(RESTART_S)
                continue
            self.replica.conditions.clear(ConditionCode.STORE_FAILING)
            wait_s, term = inf, self._term
            assert term is not None, "there is a term"
            can_lead = await term.run(partial(self._begun, term))
            self._forget_term()
            await term.close()
            del term
            free_what_was_frozen()
            if not can_lead:
                await asyncio.sleep(STAND_BACK_S)

    def _begun(self, term: Term) -> None:
        self.replica.lead(term.controller)
        if self._sharing is not None:
            self._sharing.tell_who_polls()

    def _forget_term(self) -> None:
        """Forget what belonged to the term that is over; what is served stays."""
        self._term = None
        self.replica.step_down()
        self._reporting.events.close()  # who reads them comes again, and is passed on to who leads now
        for code in OF_DAEMON.keys() - OF_PROCESS:
            self.replica.conditions.clear(code)
        self.metrics.term_over()

    def _warn(self) -> None:
        settings = self._settings
        if not settings.is_private:
            log.warning("everybody who reaches the provider listener can read the document", listen=settings.listen)
        if self._tls is None and not is_local(settings.admin_listen):
            log.warning("tokens are sent to the admin listener unencrypted", admin_listen=settings.admin_listen)

    async def _listen(self, stack: AsyncExitStack) -> None:
        """Listen on both addresses until the stack is left."""
        settings, files = self._settings, raise_file_limit()
        most = provider_connections(files)
        provider = provider_app(
            self.replica,
            self.metrics,
            self._provider_tokens,
            poll_hold_s=settings.poll_hold_s,
            held_most=most // 2,
            hosts=frozenset(settings.provider_hosts) if is_local(settings.listen) else None,
        )
        # Who stops waiting for a document shall be noticed; who stops waiting for a command has still given it.
        await self._answer(stack, provider, settings.listen, name="provider", most=most, cancels=True)
        admin = admin_app(self.replica, self._tokens, self._reporting.events, settings.about, self._peer_tls)
        most = admin_connections(files)
        await self._answer(stack, admin, settings.admin_listen, name="admin", most=most, cancels=False)

    def _loop_failed(self, name: str, error: Exception) -> None:
        if self.replica.controller is not None:
            self.replica.controller.loop_failed(name, error)
        else:
            report_loop(self.replica.conditions, name, error)

    def _slept(self, gap_s: float) -> None:
        if self.replica.controller is not None:
            self.replica.controller.slept(gap_s)

    def _follow(self, code: ConditionCode, path: Path | None, read: Callable[[Path], T]) -> Callable[[], T] | None:
        return self._files.follow(code, (path,), partial(read, path)) if path is not None else None

    def _report_file(self, code: ConditionCode, names: str, refusal: FileRefused | None) -> None:
        """Report whether a file that was changed can be used; what it said before goes on meanwhile."""
        conditions = self.replica.conditions
        if refusal is None:
            conditions.clear(code)
            log.info("read again", files=names)
        elif conditions.put(condition(code, clock().utc, files=names, problem=refusal)):
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
