"""Finds companions that a compose file starts once for each colour, although the application needs only one.

Each colour is a Compose project of its own. A database, a queue or a volume in the same file as the application
therefore exists twice, and the second one is empty; or two servers write to the same one.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from provider.cli.doctor.checks.containers import PORT_FIX
from provider.cli.doctor.checks.rendered import ComposeService, Store, in_both_colours
from provider.cli.doctor.findings import Code, Finding

DATABASE = re.compile(
    "postgres(?!t)|postgis|timescale|pgvector|mysql|mariadb|percona|mongo|mssql|oracle|cockroach|couchdb|couchbase|cassandra"
    "|scylla|neo4j|arangodb|rethinkdb|surrealdb|ravendb|firebird|clickhouse|influxdb|questdb|rabbitmq|kafka|redpanda"
    r"|pulsar|activemq|artemis|\bnats|beanstalkd|zookeeper|etcd|consul|vault|elasticsearch|opensearch|solr|meilisearch"
    "|typesense|minio|seaweedfs|qdrant|weaviate|milvus|chroma"
)
CACHE = re.compile("redis|valkey|keydb|dragonfly|memcached")
TOOL = re.compile("exporter|express|commander|admin|insight|backup|dump|proxy|bouncer|migrat|manager|[-_/](ui|web|cli)")
"""Images of programs around a database, which store nothing themselves."""
HOST_KEY = re.compile("HOST|ADDR|SERVER|UR[LI]|ENDPOINT|DSN|BROKER", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Twin:
    """One service of the file, rendered for each colour, and a text that says who uses it."""

    blue: ComposeService
    green: ComposeService
    users: str

    @property
    def where(self) -> str:
        return f"compose service {self.blue.name}{f' ({self.blue.image})' if self.blue.image else ''}"

    @property
    def twice(self) -> str:
        return (
            f"each colour's project starts its own {self.blue.name}{f' (used by {self.users})' if self.users else ''}"
        )

    @property
    def fix(self) -> str:
        return (
            f"move {self.blue.name} into a compose file of its own, started once; both colours reach it over a network "
            "that the two files share: networks: {NAME: {external: true}}"
        )

    def split(self) -> list[tuple[Store, Store]]:
        """Return the volumes that each project creates for itself, as nobody chose a name."""
        return [pair for pair in self._stores() if pair[0].place != pair[1].place and pair[0].is_of_project]

    def shared(self) -> list[Store]:
        """Return the stores that both colours write to."""
        return [store for store, other in self._stores() if store.place == other.place]

    def _stores(self) -> list[tuple[Store, Store]]:
        others = {store.key: store for store in self.green.stores}
        return [(store, others[store.key]) for store in self.blue.stores if store.key in others]


def check(rendered: Mapping[str, Mapping[str, ComposeService]]) -> Iterator[Finding]:
    """Yield what a file has once for each colour, and what both share; `rendered` has its services by colour.

    A file with both colours of a service in it is started as one project, and has one of everything.
    """
    blue, green = rendered["blue"], rendered["green"]
    if in_both_colours(rendered) or not any(part.is_ours for part in blue.values()):
        return
    for name in (name for name in blue if name in green):
        twin = _Twin(blue[name], green[name], _users(name, blue))
        if twin.blue.is_ours:
            yield from _volumes(twin)
        elif twin.blue.is_started:
            yield from _kept(
                twin, frozenset(store.key for part in blue.values() if part.is_ours for store in part.stores)
            )
            yield from _collisions(twin)
        if twin.users:
            yield from _name(twin, blue)


def _volumes(twin: _Twin) -> Iterator[Finding]:
    for store, other in twin.split():
        what = (
            f"each colour has a volume {store.key} of its own ({_bare(store)}, {_bare(other)}) at {store.target}: the "
            "next release does not see what the last one wrote, and a rollback loses what was written since"
        )
        yield Finding(Code.VOLUME_PER_COLOUR, twin.where, what, _one_volume(store))


def _kept(twin: _Twin, reported: frozenset[str]) -> Iterator[Finding]:
    """Yield a finding for where a companion stores data: without a store, it merely exists twice.

    A store that it shares with the application, which reports that, is not its own.
    """
    split, shared = ([(one, other) for one, other in twin.split() if one.key not in reported], twin.shared())
    places = ", ".join(store.place for store in shared)
    is_database, is_cache = (_keeps(kind, twin.blue.image) for kind in (DATABASE, CACHE))
    if split or (is_database and not twin.blue.stores):
        volumes = "; ".join(f"volume {store.key}: {_bare(store)} and {_bare(other)}" for store, other in split)
        what = f"{twin.twice} with data of its own{f' ({volumes})' if volumes else ''}: the second colour starts empty"
        yield Finding(Code.DATABASE_PER_COLOUR, twin.where, f"{what}, and a switch loses the data", twin.fix)
    elif shared and (is_database or is_cache):
        what = f"{twin.twice}, both on the same files ({places}): two servers that write to them corrupt the data"
        yield Finding(Code.DATABASE_SHARES_FILES, twin.where, what, twin.fix)
    elif shared:
        fix = f"mount it read-only, or {twin.fix}; if both can share it, --ignore {Code.VOLUME_SHARED}"
        yield Finding(Code.VOLUME_SHARED, twin.where, f"{twin.twice}, and both can write to {places}", fix)
    elif is_cache:
        what = f"{twin.twice}: a switch loses its sessions, jobs and locks"
        yield Finding(Code.CACHE_PER_COLOUR, twin.where, what, twin.fix)
    else:
        what = f"{twin.twice}: both work at the same time, before and after a switch"
        yield Finding(Code.COMPANION_PER_COLOUR, twin.where, what, f"nothing, if that is intended; else {twin.fix}")


def _collisions(twin: _Twin) -> Iterator[Finding]:
    """Find what only one of the two can have, so that the second project does not start."""
    own = f"move {twin.blue.name} into a compose file and project of its own"
    if twin.blue.fixed_name is not None and twin.blue.fixed_name == twin.green.fixed_name:
        what = f"both colours need the container name {twin.blue.fixed_name}, so the second cannot start"
        yield Finding(Code.CONTAINER_NAME_FIXED, twin.where, what, f"remove container_name, or {own}")
    for port in dict.fromkeys(twin.blue.published):
        if any(port.collides_with(wanted) for wanted in twin.green.published):
            what = f"both colours publish port {port} of the host, so the second cannot start"
            yield Finding(Code.PORT_COLLIDES, twin.where, what, f"{PORT_FIX}; or {own}")


def _name(twin: _Twin, blue: Mapping[str, ComposeService]) -> Iterator[Finding]:
    """Find a name that both colours have on a network that both are on, and that somebody there uses."""
    name = twin.blue.name
    askers = {network for part in blue.values() if part.name != name and _uses(part, name) for network in part.networks}
    for network in sorted(twin.blue.networks & twin.green.networks & askers):
        what = (
            f"{name} is used by its name ({twin.users}), and on the network {network} the {name} of both colours has "
            "that name: requests of one colour reach the other"
        )
        fix = f"keep {name} off {network}, on the project's own network only; {network} is for what Traefik must reach"
        yield Finding(Code.NAME_ON_SHARED_NETWORK, twin.where, what, fix)


def _keeps(kind: re.Pattern[str], image: str) -> bool:
    path = re.sub(r"(:[^/]*)?(@.*)?$", "", image.lower())
    return kind.search(path) is not None and TOOL.search(path) is None


def _bare(store: Store) -> str:
    return store.place.removeprefix("the volume ")


def _one_volume(store: Store) -> str:
    return (
        f"share one volume, created with docker volume create NAME: volumes: {{{store.key}: {{external: true, "
        f"name: NAME}}}}; or, if each colour needs its own: {{name: NAME-${{BLUEGREEN_COLOUR}}}}"
    )


def _users(name: str, parts: Mapping[str, ComposeService]) -> str:
    """Return who depends on a service, or has its name in a variable; values may be secrets, so none is shown."""
    found = {part.name: _uses(part, name) for part in parts.values() if part.name != name}
    return "; ".join(f"{user}: {', '.join(how)}" for user, how in found.items() if how)


def _uses(part: ComposeService, name: str) -> list[str]:
    host = re.compile(rf"(^|[@/,;\s=])({re.escape(name)})(:\d+|[/,;?\s]|$)")
    found = ["depends_on"] if name in part.depends_on else []
    for variable, value in part.environment.items():
        is_host = HOST_KEY.search(variable) is not None or "://" in value
        if is_host and host.search(value):
            found.append(variable)
    return found
