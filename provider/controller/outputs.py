"""What the controller asks of the edges, and who hears of what it does."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from provider.checks.analysis import Analyser
from provider.checks.health import HealthChecker
from provider.checks.smoke import SmokeTester
from provider.model import Condition, Decision
from provider.traefik.readback import ReadBack

if TYPE_CHECKING:
    from provider.docker.kinds import Discovery  # its SDK takes a tenth of a start, also without Docker


@dataclass(frozen=True, slots=True)
class Outputs:
    """The edges that are asked for something; `lister` is None where the daemon does without Docker."""

    prober: HealthChecker
    tester: SmokeTester
    reader: ReadBack
    analyser: Analyser
    lister: "Discovery | None" = None

    def relist(self, services: Iterable[str]) -> None:
        """Have Docker list services once more."""
        if self.lister is not None:
            for service in services:
                self.lister.relist(service)

    def void(self) -> None:
        """Have all evidence gathered again."""
        self.prober.void()
        self.tester.void()
        self.analyser.void()
        if self.lister is not None:
            self.lister.void()


def _nobody(*_: object) -> None: ...


@dataclass(frozen=True, slots=True)
class Listeners:
    """Who hears of what is new.

    `on_decision` hears of every decision that is on disk, `on_change` of the groups of which something else is known,
    and `on_service_condition` of each condition of a service that came.
    """

    on_decision: Callable[[Decision], None] = _nobody
    on_change: Callable[[Iterable[str]], None] = _nobody
    on_service_condition: Callable[[str, Condition], None] = _nobody
