"""Services, tasks and nodes that no manager would list: each is read, or says that it cannot be, and harms no other."""

import copy
import os
import random
from typing import Any

from docker.errors import NotFound

from provider.docker.labels import Scope
from provider.docker.swarm.listing import Listing
from provider.docker.swarm.servers import sight
from tests.support.swarm_answers import ANSWERS

EXAMPLES = int(os.environ.get("BLUEGREEN_EXAMPLES", "150"))
SCOPE = Scope("production", required=False)
VALUES: tuple[Any, ...] = (
    *(None, "", "shop", "running", "x" * 100_000, "a\nb", "a\0b", "\u202e", "\ud800", "10.0.0.9/24", "::1"),
    *(0, -1, 80, 10**400, 1.5, True, [], {}, [None], [{}], ["a"], {"a": "b"}, {"a": None}, {"Labels": 7}),
)


class Manager:
    """A client whose manager answers what it is given."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers

    def services(self, **_: object) -> Any:
        return self.answers["services"]

    def tasks(self, **_: object) -> Any:
        return self.answers["tasks"]

    def nodes(self) -> Any:
        return self.answers["nodes"]


def mutate(value: Any, at: random.Random) -> Any:
    """Replace one thing somewhere inside a value."""
    if isinstance(value, dict) and value and at.random() < 0.9:
        key = at.choice(list(value))
        return {**value, key: mutate(value[key], at)}
    if isinstance(value, list) and value and at.random() < 0.9:
        place = at.randrange(len(value))
        return [*value[:place], mutate(value[place], at), *value[place + 1 :]]
    return at.choice(VALUES)


def test_any_answer_is_read_or_says_how_much_of_it_cannot_be() -> None:
    """Nothing from outside is without a bound. A seed that fails is played again by `random.Random(seed)`."""
    servers = unreadable = 0
    for seed in range(EXAMPLES):
        at = random.Random(seed)
        answers: dict[str, Any] = copy.deepcopy(dict(ANSWERS))
        for _ in range(at.randrange(1, 20)):
            kind = at.choice(("services", "tasks", "nodes"))
            place = at.randrange(len(answers[kind]))
            answers[kind][place] = mutate(answers[kind][place], at)
        found = Listing().listed(Manager(answers), (), every=True)  # type: ignore[arg-type]
        unreadable += found.unreadable
        for service in found.services:
            for sighting in sight(service, found.tasks.get(service.id, ()), found.nodes, SCOPE):
                texts = f"{sighting.service}{sighting.name}{sighting.warning}{sighting.fix}{sighting.server}"
                texts.encode()
                assert len(texts) < 20_000, seed
                servers += sighting.server is not None
    assert servers > EXAMPLES
    assert unreadable > 0


def test_a_service_that_is_removed_between_two_requests_is_no_fault() -> None:
    class Changing(Manager):
        count = 0

        def tasks(self, **_: object) -> Any:
            self.count += 1
            if self.count == 1:
                raise NotFound("service not found")
            return super().tasks()

    assert Listing().listed(Changing(copy.deepcopy(dict(ANSWERS))), (), every=True).services  # type: ignore[arg-type]
