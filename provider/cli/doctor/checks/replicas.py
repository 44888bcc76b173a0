"""Checks several replicas of one daemon, by what they say of themselves and by what etcd says (rules 59, 64, 65)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from provider.cli.doctor.checks.daemon import CONDITION_CODES, one_sentence
from provider.cli.doctor.findings import Code, Finding
from provider.model import ConditionCode, listed
from provider.model import api_types as api

OLDEST = (3, 4)
FULL = 0.8
REVISIONS_MOST = 100_000
"""Three replicas at rest make so many in four days."""
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Reached:
    """Who answers at the admin address of a replica, a name, with the conditions of its own; or why nobody does."""

    replica: str
    admin: str
    answers: str | None = None
    failure: str | None = None
    conditions: tuple[api.Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class MemberHealth:
    """One member: the revision it has, its database in bytes (`quota_bytes` 0 where it does not say), and alarms."""

    endpoint: str
    version: str
    revision: int
    has_leader: bool
    size_bytes: int
    quota_bytes: int
    alarms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ClusterHealth:
    """The members that were named and answer, why others do not, and how many members there are in all.

    `is_compacted` says that the first revision is gone; `members` and it are None where nobody says.
    """

    health: tuple[MemberHealth, ...]
    failures: tuple[tuple[str, str], ...]
    members: int | None
    is_compacted: bool | None


def check(overview: api.Overview, reached: Sequence[Reached]) -> Iterator[Finding]:
    """Yield what is wrong with the replicas; nothing for a daemon alone."""
    replicas = overview.get("replicas", ())  # a daemon of an earlier version knows none
    if not replicas:
        return
    names = listed(one["replica"] for one in replicas)
    if not any(one["leads"] for one in replicas):
        what = "none leads, so nothing is decided; the last document is served"
        fix = "start one whose etcd and Docker answer; the log of each says what keeps it from leading"
        yield Finding(Code.NO_LEADER, f"replicas {names}", what, fix)
    is_known = any(one["code"] == ConditionCode.REPLICA_AWAY for one in overview["conditions"])
    for one in replicas:
        if one["away"] and not is_known:
            what = f"it is away, and {one['pollers']} Traefiks that polled it may keep an older document"
            fix = f"start it; gone for good, and its Traefik too: bluegreen forget-replica {one['replica']}"
            yield Finding(Code.REPLICA_AWAY, f"replica {one['replica']}", what, fix)
    versions = sorted({one["version"] for one in replicas if one["version"]})
    if len(versions) > 1:
        what = f"they run versions {listed(versions)}, so they store what the oldest can read"
        yield Finding(Code.REPLICA_VERSIONS, f"replicas {names}", what, "finish the upgrade, one replica at a time")
    known = {(one["code"], one["message"]) for one in overview["conditions"]}
    for seen in reached:
        yield from _reached(seen)
        for condition in seen.conditions:
            code, message = condition["code"], condition["message"]
            kind = CONDITION_CODES.get(condition["severity"])
            if kind is not None and (code, message) not in known:
                known.add((code, message))
                fix = f"look at that replica; docs/operations.md describes {code}"
                yield Finding(kind, f"replica {seen.replica}, {code}", one_sentence(message), fix)


def _reached(seen: Reached) -> Iterator[Finding]:
    where = f"replica {seen.replica}"
    if seen.failure is not None:
        what = f"{seen.admin}, which it gives to the others, does not answer from here: {seen.failure}"
        fix = "open that address between the hosts, or name one that they reach with --advertise"
        yield Finding(Code.REPLICA_UNREACHABLE, where, what, fix)
    elif seen.answers != seen.replica:
        what = f"at {seen.admin}, which it gives to the others, {seen.answers or 'another daemon'} answers"
        fix = "give each replica a --replica name and an --advertise address of its own"
        yield Finding(Code.REPLICA_UNREACHABLE, where, what, fix)


def check_etcd(cluster: ClusterHealth) -> Iterator[Finding]:
    """Yield what is wrong with the members of etcd, or will go wrong."""
    for endpoint, why in cluster.failures:
        fix = "start that member, or correct --store; two members of three have to answer"
        yield Finding(Code.ETCD_UNREACHABLE, f"etcd {endpoint}", why, fix)
    for member in cluster.health:
        yield from _member(member)
    revision = max((one.revision for one in cluster.health), default=0)
    if cluster.is_compacted is False and revision > REVISIONS_MOST:
        what = f"all {revision} revisions since its first start are kept: it grows until it refuses writes"
        fix = (
            "start every member with --auto-compaction-mode=periodic --auto-compaction-retention=5m "
            "(ETCD_AUTO_COMPACTION_RETENTION=5m); ask who else uses it"
        )
        yield Finding(Code.ETCD_NOT_COMPACTED, _named(cluster), what, fix)
    if cluster.members is not None and cluster.members % 2 == 0:
        what = f"it has {cluster.members} members: the last one makes no failure harmless that was not before"
        yield Finding(Code.ETCD_MEMBERS, _named(cluster), what, "have three or five members")
    elif cluster.members == 1:
        what = "it has one member: without that, no replica decides"
        yield Finding(Code.ETCD_MEMBERS, _named(cluster), what, "have three members, on hosts of their own")


def _member(member: MemberHealth) -> Iterator[Finding]:
    where = f"etcd {member.endpoint}"
    if not member.has_leader:
        what = "it knows no leader of etcd: without a quorum nothing is decided"
        yield Finding(Code.ETCD_NO_LEADER, where, what, "start its other members, or repair the network between them")
    if member.alarms:
        fix = "make room: compact, defragment, raise --quota-backend-bytes; then etcdctl alarm disarm"
        if any("CORRUPT" in alarm for alarm in member.alarms):
            fix = "replace the member whose data is damaged, or restore a backup; then etcdctl alarm disarm"
        what = f"the alarm {listed(sorted(set(member.alarms)))} is raised: it refuses to write, so nothing is decided"
        yield Finding(Code.ETCD_ALARM, where, what, fix)
    elif member.quota_bytes and member.size_bytes > FULL * member.quota_bytes:
        what = (
            f"its database has {_mib(member.size_bytes)} of {_mib(member.quota_bytes)}; when full it refuses to write"
        )
        fix = "compact, then etcdctl defrag, one member at a time; or raise --quota-backend-bytes"
        yield Finding(Code.ETCD_NEARLY_FULL, where, what, fix)
    version = _version(member.version)
    if version is not None and version < OLDEST:
        what = f"it is version {member.version}; the oldest that is tested is {'.'.join(map(str, OLDEST))}"
        yield Finding(Code.ETCD_OLD, where, what, "upgrade etcd, one minor version at a time")


def _version(text: str) -> tuple[int, ...] | None:
    parts = text.split(".")[:2]
    return tuple(map(int, parts)) if len(parts) == 2 and all(part.isdecimal() for part in parts) else None


def _named(cluster: ClusterHealth) -> str:
    return f"etcd {cluster.health[0].endpoint}" if cluster.health else "etcd"


def _mib(size: int) -> str:
    return f"{size / MIB:.1f} MiB"
