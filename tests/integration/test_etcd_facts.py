"""What the store of several replicas relies on in etcd, and that the nodes of these tests fail as they are told."""

from pathlib import Path
from urllib.error import HTTPError

import pytest

from tests.support.certificates import Authority
from tests.support.etcd import Cluster, Node, User, encode

HELLO = {"key": encode(b"/bluegreen/a"), "value": encode(b"hello")}


async def test_what_a_killed_leader_acknowledged_is_there_with_the_next(etcd_cluster: Cluster) -> None:
    etcd_cluster.call("/v3/kv/put", HELLO)
    first = etcd_cluster.leader()
    first.kill()
    assert etcd_cluster.leader() is not first
    assert read(etcd_cluster.leader()) == HELLO["value"]
    etcd_cluster.start(first)
    await etcd_cluster.ready()
    assert read(first) == HELLO["value"]


async def test_a_frozen_leader_is_replaced_and_follows_when_it_goes_on(etcd_cluster: Cluster) -> None:
    first = etcd_cluster.leader()
    first.freeze()
    others = [node for node in etcd_cluster.nodes if node is not first]
    with pytest.raises(TimeoutError):
        first.call("/v3/kv/put", HELLO, limit_s=0.5)
    await etcd_cluster.ready(*others)
    first.thaw()
    await etcd_cluster.ready()
    assert first in etcd_cluster.followers()


async def test_users_are_let_in_to_their_prefix_over_tls(tmp_path: Path) -> None:
    """Rule 63."""
    user = User("bluegreen", "secret")
    with Cluster(tmp_path, tls=Authority(tmp_path)) as cluster:
        cluster.enable_users(user)
        (node,) = cluster.nodes
        token = node.call("/v3/auth/authenticate", {"name": user.name, "password": user.password})["token"]
        node.call("/v3/kv/put", HELLO, token)
        assert read(node, token) == HELLO["value"]
        with pytest.raises(HTTPError):
            node.call("/v3/kv/put", {**HELLO, "key": encode(b"/elsewhere")}, token)
        with pytest.raises(HTTPError):
            read(node, "unknown")
        assert cluster.compact() > 1


def read(node: Node, token: str = "") -> object:
    return node.call("/v3/kv/range", {"key": HELLO["key"]}, token)["kvs"][0]["value"]
