"""The Docker Engines of the desired-state file, and whether each of them answers (rule 38)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EngineTls:
    """The files, on the daemon's machine, by which an engine and the daemon know each other."""

    ca: str
    cert: str
    key: str


@dataclass(frozen=True, slots=True)
class Engine:
    """One Docker Engine. With an `address` its containers are reached there, by their published ports."""

    name: str
    url: str
    tls: EngineTls | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class EngineSeen:
    """What is known of an engine: whether it has ever listed all of its containers, and whether it answers.

    `cause` says why it does not answer; it is None before that is known.
    """

    is_listed: bool = False
    answers: bool = False
    cause: str | None = None
