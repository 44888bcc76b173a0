"""What following an engine and following its Swarm have in common: what they are asked for, and their sessions."""

import asyncio
from abc import ABC, abstractmethod

from provider.docker import engine
from provider.docker.labels import Scope
from provider.docker.reconnect import Reconnect
from provider.model import Engine


class Following(ABC):
    """Keeps what is to be listed, and runs session after session with one engine.

    `base_url` is as `Engine` takes it. Every request is given up after `timeout_s`. The subscription and the complete
    list are renewed every `refresh_s`. Attempts to reconnect are `backoff_s` to `backoff_max_s` apart.
    """

    def __init__(
        self,
        base_url: str | Engine | None,
        *,
        timeout_s: float,
        refresh_s: float,
        backoff_s: float,
        backoff_max_s: float,
    ) -> None:
        self._engine = engine.Engine(base_url, timeout_s=timeout_s, silence_s=2 * refresh_s + 3 * timeout_s)
        self._refresh_s = refresh_s
        self._reconnect = Reconnect(
            self._engine.shown_url, self._report_away, backoff_s=backoff_s, backoff_max_s=backoff_max_s
        )
        self._scope: Scope | None = None
        self._wake = asyncio.Event()
        self._is_all_due = False
        self._due: set[str] = set()
        self._voided = 0

    def set_scope(self, scope: Scope) -> None:
        """Use only what belongs to this environment."""
        if scope != self._scope:
            self._scope = scope
            self._list_all_soon()

    def relist(self, service: str) -> None:
        """List a service again; the sink gets the result even when nothing has changed."""
        self._due.add(service)
        self._wake.set()

    def void(self) -> None:
        """List everything again over a new subscription, and drop the result of a list that is under way."""
        self._voided += 1
        self._wake.set()

    async def run(self) -> None:
        """Follow the engine until cancelled; it sends no request before there is a scope."""
        while self._scope is None:
            await self._wake.wait()
            self._wake.clear()
        await self._reconnect.run(self._session)

    @property
    def _asked(self) -> tuple[Scope, int]:
        """What a list is for; the result of one for something else is dropped."""
        assert self._scope is not None, "a session begins once there is a scope"
        return self._scope, self._voided

    def _list_all_soon(self) -> None:
        self._is_all_due = True
        self._wake.set()

    @abstractmethod
    async def _session(self) -> None:
        """Follow the engine for as long as it answers; only an error ends it."""

    @abstractmethod
    def _report_away(self, cause: str) -> None:
        """Report that a session has ended, and why."""
