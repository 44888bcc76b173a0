"""A leader without Docker leaves the lead to a replica that has it (rule 58)."""

import asyncio
from pathlib import Path

import pytest

from provider.app import docker_presence
from provider.app.docker_presence import DockerPresence
from provider.controller.lasting import Lasting
from provider.controller.replica import Replica
from provider.store.etcd.replicas import ReplicaInfo
from provider.traefik.process import free_ports
from tests.support.running import running
from tests.support.waiting import eventually


class Other:
    """Another replica, and what this one says and does."""

    def __init__(self) -> None:
        self.has_docker: bool | None = True
        self.said: list[bool] = []
        self.resigned = asyncio.Event()

    def presence(self, replica: Replica) -> DockerPresence:
        (nowhere,) = free_ports(1)
        return DockerPresence(f"tcp://127.0.0.1:{nowhere}", replica, self.lives, self.said.append, self.resigned.set)

    def lives(self) -> list[ReplicaInfo]:
        return [ReplicaInfo(id="two", name="two", has_docker=self.has_docker)]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_presence, "LOOK_S", 0.01)


async def test_a_replica_without_docker_does_not_stand_while_another_has_it() -> None:
    """Rule 58."""
    other = Other()
    presence = other.presence(Replica(Lasting()))
    assert presence.hindrance is None, "it has not looked yet"
    looking = asyncio.create_task(presence.run())
    try:
        await eventually(lambda: other.said)
        assert other.said == [False]
        hindrance = str(presence.hindrance)
        assert hindrance == "Docker does not answer here, and replica two has it"
        for nobody in (False, None):
            other.has_docker = nobody
            assert presence.hindrance is None, "somebody has to lead"
    finally:
        looking.cancel()


async def test_a_leader_without_docker_resigns_after_a_while_to_one_that_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 58: and goes on leading while nobody has it."""
    monkeypatch.setattr(docker_presence, "WITHOUT_S", 0.05)
    other = Other()
    other.has_docker = False
    async with running(tmp_path / "state", docker=True) as daemon:
        presence = other.presence(daemon.replica)
        looking = asyncio.create_task(presence.run())
        try:
            await eventually(lambda: other.said)
            daemon.controller.inputs.docker_connected(True, None)
            await eventually(lambda: other.said[-1])
            daemon.controller.inputs.docker_connected(False, "connection refused")
            await eventually(lambda: not other.said[-1])
            assert not other.resigned.is_set()
            other.has_docker = True
            await other.resigned.wait()
        finally:
            looking.cancel()
