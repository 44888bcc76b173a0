"""Which groups have a rollout under way, by what it waits for."""

from collections.abc import Mapping

from provider.model import GroupState, Phase


class Rollouts:
    """The groups with a rollout `under_way`.

    Those that are `moving` may get other weights at any moment, or just did. Of those that are `watched` the candidates
    have traffic: in steps, confirming or watching.
    """

    def __init__(self, groups: Mapping[str, GroupState]) -> None:
        self.under_way: set[str] = set()
        self.moving: set[str] = set()
        self.watched: set[str] = set()
        for key, state in groups.items():
            self.follow(key, state)

    def follow(self, key: str, state: GroupState) -> None:
        """Take what was decided about a group."""
        rollout = state.rollout
        step = rollout.step if rollout is not None else None
        is_resting = step is not None and step.shown_mono_s is not None and step.passed_mono_s is None
        is_moving = rollout is not None and rollout.phase is not Phase.APPROVAL and not is_resting
        has_traffic = rollout is not None and (rollout.is_switched or step is not None)
        (self.under_way.discard if rollout is None else self.under_way.add)(key)
        (self.moving.add if is_moving else self.moving.discard)(key)
        (self.watched.add if has_traffic else self.watched.discard)(key)
