"""Where the desired state comes from: a file that is followed, or the store of several replicas (rule 62)."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from provider.config.changes import Changed
from provider.model.document import AppliedText


@dataclass(frozen=True, slots=True)
class Submitted:
    """A text that somebody wants in force; `name` is that of its file in messages, `actor` who sends it.

    With `expect` it replaces only the text with that hash; one that `is_first` replaces none.
    """

    text: str
    name: str
    actor: str
    expect: str | None = None
    is_first: bool = False


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a text that is valid changes, or would; `already` where it is the one in force."""

    sha256: str
    changes: tuple[Changed, ...] = ()
    already: bool = False


class DesiredSource(Protocol):
    """See the module. `place` is the path of the file, or `store`."""

    place: str

    async def first(self, accepted_last: str | None, applied: AppliedText | None = None) -> None:
        """Load what there is at the beginning of a term. Raises DesiredStateError."""
        ...

    async def preview(self, submitted: Submitted) -> Accepted:
        """Return what a text would change. Raises DesiredStateError, StoreConflict."""
        ...

    async def apply(self, submitted: Submitted) -> Accepted:
        """Have a text in force, durably.

        Raises FollowsFile, DesiredStateError, StoreConflict, StoreUncertain and other StoreErrors; nothing was done
        then, unless it is a StoreUncertain.
        """
        ...

    def loops(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Return what must run, by name, for the rest of the term."""
        ...
