"""Reads what a manager answers about services, tasks and nodes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from provider.docker.container import SHORT_ID
from provider.docker.swarm.spec import parts_of
from provider.model import Part
from provider.model.text import NAME_MOST, clean

RUNNING = "running"
LEAVING = frozenset({"shutdown", "remove", "orphaned"})
"""The desired states of a task that is to stop; none ever goes back."""
DEAD = frozenset({"complete", "failed", "rejected"})
"""How a task ends that was not asked to stop."""
HOST_NETWORK = "host"
_TAG = re.compile(r":(\w[\w.-]{0,127})$")


@dataclass(frozen=True, slots=True)
class SwarmService:
    """A service of the Swarm: its own labels, and those that it gives its containers."""

    id: str
    name: str
    labels: Mapping[str, str]
    container_labels: Mapping[str, str]


class Attachment(NamedTuple):
    """A network of a task. Its address is None until it has one."""

    network: str
    address: str | None
    is_ingress: bool


class HostPort(NamedTuple):
    """A port of a task, and where its node publishes it."""

    target: int
    published: int
    is_udp: bool = False


@dataclass(frozen=True, slots=True)
class Task:
    """A task of the Swarm. `slot` is its place in the service, which outlives it: a number, or a node's id.

    `labels` are those of its container, and `parts` what its release covers: its own specification, which an update of
    the service does not change. `container` is empty before it has one.
    """

    id: str
    service: str
    slot: str
    node: str
    container: str
    state: str
    desired: str
    image: str
    labels: Mapping[str, str]
    parts: tuple[Part, ...]
    has_healthcheck: bool
    attachments: tuple[Attachment, ...]
    host_ports: tuple[HostPort, ...]

    @property
    def is_leaving(self) -> bool:
        """Whether it is to stop."""
        return self.desired in LEAVING

    @property
    def uses_host_network(self) -> bool:
        """Whether it has the network of its node."""
        return any(each.network == HOST_NETWORK for each in self.attachments)


def service_from(listed: Mapping[str, Any]) -> SwarmService:
    """Read one entry of `GET /services`. Raises one of UNREADABLE for an invalid one."""
    spec = listed["Spec"]
    container = (spec.get("TaskTemplate") or {}).get("ContainerSpec") or {}
    return SwarmService(
        id=clean(listed["ID"], NAME_MOST),
        name=clean(spec["Name"], NAME_MOST),
        labels=_labels(spec),
        container_labels=_labels(container),
    )


def task_from(listed: Mapping[str, Any]) -> Task:
    """Read one entry of `GET /tasks`. Raises one of UNREADABLE for an invalid one."""
    spec, status = listed["Spec"]["ContainerSpec"], listed["Status"]
    node = clean(listed.get("NodeID") or "", NAME_MOST)
    ports = (status.get("PortStatus") or {}).get("Ports") or ()
    return Task(
        id=clean(listed["ID"], NAME_MOST),
        service=clean(listed["ServiceID"], NAME_MOST),
        slot=clean(str(listed.get("Slot") or node), NAME_MOST),
        node=node,
        container=clean(((status.get("ContainerStatus") or {}).get("ContainerID") or "")[:SHORT_ID], SHORT_ID),
        state=clean(status["State"], NAME_MOST),
        desired=clean(listed["DesiredState"], NAME_MOST),
        image=clean(spec["Image"], NAME_MOST),
        labels=_labels(spec),
        parts=parts_of(spec),
        has_healthcheck=_has_healthcheck(spec.get("Healthcheck")),
        attachments=tuple(map(_attachment, listed.get("NetworksAttachments") or ())),
        # The same port is listed for IPv4 and for IPv6.
        host_ports=tuple(sorted({_host_port(port) for port in ports if port.get("Protocol") in {"tcp", "udp"}})),
    )


def tag_of(image: str) -> str | None:
    """Return the tag of an image, None for one without: `1.4.2` of `registry.example:5000/shop:1.4.2@sha256:...`."""
    found = _TAG.search(image.partition("@")[0])
    return found[1] if found else None


def node_address(listed: Mapping[str, Any]) -> tuple[str, str]:
    """Return the id of one entry of `GET /nodes`, and the address of that node, empty where it is not known.

    A Swarm of one node may have been made without an address for others; a manager has one in any case.
    """
    address = str((listed.get("Status") or {}).get("Addr") or "")
    if address in {"", "0.0.0.0", "127.0.0.1"}:  # noqa: S104  only read, nothing listens
        address = str((listed.get("ManagerStatus") or {}).get("Addr") or "").rpartition(":")[0] or address
    return clean(listed["ID"], NAME_MOST), clean(address.strip("[]"), NAME_MOST)


def _labels(of: Mapping[str, Any]) -> dict[str, str]:
    return {clean(name, NAME_MOST): clean(value) for name, value in (of.get("Labels") or {}).items()}


def _attachment(listed: Mapping[str, Any]) -> Attachment:
    spec = listed["Network"]["Spec"]
    first = next(iter(listed.get("Addresses") or ()), "")
    return Attachment(
        network=clean(spec["Name"], NAME_MOST),
        address=clean(first.partition("/")[0], NAME_MOST) or None,
        is_ingress=bool(spec.get("Ingress")),
    )


def _host_port(listed: Mapping[str, Any]) -> HostPort:
    found = HostPort(listed["TargetPort"], listed["PublishedPort"], listed["Protocol"] == "udp")
    if not all(isinstance(port, int) and 0 < port < 65536 for port in found[:2]):
        raise ValueError("invalid port")
    return found


def _has_healthcheck(written: Any) -> bool:
    test = (written or {}).get("Test") or []
    return bool(test) and test[0] != "NONE"
