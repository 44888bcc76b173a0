"""Three replicas in processes of their own over three real nodes of etcd, while both are killed, frozen and cut off."""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from tests.support.etcd import Cluster
from tests.support.etcd_broken import NoCompareOfTheHead, NoFence
from tests.support.etcd_proxy import Proxy
from tests.support.etcd_witness import witness
from tests.support.replica_daemons import DaemonHost, desired_state
from tests.support.replica_faults import SmallHost, play
from tests.support.replica_story import PREFIX, Told
from tests.support.traefik import Backend

LASTS_S = float(os.environ.get("BLUEGREEN_FAULTS_S", "10"))
IS_HUNT = "BLUEGREEN_FAULTS_S" in os.environ


@pytest.mark.takes(20)
@pytest.mark.parametrize("seed", range(3 if IS_HUNT else 1))
async def test_nothing_acknowledged_is_lost_and_nothing_void_stands(etcd_cluster: Cluster, seed: int) -> None:
    """Rules 50 to 55: leaders and nodes killed and frozen, quorum lost, compaction, answers lost, requests late."""
    told = await play(seed, etcd_cluster, SmallHost, lasts_s=LASTS_S)
    found = witness(PREFIX, told.history, told.records)
    assert not found.faults
    assert told.is_settled
    assert found.commits
    assert found.documents


@pytest.mark.skipif(not IS_HUNT, reason="takes minutes: make hunt")
@pytest.mark.parametrize("build", [NoCompareOfTheHead, NoFence])
async def test_a_build_that_breaks_rule_51_is_found(tmp_path: Path, build: type) -> None:
    for seed in range(5):
        folder = tmp_path / str(seed)
        folder.mkdir()
        with Cluster(folder, 3) as cluster:
            told = await play(seed, cluster, partial(SmallHost, broken=build.__name__), lasts_s=60)
        if witness(PREFIX, told.history, told.records).faults:
            return
    pytest.fail("not found in five minutes")


@pytest.mark.skipif(not IS_HUNT, reason="takes minutes: make hunt")
async def test_daemons_lose_no_command_and_are_never_dark(
    etcd_cluster: Cluster, tmp_path: Path, blue: Backend, green: Backend
) -> None:
    """The same with whole daemons: P4, P6, and rule 60, as every replica is asked."""
    hosts: list[DaemonHost] = []

    def make(name: str, proxies: Sequence[Proxy], told: Told) -> DaemonHost:
        hosts.append(DaemonHost(name, proxies, told, folder=tmp_path, text=desired_state(blue.url, green.url)))
        return hosts[-1]

    told = await play(7, etcd_cluster, make, lasts_s=LASTS_S)
    found = witness(PREFIX, told.history, told.records, is_counted=False)
    assert not found.faults
    assert told.is_settled, [host.words() for host in hosts]
    assert found.commits
    assert [host.dark for host in hosts] == [[], [], []]
