"""The desired state of a daemon without a file: every service is what the labels of its containers say (rule 35)."""

from collections.abc import Awaitable, Callable, Mapping
from json import dumps

from provider.config.directory import Whole
from provider.controller.desired_source import Accepted, Submitted
from provider.controller.loading import Loader
from provider.model.document import AppliedText
from provider.model.errors import FollowsFile

NAME = "labels"


def labels_text(environment: str) -> str:
    """Return the desired state by which every container's service is what its labels say."""
    return f"environment: {dumps(environment)}\nservices: auto\n"


class LabelsDesired:
    """See the module; `environment` is the one whose containers count."""

    place = NAME

    def __init__(self, environment: str, loader: Loader) -> None:
        self._text, self._loader = labels_text(environment), loader

    async def first(self, accepted_last: str | None, applied: AppliedText | None = None) -> None:  # noqa: ARG002  it never changes
        """Load the text."""
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
