"""What the doctor says of several replicas, and of the etcd that they share."""

from typing import Any

import pytest

from provider.cli.doctor.checks.replicas import ClusterHealth, MemberHealth, Reached, check, check_etcd
from provider.cli.doctor.findings import Code
from tests.support.answers import REPLICAS

ONE, TWO, THREE = REPLICAS
AWAY = {"code": "replica-away", "severity": "warning", "message": "node-3 is away", "since": None}
MIB = 1 << 20


def overview(*replicas: Any, conditions: Any = ()) -> Any:
    return {"replicas": list(replicas), "conditions": list(conditions)}


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (overview(), []),
        (overview(ONE, TWO, THREE), []),
        (overview(TWO, THREE), [Code.NO_LEADER]),
        (overview(ONE, {**TWO, "version": "0.9"}), [Code.REPLICA_VERSIONS]),
        (overview(ONE, {**THREE, "away": True, "version": None}), [Code.REPLICA_AWAY]),
        (overview(ONE, {**THREE, "away": True, "version": None}, conditions=[AWAY]), []),
    ],
)
def test_replicas_need_a_leader_and_one_version_and_none_may_be_away(seen: Any, expected: list[Code]) -> None:
    """Rules 59, 64; a condition of the daemon is a finding already."""
    assert [one.code for one in check(seen, ())] == expected


@pytest.mark.parametrize(
    ("reached", "words"),
    [
        (Reached("node-2", "http://a", "node-2"), None),
        (Reached("node-2", "http://a", "node-1"), "at http://a, which it gives to the others, node-1 answers"),
        (Reached("node-2", "http://a"), "another daemon answers"),
        (Reached("node-2", "http://a", failure="no route"), "does not answer from here: no route"),
    ],
)
def test_a_replica_answers_at_the_address_that_it_gives_to_the_others(reached: Reached, words: str | None) -> None:
    found = list(check(overview(ONE, TWO), (reached,)))
    assert [one.code for one in found] == ([Code.REPLICA_UNREACHABLE] if words else [])
    assert all(words is not None and words in one.what for one in found)


def test_a_condition_that_only_a_replica_itself_knows_is_a_finding_once() -> None:
    """As of one whose name another one has: it does not lead, and who leads does not know of it."""
    taken = {**AWAY, "code": "store-away", "severity": "critical", "message": "another replica is called node-2, too"}
    told: Any = (AWAY, taken, {**AWAY, "severity": "info", "message": "news"})
    reached = (Reached("node-2", "http://a", "node-2", conditions=told), Reached("node-2", "", "node-2", None, told))
    (found,) = check(overview(ONE, TWO, conditions=[AWAY]), reached)
    assert (found.code, found.where) == (Code.CONDITION_CRITICAL, "replica node-2, store-away")
    assert found.what == "another replica is called node-2, too"


def member(**changed: Any) -> MemberHealth:
    return MemberHealth(
        **{
            "endpoint": "http://node-1:2379",
            "version": "3.5.30",
            "revision": 5000,
            "has_leader": True,
            "size_bytes": 10 * MIB,
            "quota_bytes": 2048 * MIB,
            "alarms": (),
            **changed,
        }
    )


def cluster(*health: MemberHealth, **changed: Any) -> ClusterHealth:
    return ClusterHealth(**{"health": health, "failures": (), "members": 3, "is_compacted": True, **changed})


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (cluster(member()), []),
        (cluster(member(), members=None, is_compacted=None), []),
        (cluster(member(has_leader=False)), [Code.ETCD_NO_LEADER]),
        (cluster(member(alarms=("NOSPACE",), size_bytes=2048 * MIB)), [Code.ETCD_ALARM]),
        (cluster(member(alarms=("CORRUPT",))), [Code.ETCD_ALARM]),
        (cluster(member(size_bytes=1700 * MIB)), [Code.ETCD_NEARLY_FULL]),
        (cluster(member(size_bytes=1700 * MIB, quota_bytes=0)), []),
        (cluster(member(), is_compacted=False), []),
        (cluster(member(revision=200_000), is_compacted=False), [Code.ETCD_NOT_COMPACTED]),
        (cluster(member(revision=200_000), is_compacted=None), []),
        (cluster(member(version="3.3.25")), [Code.ETCD_OLD]),
        (cluster(member(version="3.10.0")), []),
        (cluster(member(version="not decided")), []),
        (cluster(member(), members=1), [Code.ETCD_MEMBERS]),
        (cluster(member(), members=4), [Code.ETCD_MEMBERS]),
        (cluster(failures=(("http://node-2:2379", "connection refused"),)), [Code.ETCD_UNREACHABLE]),
    ],
)
def test_etcd_is_checked_for_what_stops_it_one_day(seen: ClusterHealth, expected: list[Code]) -> None:
    """Rule 65, and P2: what nobody tells is no finding."""
    assert [one.code for one in check_etcd(seen)] == expected
