"""The requests about containers; each runs in a thread of its own, on the client it is given.

Every function raises what Docker's SDK does.
"""

import re
import socket
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from docker.errors import APIError, NotFound

from provider.docker.container import HOST_MODE, JOINED_MODE, UNREADABLE, Container, container_from
from provider.docker.deaths import Life
from provider.docker.digests import Digests
from provider.docker.engine import Client
from provider.docker.inspected import Created, as_listed, created_from
from provider.docker.labels import ALLOW_INSPECT, NOT_INSPECTED, PORT, SERVICE, Scope
from provider.docker.sighting import Sighting, sight, unreadable
from provider.model.errors import DockerUnavailable
from provider.runtime.files import MOUNTS

SWARM_SERVICE = "com.docker.swarm.service.name"
MISSING_MOST = 1000
COMPARED = 10
"""How many containers are inspected to see whether an inspection says what a list says."""
UNASKED = Created((), (), None, None)
FORBIDDEN = frozenset({401, 403, 405})


@dataclass(frozen=True, slots=True)
class Listed:
    """A list of running containers, each with its entry, and those that cannot be read."""

    entries: tuple[tuple[Container, Any], ...]
    unreadable: tuple[Sighting, ...] = ()

    @property
    def containers(self) -> tuple[Container, ...]:
        """The containers alone."""
        return tuple(container for container, _ in self.entries)

    def without(self, swarm_services: Collection[str]) -> "Listed":
        """Return the same without the containers of these services of a Swarm."""
        kept = (pair for pair in self.entries if pair[0].labels.get(SWARM_SERVICE) not in swarm_services)
        return replace(self, entries=tuple(kept)) if swarm_services else self


class _Constant(NamedTuple):
    """What a list and an inspection of one running container must agree in, as it never changes."""

    image_id: str
    network_mode: str
    has_health: bool


