"""Finds what a compose file starts and keeps once for each colour, though an application needs one of it.

Each colour is a Compose project of its own. A database, a queue or a volume that stands in the file beside the
application is therefore there twice, and the second one is empty; or it is one, and two servers write to it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from provider.doctor.copies import PORT_MEND
from provider.doctor.findings import Code, Finding
from provider.doctor.rendered import Part, Store, in_both_colours

DATABASE = re.compile(
    "postgres(?!t)|postgis|timescale|pgvector|mysql|mariadb|percona|mongo|mssql|oracle|cockroach|couchdb|couchbase|cassandra"
    "|scylla|neo4j|arangodb|rethinkdb|surrealdb|ravendb|firebird|clickhouse|influxdb|questdb|rabbitmq|kafka|redpanda"
    r"|pulsar|activemq|artemis|\bnats|beanstalkd|zookeeper|etcd|consul|vault|elasticsearch|opensearch|solr|meilisearch"
    "|typesense|minio|seaweedfs|qdrant|weaviate|milvus|chroma"
)
CACHE = re.compile("redis|valkey|keydb|dragonfly|memcached")
TOOL = re.compile("exporter|express|commander|admin|insight|backup|dump|proxy|bouncer|migrat|manager|[-_/](ui|web|cli)")
"""What the images of programs around a database are called, which keep nothing themselves."""
HOST_KEY = re.compile("HOST|ADDR|SERVER|UR[LI]|ENDPOINT|DSN|BROKER", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Twin:
    """One service of the file as it is rendered for each colour, and who uses it there, in words."""

    blue: Part
    green: Part
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
            f"move {self.blue.name} into a compose file of its own, which is started once; both colours reach it over "
            "a network that the two files share: networks: {NAME: {external: true}}"
        )

    def split(self) -> list[tuple[Store, Store]]:
        """Return the volumes that each project makes for itself, because nobody chose another name."""
        return [pair for pair in self._stores() if pair[0].place != pair[1].place and pair[0].is_of_project]

    def shared(self) -> list[Store]:
        """Return where both colours write."""
        return [store for store, other in self._stores() if store.place == other.place]

    def _stores(self) -> list[tuple[Store, Store]]:
        others = {store.key: store for store in self.green.stores}
        return [(store, others[store.key]) for store in self.blue.stores if store.key in others]


def check(made: Mapping[str, Mapping[str, Part]]) -> Iterator[Finding]:
    """Yield what a file has once for each colour, and what the two of it share; `made` has its parts by colour.

    A file with both colours of a service in it is started as one project, and has one of everything.
    """
    blue, green = made["blue"], made["green"]
    if in_both_colours(made) or not any(part.is_ours for part in blue.values()):
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
            f"each colour has a volume {store.key} of its own ({_bare(store)}, {_bare(other)}) at {store.target}: what "
            "one release has written there is not there for the next, and a rollback leaves behind what came since"
        )
        yield Finding(Code.VOLUME_PER_COLOUR, twin.where, what, _one_volume(store))


def _kept(twin: _Twin, told: frozenset[str]) -> Iterator[Finding]:
    """Judge where a companion keeps what it is told: where neither project does, it is only there twice.

    What it writes to with the application, which is `told` of that, is not its own.
    """
    split, shared = ([(one, other) for one, other in twin.split() if one.key not in told], twin.shared())
    places = ", ".join(store.place for store in shared)
    is_database, is_cache = (_keeps(kind, twin.blue.image) for kind in (DATABASE, CACHE))
    if split or (is_database and not twin.blue.stores):
        volumes = "; ".join(f"volume {store.key}: {_bare(store)} and {_bare(other)}" for store, other in split)
        what = (
            f"{twin.twice} with data of its own{f' ({volumes})' if volumes else ''}: the second colour begins with none"
        )
        yield Finding(Code.DATABASE_PER_COLOUR, twin.where, f"{what}, and a switch leaves the data behind", twin.fix)
    elif shared and (is_database or is_cache):
        what = f"{twin.twice}, both on the same files ({places}): two servers that write to them destroy the data"
        yield Finding(Code.DATABASE_SHARES_FILES, twin.where, what, twin.fix)
    elif shared:
        fix = f"mount it read-only, or {twin.fix}; where two can share it: --ignore {Code.VOLUME_SHARED}"
        yield Finding(Code.VOLUME_SHARED, twin.where, f"{twin.twice}, and both may write to {places}", fix)
    elif is_cache:
        what = f"{twin.twice}: sessions, jobs and locks that one holds are not in the other after a switch"
        yield Finding(Code.CACHE_PER_COLOUR, twin.where, what, twin.fix)
    else:
        what = f"{twin.twice}: the standby's works beside the active's, before a switch and after it"
        yield Finding(Code.COMPANION_PER_COLOUR, twin.where, what, f"nothing, where that is meant; else {twin.fix}")


def _collisions(twin: _Twin) -> Iterator[Finding]:
    """Find what the second of a companion cannot have, so that its project does not start."""
    own = f"move {twin.blue.name} into a compose file and project of its own"
    if twin.blue.fixed_name is not None and twin.blue.fixed_name == twin.green.fixed_name:
        what = f"both colours want the container name {twin.blue.fixed_name}: the second cannot be started"
        yield Finding(Code.CONTAINER_NAME_FIXED, twin.where, what, f"remove container_name, or {own}")
    for port in dict.fromkeys(twin.blue.published):
        if any(port.collides_with(wanted) for wanted in twin.green.published):
            what = f"both colours want the port {port} of the host: the second cannot be started"
            yield Finding(Code.PORT_COLLIDES, twin.where, what, f"{PORT_MEND}; or {own}")


def _name(twin: _Twin, blue: Mapping[str, Part]) -> Iterator[Finding]:
    """Find a name that both colours answer to on a network that both are on, where somebody there asks for it."""
    name = twin.blue.name
    askers = {network for part in blue.values() if part.name != name and _uses(part, name) for network in part.networks}
    for network in sorted(twin.blue.networks & twin.green.networks & askers):
        what = (
            f"{name} is asked for by its name ({twin.users}), and on the network {network} the {name} of either colour "
            "has that name: one colour's requests reach the other's"
        )
        fix = f"leave {network} to what Traefik must reach, and let {name} be found on the project's own network alone"
        yield Finding(Code.NAME_ON_SHARED_NETWORK, twin.where, what, fix)


def _keeps(kind: re.Pattern[str], image: str) -> bool:
    path = re.sub(r"(:[^/]*)?(@.*)?$", "", image.lower())
    return kind.search(path) is not None and TOOL.search(path) is None


def _bare(store: Store) -> str:
    return store.place.removeprefix("the volume ")


def _one_volume(store: Store) -> str:
    return (
        f"give both colours one, made once with docker volume create NAME: volumes: {{{store.key}: {{external: true, "
        f"name: NAME}}}}; or, where each is to have its own, say so: {{name: NAME-${{BLUEGREEN_COLOUR}}}}"
    )


def _users(name: str, parts: Mapping[str, Part]) -> str:
    """Say who depends on a service of the file, or has its name in a variable; values may be secrets, so none is."""
    told = {part.name: _uses(part, name) for part in parts.values() if part.name != name}
    return "; ".join(f"{user}: {', '.join(how)}" for user, how in told.items() if how)


def _uses(part: Part, name: str) -> list[str]:
    host = re.compile(rf"(^|[@/,;\s=])({re.escape(name)})(:\d+|[/,;?\s]|$)")
    found = ["depends_on"] if name in part.depends_on else []
    for variable, value in part.environment.items():
        is_host = HOST_KEY.search(variable) is not None or "://" in value
        if is_host and host.search(value):
            found.append(variable)
    return found
