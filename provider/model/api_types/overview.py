"""The daemon with all its services, and the replicas over its store."""

from collections.abc import Sequence
from typing import final

from typing_extensions import TypedDict

from provider.model.api_types.service import Condition, Poller, Service


class DockerStatus(TypedDict):
    """The connection to Docker."""

    enabled: bool
    connected: bool
    """Docker answers"""


@final
class Replica(TypedDict):
    """One of several daemons over one store."""

    replica: str
    leads: bool
    """It decides; the others pass requests on to it"""
    away: bool
    """It has vanished, and may have left Traefiks with an older document"""
    admin: str | None
    """Where its admin API is"""
    version: str | None
    revision: int
    """The revision of the document that it serves"""
    current: bool
    """It serves the newest document"""
    pollers: int
    behind: int
    """So many of its pollers may have an older document"""


@final
class Replicas(TypedDict):
    """The replicas, as the one that answers knows them."""

    answers: str
    """The one that answers"""
    store_age_s: float | None
    """How old its newest word from the store is; `null` before the first"""
    conditions: Sequence[Condition]
    """What an operator should know of the one that answers"""
    replicas: Sequence[Replica]


@final
class Forgotten(TypedDict):
    """A replica that is forgotten."""

    replica: str
    detail: str
    """What was done, in words"""


@final
class Overview(TypedDict):
    """The daemon and all services."""

    environment: str | None
    revision: int | None
    """The revision of the document"""
    docker: DockerStatus
    pollers: Sequence[Poller]
    """Who fetches the document"""
    unnamed: Sequence[str]
    """Services that containers name and the file does not"""
    replicas: Sequence[Replica]
    """The daemons over one store; empty where this one is alone"""
    conditions: Sequence[Condition]
    """What an operator should know of the daemon itself"""
    services: Sequence[Service]