class Listing:
    """Lists running containers by their labels, and remembers what they were created with, which never changes.

    `listed` is a single request, `inspect`, `inspected` and `lives` are one for each container. They run in threads, at
    most two at a time.
    """

    def __init__(self) -> None:
        self.digests = Digests()
        self._is_podman: bool | None = None
        self._created: dict[str, Created | None] = {}
        self._missing: set[str] = set()
        self._as_listed: dict[str, _Constant] = {}
        self._as_inspected: dict[str, _Constant] = {}
        self._agrees: dict[str, bool] = {}

    @property
    def inspection_is_enough(self) -> bool:
        """Whether a list has said of containers what their inspections said, and of none anything else.

        Podman's list has the network mode `host` for every container, and no health (pkg/api/handlers/compat).
        """
        return bool(self._agrees) and all(self._agrees.values())

    def listed(self, client: Client, service: str | None) -> Listed:
        """List the running containers of one service, or of every one."""
        label = SERVICE if service is None else f"{SERVICE}={service}"
        found, odd = [], []
        is_podman = self._lists_too_little(client)  # which leaves out what is paused as well
        for written in entries(client.containers(all=is_podman, filters={"label": [label]})):
            entry = written
            try:  # a broken entry concerns this one container alone
                container = container_from(entry)
                if container.running and is_podman:
                    entry = as_listed(client.inspect_container(container.id))
                    container = container_from(entry)
                if container.running:
                    self._note(entry, container, self._as_listed, self._as_inspected)
                    container = self.digests.added(client, entry, container)
                    found.append((self._with_network(client, container), entry))
            except NotFound:  # it is gone
                continue
            except UNREADABLE:
                odd.append(unreadable(entry))
        return Listed(tuple(found), tuple(odd))

    def _lists_too_little(self, client: Client) -> bool:
        """Return whether this is Podman: its list lacks network modes, health and the ports that are not published."""
        if self._is_podman is None:
            try:
                written = client.version().get("Components") or ()
                self._is_podman = any(str(one.get("Name", "")).startswith("Podman") for one in written)
            except UNREADABLE:
                self._is_podman = False
        return self._is_podman

    def unknown(self, containers: Iterable[Container]) -> Sequence[str]:
        """Return the ids of those of which a list does not say enough, and that were not inspected yet."""
        return [each.id for each in containers if _needs_inspection(each) and each.id not in self._created]

    def inspect(self, client: Client, ids: Iterable[str]) -> None:
        """Read what containers were created with; an engine, or a proxy before it, may forbid that.

        One that is not found is gone. One that is listed and again not found counts as forbidden.
        """
        for id_ in ids:
            try:
                inspected = client.inspect_container(id_)
                self._created[id_] = created_from(inspected)
                self._compare(inspected)
            except NotFound:
                if id_ in self._missing:
                    self._created[id_] = None
                elif len(self._missing) >= MISSING_MOST:
                    self._missing.clear()
                self._missing.add(id_)
            except UNREADABLE:
                self._created[id_] = None
            except APIError as error:
                if error.status_code not in FORBIDDEN:
                    raise
                self._created[id_] = None

    def inspected(self, client: Client, ids: Iterable[str]) -> tuple[Listed, Mapping[str, Life]]:
        """Inspect containers; return those that run as a list has them, and their lives.

        Those are left out that are gone, cannot be read, or that the engine keeps to itself: a list has them.
        """
        found, its_lives = [], {}
        for id_ in ids:
            try:
                inspected = client.inspect_container(id_)
                entry = as_listed(inspected)
                container = container_from(entry)
                if container.running and SERVICE in container.labels:
                    self._created[container.id] = created_from(inspected)
                    its_lives[container.id] = _life(inspected)
                    self._note(entry, container, self._as_inspected, self._as_listed)
                    container = self.digests.added(client, inspected.get("Config") or {}, container)
                    found.append((self._with_network(client, container), entry))
            except (NotFound, OverflowError, *UNREADABLE):
                continue
            except APIError as error:
                if error.status_code not in FORBIDDEN:
                    raise
        return Listed(tuple(found)), its_lives

    def lives(self, client: Client, containers: Collection[str]) -> dict[str, Life]:
        """Return how often each container was restarted, and since when it runs; those that are gone are left out.

        An engine that does not answer as Docker does leaves this to its events.
        """
        found = {}
        for id_ in containers:
            try:
                inspected = client.inspect_container(id_)
                found[id_] = _life(inspected)
                self._compare(inspected)
            except NotFound:
                continue
            except (OverflowError, *UNREADABLE):
                found.setdefault(id_, Life(0, 0))
        return found

    def to_compare(self) -> Sequence[str]:
        """Return the ids of some listed containers, of which it is not known yet whether an inspection agrees."""
        compared = self._agrees
        return [id_ for id_ in self._as_listed if id_ not in compared][: max(0, COMPARED - len(compared))]

    def compare(self, client: Client, ids: Iterable[str]) -> None:
        """Inspect containers, and compare that with what is listed of them."""
        for id_ in ids:
            try:
                self._compare(client.inspect_container(id_))
            except NotFound:
                continue
            except APIError as error:
                if error.status_code not in FORBIDDEN:
                    raise

    def _compare(self, inspected: Mapping[str, Any]) -> None:
        """Compare an inspection with what is listed of the same container."""
        try:
            entry = as_listed(inspected)
            self._note(entry, container_from(entry), self._as_inspected, self._as_listed)
        except UNREADABLE:  # then an inspection is not enough
            return

    def _note(
        self,
        entry: Mapping[str, Any],
        container: Container,
        here: dict[str, _Constant],
        there: Mapping[str, _Constant],
    ) -> None:
        if entry.get("State") != "running":  # a paused container has no health of its own
            return
        here[container.id] = _Constant(container.image_id, container.network_mode, container.health is not None)
        if container.id in there:
            self._agrees[container.id] = here[container.id] == there[container.id]

    def sightings(self, listed: Listed, scope: Scope, host_address: str) -> tuple[Sighting, ...]:
        """Return the containers as sightings; those not inspected are gone already."""
        found = [*listed.unreadable, *self._sight(listed, scope, host_address)]
        return tuple(sorted(found, key=lambda sighting: sighting.name))

    def _sight(self, listed: Listed, scope: Scope, host_address: str) -> Iterator[Sighting]:
        for container, entry in listed.entries:
            if self.unknown([container]):
                continue
            try:
                sighting = sight(self._with_created(container), scope, host_address)
            except UNREADABLE:
                sighting = unreadable(entry)
            if sighting is not None and sighting.servers and self._created.get(container.id, UNASKED) is None:
                sighting = replace(sighting, warning=NOT_INSPECTED, fix=ALLOW_INSPECT)
            if sighting is not None:
                yield sighting

    def stop_settings(self, client: Client, id_: str) -> Created | None:
        """Return what a container was created with, its stop settings included; None for one that is gone."""
        if self._created.get(id_) is None:
            self.inspect(client, [id_])
        return self._created.get(id_)

    def forget_all_but(self, containers: Collection[str]) -> None:
        """Forget what is known of other containers than these."""
        known: dict[str, Any]
        for known in (self._created, self._as_listed, self._as_inspected, self._agrees):
            for id_ in set(known).difference(containers):
                del known[id_]

    def complete(self, client: Client, container: Container) -> Container:
        """Add to one container what a list leaves out."""
        container = self._with_network(client, container)
        self.inspect(client, self.unknown([container]))
        return self._with_created(container)

    def _with_created(self, container: Container) -> Container:
        created = self._created.get(container.id)
        if created is None:
            return container
        if not _has_no_network(container):
            return replace(container, created=created)
        return replace(container, created=created, exposed=created.exposed, exposed_udp=created.exposed_udp)

    def _with_network(self, client: Client, container: Container) -> Container:
        """Add the mode, addresses and bindings of the other container to one that joined its network."""
        if not container.network_mode.startswith(JOINED_MODE):
            return container
        other = container.network_mode.removeprefix(JOINED_MODE)
        for owner in map(container_from, entries(client.containers(filters={"id": [other]}))):
            container = replace(
                container,
                is_joined=True,
                network_mode=owner.network_mode,
                addresses=owner.addresses,
                bindings=owner.bindings,
            )
        return container


