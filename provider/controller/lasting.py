"""What a process keeps from one term to the next: the document it serves, who polls it, and its conditions."""

from dataclasses import dataclass, field

from provider.controller.publication import Publication
from provider.observability.active_conditions import Conditions
from provider.traefik.pollers import Pollers


@dataclass(frozen=True, slots=True)
class Lasting:
    """See the module; a daemon alone has one term, which is as long as its life."""

    publication: Publication = field(default_factory=Publication)
    pollers: Pollers = field(default_factory=Pollers)
    conditions: Conditions = field(default_factory=Conditions)
