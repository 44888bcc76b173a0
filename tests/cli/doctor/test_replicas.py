"""What the doctor learns from a real etcd, and from replicas at the addresses that they give to others."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from provider.api.about import About
from provider.api.admin import admin_app
from provider.cli.client.admin_api import Admin
from provider.cli.doctor.checks.replicas import ClusterHealth, check_etcd
from provider.cli.doctor.examine import Options, examine
from provider.cli.doctor.facts import etcd as etcd_facts
from provider.cli.doctor.facts import replicas as replica_facts
from provider.cli.doctor.findings import Code
from provider.controller.replica import Peer
from provider.model import ConditionCode, condition
from provider.model.errors import StoreError
from provider.store.etcd.address import parse_address
from provider.store.etcd.client import connect
from provider.store.etcd.gateway import Put
from tests.support.answers import REPLICAS
from tests.support.etcd import Cluster, User
from tests.support.running import listening, running, shop
from tests.support.stores import NOON
from tests.support.waiting import eventually
from tests.support.worlds import BLUE

USER = User("bluegreen", "its password", "/bluegreen/")
QUOTA_BYTES = 64 * 1024


async def test_a_real_etcd_that_is_full_says_so_and_whether_it_was_compacted(tmp_path: Path) -> None:
    """Rule 65: with a user who may read and write no more than the prefix."""
    file = tmp_path / "user"
    file.write_text(f"{USER.name}:{USER.password}")
    file.chmod(0o600)
    with Cluster(tmp_path, quota_backend_bytes=QUOTA_BYTES) as etcd:
        etcd.enable_users(USER)
        address = parse_address(f"etcd://{etcd.addresses}/bluegreen/test")
        before = await etcd_facts.gather(address, file)
        (member,) = before.health
        assert (before.members, before.failures, before.is_compacted) == (1, (), False)
        assert (member.has_leader, member.alarms, member.quota_bytes) == (True, (), QUOTA_BYTES)
        assert member.version.startswith("3.")
        gateway = connect(address, file)

        async def filled() -> ClusterHealth:
            with suppress(StoreError):  # for lack of space, at last
                await gateway.transact((), [Put(b"/bluegreen/test/a", b"a" * 40_000)])
            seen = await etcd_facts.gather(address, file)
            assert [one.alarms for one in seen.health] == [("NOSPACE",)], "it is raised a moment after the refusal"
            return seen

        full = await eventually(filled)
        await gateway.close()
        etcd.compact()
        after = await etcd_facts.gather(address, file)
    assert Code.ETCD_ALARM in [one.code for one in check_etcd(full)]
    assert after.is_compacted
    gone = await etcd_facts.gather(address, None)
    assert (gone.health, gone.members, gone.is_compacted) == ((), None, None)
    assert "connection refused" in gone.failures[0][1]


async def test_each_replica_is_asked_who_it_is(tmp_path: Path) -> None:
    async with running(tmp_path / "state") as daemon, listening(admin_app(daemon.replica)) as address:
        known = [
            {**REPLICAS[0], "admin": address},
            {**REPLICAS[1], "admin": f"unix:{tmp_path / 'none'}"},
            {**REPLICAS[2], "away": True},
        ]
        overview: object = {"replicas": known, "conditions": []}
        reached = await replica_facts.gather(Admin(address), overview)  # type: ignore[arg-type]  # a part of it
    assert [(one.replica, one.answers is None) for one in reached] == [("node-1", False), ("node-2", True)]
    assert reached[1].failure


async def test_a_daemon_is_asked_for_conditions_of_its_own(tmp_path: Path) -> None:
    async with running(tmp_path / "state") as daemon, listening(admin_app(daemon.replica)) as address:
        daemon.replica.name = "node-2"
        daemon.replica.conditions.put(condition(ConditionCode.STORE_AWAY, NOON, cause="node-2 is called so, too"))
        own = await asyncio.to_thread(replica_facts.own, Admin(address))
    assert own is not None
    assert own.answers == "node-2"
    assert ["node-2 is called so, too" in one["message"] for one in own.conditions] == [True]


async def test_a_store_that_is_no_etcd_is_not_looked_at_and_a_wrong_address_is_said(tmp_path: Path) -> None:
    """P2."""

    async def skipped(url: str) -> list[str]:
        found = await examine(Options(None, traefiks=(), docker="none", store=url))
        return [one.because for one in found.skipped if one.what == "etcd"]

    assert await skipped(f"sqlite:{tmp_path}") == []
    assert "is no HOST:PORT" in (await skipped("etcd://a:b:c/x"))[0]


class TwoReplicas:
    """What a daemon knows of two replicas, of which the second gives its address to nobody."""

    store_age_s = 0.1

    def __init__(self, address: str) -> None:
        self.address = address

    def known(self) -> list[Peer]:
        one = Peer("one", self.address, "1.0", is_away=False, leads=True, revision=1, pollers=0, behind=0)
        return [one, replace(one, name="two", admin=None, leads=False)]


async def test_of_replicas_the_desired_state_is_the_one_in_their_store(tmp_path: Path) -> None:
    """Rule 62: no file of theirs has to be here."""
    async with running(tmp_path / "state") as daemon, listening(admin_app(daemon.replica, about=About())) as address:
        daemon.replica.peers = TwoReplicas(address)  # type: ignore[assignment]  # all that is asked for
        daemon.replica.name = "one"
        daemon.load(shop())
        await daemon.judge(BLUE)
        found = await examine(Options(Admin(address), traefiks=(), docker="none"))
    assert Code.REPLICA_UNREACHABLE not in [one.code for one in found.findings]
    assert {"replicas one, two", "desired state of the replicas"} <= set(found.checked)
    skipped = {one.what: one.because for one in found.skipped}
    assert "--store" in skipped["etcd"]
    assert "the desired state" not in skipped
