"""Follows the engines of the file, each by itself, and reports them as one Docker; without any, that of `--docker`.

The engines come with the scope and change with it. One that does not answer keeps its own servers (P4): the others are
reported all the same, together with what is known of each engine.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from provider.docker import kinds
from provider.docker.inventory import Sink
from provider.docker.joined import Joined, Part
from provider.docker.kinds import Discovery
from provider.docker.labels import Scope
from provider.model import DockerMode, Engine, EngineSeen


class HostsSink(Sink, Protocol):
    """Receives as well what is known of each engine of the file; `docker_connected` is for the one of `--docker`."""

    def docker_engines(self, engines: Mapping[str, EngineSeen]) -> None:
        """Take what is known of each engine of the file, before any list that this says something of.

        Without any there is the one of `--docker`.
        """


@dataclass(slots=True)
class _Followed:
    """An engine that is followed; `engine` is None for the one of `--docker`."""

    engine: Engine | None
    part: Part
    discovery: Discovery
    task: asyncio.Task[None] | None = None

    def end(self) -> None:
        if self.task is not None:
            self.task.cancel()


class Hosts:
    """Follows several engines; `base_url` is the one where the file has none. Raises DockerUnavailable as `follow`."""

    def __init__(
        self, sink: HostsSink, *, mode: DockerMode, base_url: str | None, docker_host_address: str | None = None
    ) -> None:
        self._mode, self._base_url, self._host_address = mode, base_url, docker_host_address
        self._joined = _Engines(sink)
        self._followed: dict[str | None, _Followed] = {None: self._new(None)}
        self._joined.parts = [self._followed[None].part]
        self._changed = asyncio.Event()

    def set_scope(self, scope: Scope) -> None:
        """Use only what belongs to this environment, on the engines of the file."""
        wanted: dict[str | None, Engine | None] = {engine.name: engine for engine in scope.engines} or {None: None}
        before, self._followed = self._followed, {}
        for name, engine in wanted.items():
            followed = before.pop(name, None)
            if followed is None or not _is_same(followed.engine, engine):
                followed = self._new(engine, followed)
            followed.engine = engine
            self._followed[name] = followed
        for gone in before.values():
            gone.end()
        parts = [followed.part for followed in self._followed.values()]
        if parts != self._joined.parts:
            self._joined.replace(parts)
        for followed in self._followed.values():
            address = followed.engine.address if followed.engine is not None else None
            one = replace(scope, engines=(), address=address, is_one=len(scope.engines) > 1)
            followed.discovery.set_scope(one)
        self._changed.set()

    def relist(self, service: str) -> None:
        """List a service again on every engine."""
        for followed in self._followed.values():
            followed.discovery.relist(service)

    def void(self) -> None:
        """List everything again, on every engine."""
        self._joined.void()
        for followed in self._followed.values():
            followed.discovery.void()

    async def run(self) -> None:
        """Follow the engines until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    self._changed.clear()
                    for name, followed in self._followed.items():
                        if followed.task is None:
                            task = group.create_task(followed.discovery.run(), name=f"engine {name or ''}".rstrip())
                            followed.task = task
                    await self._changed.wait()
        finally:
            for followed in self._followed.values():
                followed.task = None

    def _new(self, engine: Engine | None, before: _Followed | None = None) -> _Followed:
        """Return an engine to follow; one that is reached otherwise than `before` keeps what is known of it."""
        part = Part(self._joined, engine.name if engine is not None else None)
        if before is not None:
            before.end()
            part.take_over(before.part)
        base_url = engine if engine is not None else self._base_url
        discovery = kinds.follow(self._mode, part, base_url=base_url, docker_host_address=self._host_address)
        return _Followed(engine, part, discovery)


def _is_same(before: Engine | None, engine: Engine | None) -> bool:
    """Return whether an engine is reached as before."""
    if before is None or engine is None:
        return before is engine
    return (before.url, before.tls) == (engine.url, engine.tls)


class _Engines(Joined):
    """Reports as soon as one engine has listed everything; who hears it knows what is missing by `docker_engines`."""

    sink: HostsSink

    def __init__(self, sink: HostsSink) -> None:
        super().__init__(sink)
        self._has_reported = False

    def replace(self, parts: list[Part]) -> None:
        """Have these parts from now on."""
        self.parts = parts
        self.report_connected()
        if self._has_reported:
            self.report_all()
            self.report_warnings()

    @property
    def is_ready(self) -> bool:
        """Whether any engine has listed everything: what the others had stays known where it is kept."""
        return self._has_reported or any(part.is_listed for part in self.parts)

    def report_all(self) -> None:
        """Report all services, and before that which engines have listed theirs."""
        self.report_connected()
        self._has_reported = self.is_ready
        super().report_all()

    def listed_mono_s(self, service: str) -> float:
        """Return when a service was listed, by the oldest list of the engines on which it lives."""
        lives = [part for part in self.parts if service in part.services]
        return min((part.listed_mono_s(service) for part in lives or self.parts if part.is_listed), default=0.0)

    def report_connected(self) -> None:
        """Report what is known of each engine, and whether that of `--docker` answers."""
        engines = {
            part.name: EngineSeen(part.is_listed, part.is_connected, part.cause)
            for part in self.parts
            if part.name is not None
        }
        self.sink.docker_engines(engines)
        if not engines:
            super().report_connected()
