"""What an input, or a plan that was adopted, makes the controller look at again."""

from collections.abc import Set
from dataclasses import dataclass
from typing import NamedTuple

from provider.model import GroupState, SmokeRun
from provider.model.analysed import Followed
from provider.model.document import AppliedText


@dataclass(frozen=True, slots=True)
class Touched:
    """The groups to decide on again, to publish again, and to save.

    None wakes no loop; no groups at all still wake it, for what belongs to no group.
    """

    decide: Set[str] | None = None
    publish: Set[str] | None = None
    save: Set[str] | None = None

    def __or__(self, other: "Touched") -> "Touched":
        return Touched(
            _joined(self.decide, other.decide),
            _joined(self.publish, other.publish),
            _joined(self.save, other.save),
        )


NOTHING = Touched()


class Adopted(NamedTuple):
    """What the state of a group was before a plan was adopted, and what that touched.

    `runs` are the smoke tests to make in place of those before, and `followed` the services to analyse; None where
    these stay.
    """

    before: GroupState | None
    runs: tuple[SmokeRun, ...] | None
    touched: Touched
    followed: tuple[Followed, ...] | None = None


class Texts(NamedTuple):
    """The text of the desired-state file, and the one that every Traefik applied; None where there is none yet."""

    desired: str | None
    applied: AppliedText | None

    def over(self, before: "Texts") -> "Texts":
        """Return these, and those before where there is none."""
        return Texts(
            self.desired if self.desired is not None else before.desired,
            self.applied if self.applied is not None else before.applied,
        )


NO_TEXTS = Texts(None, None)


def both(keys: Set[str]) -> Touched:
    """Have groups decided on and published again."""
    return Touched(keys, keys)


def _joined(one: Set[str] | None, other: Set[str] | None) -> Set[str] | None:
    return other if one is None else one if other is None else one | other
