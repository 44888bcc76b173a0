"""What connects this process with the other replicas: the mirror of the store, who leads, and who polls where."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial

import structlog

from provider import __version__
from provider.app.docker_presence import DockerPresence
from provider.app.settings import Settings
from provider.controller.committed import Committed
from provider.controller.prepared import Prepared
from provider.controller.publication import Published
from provider.controller.replica import Leader, Peer, Replica
from provider.controller.state import State
from provider.model import ConditionCode, Decision, condition
from provider.model.errors import StoreError
from provider.runtime.clock import clock
from provider.store import SharedStore
from provider.store.etcd.address import EtcdAddress, check_protected
from provider.store.etcd.client import connect
from provider.store.etcd.documents import Numbered
from provider.store.etcd.history import HISTORY_KEPT, read_history
from provider.store.etcd.kept import KeptFile
from provider.store.etcd.keys import Keys
from provider.store.etcd.leader import Identity
from provider.store.etcd.loading import load_committed
from provider.store.etcd.mirror import Mirror
from provider.store.etcd.mirrored import Leading, MirrorListeners, Trouble
from provider.store.etcd.presence import forget_replica
from provider.store.etcd.replicas import PollerInfo, PollersInfo, ReplicaInfo
from provider.store.etcd.store import EtcdStore
from provider.traefik.elsewhere import PollerElsewhere, ReplicaPolls
from provider.traefik.pollers import Poller, Pollers

log = structlog.get_logger("bluegreen")

POLLERS_EVERY_S = 0.2


class Sharing:
    """See the module. `replica` is fed with what the other replicas do; `make` makes the store of a term.

    `prepared` has the desired state that the term begins with.
    """

    def __init__(self, settings: Settings, address: EtcdAddress, replica: Replica) -> None:
        self._replica, self._prefix = replica, address.prefix
        try:
            settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as failure:
            raise StoreError(
                f"{settings.state_dir}: cannot be made: {failure.strerror}. Name a --state-dir where this replica may "
                "keep the last document"
            ) from failure
        credentials = settings.store_credentials
        check_protected(address, credentials)
        self._gateway = connect(address, credentials)
        self._keys = Keys(address.prefix)
        self.prepared = Prepared(replica)
        self._committed = Committed(
            partial(load_committed, self._gateway, self._keys),
            self.prepared.load,
            docker_enabled=settings.docker_enabled,
        )
        process = secrets.token_hex(8)
        self._identity = Identity(settings.replica, settings.replica, settings.advertised, process)
        self._store: EtcdStore | None = None
        self._is_barred = False
        self._info = ReplicaInfo(
            id=settings.replica,
            name=settings.replica,
            address=settings.advertised,
            version=__version__,
            has_docker=None,
            process=process,
        )
        self.mirror = Mirror(
            self._gateway,
            address.prefix,
            self._info,
            MirrorListeners(
                on_document=self._take_document,
                on_leader=self._take_leader,
                on_replicas=lambda _: self.tell_who_polls(),
                on_pollers=lambda _: self.tell_who_polls(),
                on_desired=lambda found: self.prepared.put(found.text if found is not None else None),
                on_trouble=self._take_trouble,
            ),
            kept=KeptFile(settings.state_dir),
            is_new_store=settings.new_store,
        )
        self._docker: DockerPresence | None = None
        if settings.docker_enabled:
            self._docker = DockerPresence(settings.docker, replica, self._others, self._say_docker, self._resign)
        replica.peers = self

    def make(self) -> SharedStore:
        """Make the store of a term."""
        self._store = EtcdStore(
            self._gateway,
            self._prefix,
            self._identity,
            hindrance=self._hindrance,
            hindrance_on_empty=lambda: self.mirror.hindrance_on_empty,
            on_failure=self._take_failure,
            served=lambda: self.mirror.state.served_revision,
        )
        return self._store

    def _hindrance(self) -> str | None:
        return self.mirror.hindrance or (self._docker.hindrance if self._docker is not None else None)

    def _others(self) -> Iterable[ReplicaInfo]:
        return (one for name, one in self.mirror.state.replicas.items() if name != self._identity.id)

    def _say_docker(self, answers: bool) -> None:
        self._info = self._info.model_copy(update={"has_docker": answers})
        self.mirror.put_info(self._info)

    def _resign(self) -> None:
        if self._store is not None:
            self._store.lost.set()

    @property
    def store_age_s(self) -> float:
        """How old the newest word from the store is; infinite before the first."""
        return self.mirror.store_age_s

    async def fresh(self) -> bool:
        """Return whether what is served rests on word from the store that is young enough (rule 54)."""
        return await self.mirror.fresh()

    def known(self) -> Sequence[Peer]:
        """Return all replicas that are known, by name."""
        seen = self.mirror.state
        leader = seen.leading.leader.id if seen.leading is not None else None
        if leader == self._identity.id and self._replica.controller is None:
            leader = None  # what etcd said last: this term has not begun, or is over
        newest = seen.document.revision if seen.document is not None else 0
        return [
            _peer(
                seen.replicas.get(name),
                seen.pollers.get(name, PollersInfo(name=name)),
                newest,
                leads=name == leader,
            )
            for name in sorted(seen.replicas.keys() | seen.pollers.keys())
        ]

    async def forget(self, name: str) -> bool:
        """Forget a replica that is gone for good. Raises StoreError."""
        return await forget_replica(self._gateway, self._keys, name)

    async def committed(self, published: Published | None) -> State:
        """Return what is committed, for reading while nobody leads; it may be old. Raises StoreError."""
        return await self._committed.state(published)

    async def history(self, service: str | None, since: datetime | None, limit: int) -> tuple[Decision, ...]:
        """Return decisions, newest first; they may be old. Raises StoreError."""
        return await read_history(
            self._gateway,
            self._keys,
            service=service,
            since=since,
            limit=limit,
            kept=HISTORY_KEPT,
            is_serializable=True,
        )

    def loops(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Return the loops to run, by name."""
        docker = {"docker presence": self._docker.run} if self._docker is not None else {}
        return {"mirror": self.mirror.run, "prepare": self.prepared.run, "pollers": self._follow_pollers, **docker}

    async def close(self) -> None:
        """Say that this replica ends; call it when the loops have ended and the term is closed."""
        await self.mirror.leave()
        await self._gateway.close()

    def tell_who_polls(self) -> None:
        """Have the controller know who polls the other replicas."""
        controller, seen = self._replica.controller, self.mirror.state
        if controller is None:
            return
        controller.inputs.polled_elsewhere(
            {
                polls.name: ReplicaPolls(tuple(map(_elsewhere, polls.pollers)), is_away=name not in seen.replicas)
                for name, polls in seen.pollers.items()
                if name != self._identity.id
            }
        )

    def _take_document(self, found: Numbered) -> None:
        last = self._replica.published
        if last is None or found.revision > last.revision:  # the leader has published its own already
            self._replica.publication.put(Published(found.document, found.revision, is_from_here=False))

    def _take_leader(self, leading: Leading | None) -> None:
        """Take who leads; where it is this one, requests wait for its controller rather than go round."""
        is_other = leading is not None and leading.leader.id != self._identity.id
        self._replica.follow(Leader(leading.leader.name, leading.leader.address) if leading and is_other else None)
        if leading is not None and self._is_barred:
            self._is_barred = False
            self._replica.conditions.clear(ConditionCode.STORE_FAILING)
        if leading is None:
            log.info("nobody leads")
        elif is_other:
            log.info("follows", leader=leading.leader.name, address=leading.leader.address, epoch=leading.epoch)

    def _take_failure(self, cause: str) -> None:
        """Take why nobody can stand for election although etcd answers: it has no space for a lease."""
        if not self.mirror.is_fresh:
            return  # that is shown as it is
        self._is_barred = True
        if self._replica.conditions.put(condition(ConditionCode.STORE_FAILING, clock().utc, cause=cause)):
            log.error("this replica cannot stand for election", cause=cause)

    def _take_trouble(self, trouble: Trouble | None) -> None:
        conditions = self._replica.conditions
        if trouble is None:
            if conditions.clear(ConditionCode.STORE_AWAY):
                log.info("the store answers again")
            return
        if ConditionCode.STORE_AWAY not in conditions:  # its words change with each member that is asked
            log.warning("the store is away", cause=trouble.text)
        conditions.put(condition(ConditionCode.STORE_AWAY, clock().utc, cause=trouble.text))

    async def _follow_pollers(self) -> None:
        """Say who polls here; what is new of it is written within a second."""
        while True:
            published = self._replica.published
            self.mirror.put_pollers(
                PollersInfo(
                    name=self._identity.name,
                    revision=published.revision if published is not None else 0,
                    pollers=_infos(self._replica.pollers),
                )
            )
            await asyncio.sleep(POLLERS_EVERY_S)


def _peer(info: ReplicaInfo | None, polls: PollersInfo, newest: int, *, leads: bool) -> Peer:
    """Return what is known of a replica; without `info` it has vanished."""
    return Peer(
        name=info.name if info is not None else polls.name,
        admin=(info.address or None) if info is not None else None,
        version=(info.version or None) if info is not None else None,
        is_away=info is None,
        leads=leads and info is not None,
        revision=polls.revision,
        pollers=len(polls.pollers),
        behind=sum(one.revision < newest for one in polls.pollers),
    )


def _infos(pollers: Pollers) -> tuple[PollerInfo, ...]:
    before = {one.who: one.before for one in pollers.polling()}
    return tuple(
        PollerInfo(
            label=one.label,
            revision=one.revision,
            before=min(before.get(one.label, 0), one.revision),
            last_poll_s=one.last_poll_s,
        )
        for one in pollers
    )


def _elsewhere(info: PollerInfo) -> PollerElsewhere:
    return PollerElsewhere(Poller(info.label, info.revision, info.last_poll_s), info.before)
