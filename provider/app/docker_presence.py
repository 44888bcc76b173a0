"""A leader without Docker leaves the lead to a replica that has it (rule 58)."""

import asyncio
from collections.abc import Callable, Iterable

import structlog

from provider.controller.replica import Replica
from provider.model.errors import DockerUnavailable
from provider.runtime.clock import CLOCK
from provider.store.etcd.replicas import ReplicaInfo

log = structlog.get_logger("bluegreen")

LOOK_S = 5.0
ANSWER_S = 5.0
WITHOUT_S = 30.0
"""An engine that is restarted is back before."""


class DockerPresence:
    """Whether Docker answers this replica. `others` are the other replicas that live, `say` tells them what is known
    here, `resign` ends the term.
    """

    def __init__(
        self,
        url: str | None,
        replica: Replica,
        others: Callable[[], Iterable[ReplicaInfo]],
        say: Callable[[bool], None],
        resign: Callable[[], None],
    ) -> None:
        self._url, self._replica = url, replica
        self._others, self._say, self._resign = others, say, resign
        self._answers: bool | None = None
        self._since_mono_s = CLOCK.mono_s

    @property
    def hindrance(self) -> str | None:
        """Why this replica must not stand for election; None where it may."""
        has_it = self._who_has_it()
        if self._answers is not False or has_it is None:
            return None
        return f"Docker does not answer here, and replica {has_it} has it"

    async def run(self) -> None:
        """Look whether Docker answers, and resign where it has not for long and does elsewhere."""
        while True:
            answers = await self._look()
            if answers is not self._answers:
                self._answers, self._since_mono_s = answers, CLOCK.mono_s
                self._say(answers)
            is_long = CLOCK.mono_s >= self._since_mono_s + WITHOUT_S
            if self._replica.controller is not None and not answers and is_long and (has_it := self._who_has_it()):
                log.warning("this replica leads without Docker, and resigns to one that has it", replica=has_it)
                self._resign()
            await asyncio.sleep(LOOK_S)

    async def _look(self) -> bool:
        if self._replica.controller is not None:
            return self._replica.controller.state.docker.answers_at_all
        from provider.docker.engine import Engine  # noqa: PLC0415  its SDK takes a tenth of a start

        try:
            connection = await Engine(self._url, timeout_s=ANSWER_S, silence_s=ANSWER_S).connect()
        except DockerUnavailable:
            return False
        connection.close()
        return True

    def _who_has_it(self) -> str | None:
        return next((one.name for one in self._others() if one.has_docker), None)