def _has_no_network(container: Container) -> bool:
    return container.is_joined or container.network_mode == HOST_MODE or container.network_mode.startswith(JOINED_MODE)


def _needs_inspection(container: Container) -> bool:
    return not container.has_config_hash or (_has_no_network(container) and PORT not in container.labels)


def entries(listed: object) -> list[Any]:
    """Return the entries of an engine's list. Raises DockerUnavailable for an answer that is no list."""
    if not isinstance(listed, list):
        raise DockerUnavailable("it answers /containers/json with something else than a list: is this a Docker Engine?")
    return listed


class OwnContainer:
    """The container that this daemon runs in, if it is one of this engine."""

    def __init__(self) -> None:
        self._ids = own_ids(_read(MOUNTS), socket.gethostname())

    def networks(self, client: Client) -> frozenset[str]:
        """Return the names of its networks; none where it has that of the host or of another container."""
        for id_ in self._ids:
            for own in map(container_from, entries(client.containers(filters={"id": [id_]}))):
                return frozenset(own.addresses)
        return frozenset()


def own_ids(mountinfo: str, host_name: str) -> tuple[str, ...]:
    """Return what may be the id of a process's container, from the files that an engine mounts into it.

    `mountinfo` is that of proc(5). The host name is the id unless another was chosen.
    """
    found = re.findall(r"/([0-9a-f]{64})/(?:userdata/)?[a-z.]+ /etc/(?:hostname|hosts|resolv\.conf) ", mountinfo)
    named = [host_name] if re.fullmatch(r"[0-9a-f]{12}", host_name) else []
    return tuple(dict.fromkeys([*found, *named]))


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def started_since(client: Client, stopped: Mapping[str, int]) -> frozenset[str]:
    """Return which containers were started after the moment given for each, in ns by the engine's clock."""
    return frozenset(id_ for id_, engine_ns in stopped.items() if _started_ns(client, id_) > engine_ns)


def _life(inspected: Mapping[str, Any]) -> Life:
    runs = inspected["State"]["Running"] and not inspected["State"].get("Restarting")
    return Life(int(inspected["RestartCount"]), _ns(inspected["State"]["StartedAt"]) if runs else 0)


def _started_ns(client: Client, id_: str) -> int:
    """Return when a container was last started, by the engine's clock; 0 for one that is gone."""
    try:
        return _ns(client.inspect_container(id_)["State"]["StartedAt"])
    except (NotFound, OverflowError, *UNREADABLE):
        return 0


def _ns(written: str) -> int:
    return int(datetime.fromisoformat(written).timestamp() * 1e9)
