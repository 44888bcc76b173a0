"""Every error the daemon raises on purpose, in one hierarchy."""

from dataclasses import dataclass


class BluegreenError(Exception):
    """A failure whose text says what is wrong and how to fix it."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong with a desired-state file, at a place a person can go to (line and column count from 1)."""

    file: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}: "
        return f"{where}{self.path}: {self.message}" if self.path else f"{where}{self.message}"


class DesiredStateError(BluegreenError):
    """A desired-state file that cannot be accepted; carries every problem found, in file order."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class FollowsFile(BluegreenError):  # noqa: N818
    """A desired state that cannot be applied here: this daemon follows a file."""


class IllegalEvent(BluegreenError):  # noqa: N818  the name states the fact, as in the transition table
    """An event that the transition table does not allow in the present phase; nothing was changed."""


class StoreError(BluegreenError):
    """The state directory cannot be used, or a write to it failed."""


class StoreUncertain(StoreError):  # noqa: N818
    """A write whose outcome is unknown: it may yet be done, or come back after a crash."""


class StoreUnknown(StoreUncertain):
    """A commit that stands or does not, which is not known; it is neither made again nor taken back (rule 51)."""


class LeadershipLost(StoreError):  # noqa: N818
    """Another replica decides by now: what was asked for is not done, and nothing more of this term is."""


class StoreConflict(StoreError):  # noqa: N818
    """A store is not as it has to be for what was asked; nothing was changed."""


class ChangeTooLarge(StoreError):  # noqa: N818
    """A change that a store never takes at once; nothing was changed."""


class StoreLocked(StoreError):  # noqa: N818
    """Another daemon holds the state directory."""


class DockerUnavailable(BluegreenError):  # noqa: N818
    """The Docker Engine does not answer."""


class ListenError(BluegreenError):
    """An address to listen on cannot be used."""


class AddressError(ListenError):
    """A text that is no address, to listen on or to ask."""


class RuleError(BluegreenError):
    """A text that is no rule of a Traefik router."""


class TraefikError(BluegreenError):
    """A Traefik started by us did not come up or cannot be found."""
