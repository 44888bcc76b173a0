"""The desired state of a daemon without a file: every service is what the labels of its containers say (rule 35)."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from json import dumps

from provider.config.directory import Whole
from provider.config.environment import environment_of
from provider.controller.desired_source import Accepted, Submitted
from provider.controller.loading import Loader
from provider.model.document import AppliedText
from provider.model.errors import DesiredStateError, FollowsFile, Problem

NAME = "labels"


def labels_text(environment: str) -> str:
    """Return the desired state by which every container's service is what its labels say."""
    return f"environment: {dumps(environment)}\nservices: auto\n"


class LabelsDesired:
    """See the module; `environment` is the one whose containers count."""

    place = NAME

    def __init__(self, environment: str, loader: Loader) -> None:
        self._environment, self._text, self._loader = environment, labels_text(environment), loader

    async def first(self, accepted_last: str | None, applied: AppliedText | None = None) -> None:
        """Load the text. Raises DesiredStateError where the store is another environment's: its containers would go."""
        before = await asyncio.to_thread(environment_of, accepted_last) if accepted_last is not None else None
        if before not in {None, self._environment}:
            why = (
                f"--environment is {self._environment}, and the store has the decisions of {before}, whose servers "
                f"would leave the traffic: start it with --environment {before}, or with a --state-dir of its own"
            )
            raise DesiredStateError((Problem(NAME, 1, 1, "environment", why),))
        await self._loader.first(lambda: Whole(self._text, NAME), NAME, None, applied)

    async def preview(self, submitted: Submitted) -> Accepted:
        """Return what a text would change."""
        return (await self._loader.compare(submitted))[1]

    async def apply(self, submitted: Submitted) -> Accepted:  # noqa: ARG002  whatever it is
        """Raise FollowsFile."""
        raise FollowsFile("this daemon follows the labels of containers: to change more, start it with --desired-state")

    def loops(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Return no loop: nothing changes."""
        return {}
