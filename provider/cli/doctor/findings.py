"""What a finding is, and every code with its severity; docs/doctor.md has a line for each code."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from provider.model import Severity


class Code(StrEnum):
    """The stable names of all findings."""

    NO_DAEMON = "no-daemon"
    DAEMON_REFUSES = "daemon-refuses"
    CONDITION_CRITICAL = "condition-critical"
    CONDITION_WARNING = "condition-warning"
    LOOPBACK_SERVERS = "loopback-servers"
    PROVIDER_OPEN = "provider-open"
    ADMIN_UNENCRYPTED = "admin-unencrypted"
    OPEN_IN_CONTAINER = "open-in-container"
    CLOCK_SKEW = "clock-skew"
    VERSIONS_DIFFER = "versions-differ"
    NO_READ_BACK = "no-read-back"
    SERVICE_UNDECIDED = "service-undecided"

    NO_LEADER = "no-leader"
    REPLICA_AWAY = "replica-away"
    REPLICA_UNREACHABLE = "replica-unreachable"
    REPLICA_VERSIONS = "replica-versions"
    ETCD_UNREACHABLE = "etcd-unreachable"
    ETCD_NO_LEADER = "etcd-no-leader"
    ETCD_ALARM = "etcd-alarm"
    ETCD_NEARLY_FULL = "etcd-nearly-full"
    ETCD_NOT_COMPACTED = "etcd-not-compacted"
    ETCD_OLD = "etcd-old"
    ETCD_MEMBERS = "etcd-members"

    DESIRED_STATE_REFUSED = "desired-state-refused"
    TEST_VALUE_GUESSABLE = "test-value-guessable"
    ANALYSIS_FALSE_ALARMS = "analysis-false-alarms"
    AFFINITY_BEHIND_PROXY = "affinity-behind-proxy"
    AFFINITY_BY_ADDRESS = "affinity-by-address"
    FILE_MISSING = "file-missing"
    SECRET_READABLE = "secret-readable"  # noqa: S105  the name of a finding
    FILE_WRITABLE = "file-writable"
    STATE_DIR_OWNER = "state-dir-owner"
    STATE_DIR_NETWORK = "state-dir-network"
    DISK_SHORT = "disk-short"
    CERTIFICATE_EXPIRED = "certificate-expired"
    CERTIFICATE_EXPIRES = "certificate-expires"

    TRAEFIK_UNREACHABLE = "traefik-unreachable"
    TRAEFIK_OLD = "traefik-old"
    HTTP_PROVIDER_MISSING = "http-provider-missing"
    NO_DOCUMENT_APPLIED = "no-document-applied"
    ROUTER_BROKEN = "router-broken"
    ROUTER_SHADOWED = "router-shadowed"
    ROUTER_TIE = "router-tie"
    ROUTER_DOUBLED = "router-doubled"
    ENTRY_POINT_MISSING = "entry-point-missing"
    DEFAULT_CERTIFICATE_CONFLICT = "default-certificate-conflict"
    NO_DEFAULT_CERTIFICATE = "no-default-certificate"
    POLL_TIMEOUT_SHORT = "poll-timeout-short"
    POLL_SLOW = "poll-slow"
    POLL_SLOWER_THAN_NEEDED = "poll-slower-than-needed"
    THROTTLE_LONG = "throttle-long"
    THROTTLE_LONGER_THAN_NEEDED = "throttle-longer-than-needed"
    ENTRY_POINT_PROTOCOL = "entry-point-protocol"
    HOST_SNI_WITHOUT_TLS = "host-sni-without-tls"
    UDP_ENTRY_POINT_SHARED = "udp-entry-point-shared"
    TLS_OPTIONS_DIFFER = "tls-options-differ"
    REFERENCE_LOST = "reference-lost"
    SEEN_BY_TRAEFIK = "seen-by-traefik"

    DOCKER_UNREACHABLE = "docker-unreachable"
    CONTAINER_IGNORED = "container-ignored"
    LABEL_UNKNOWN = "label-unknown"
    SERVICE_NOT_IN_FILE = "service-not-in-file"
    OTHER_ENVIRONMENT = "other-environment"
    NETWORK_AMBIGUOUS = "network-ambiguous"
    NETWORK_NOT_SHARED = "network-not-shared"
    NO_HEALTH_CHECK = "no-health-check"
    DOCKER_HEALTH_MISSING = "docker-health-missing"
    TRAEFIK_LABELS = "traefik-labels"
    LABELS_REFUSED = "labels-refused"
    LABELS_DIFFER = "labels-differ"
    HOST_TAKEN = "host-taken"
    ENDPOINT_UNKNOWN = "endpoint-unknown"
    ENVIRONMENT_LABEL_MISSING = "environment-label-missing"
    RESTART_POLICY = "restart-policy"
    IMAGE_MOVES = "image-moves"

    SWARM_NO_MANAGER = "swarm-no-manager"
    SWARM_NOT_FOLLOWED = "swarm-not-followed"
    SWARM_LABELS_ON_CONTAINERS = "swarm-labels-on-containers"
    SWARM_SERVICE_IGNORED = "swarm-service-ignored"
    SWARM_TASKS_FAIL = "swarm-tasks-fail"

    CONTAINER_NAME_FIXED = "container-name-fixed"
    PORT_COLLIDES = "port-collides"
    VOLUME_SHARED = "volume-shared"
    COMPOSE_REFUSED = "compose-refused"
    COMPOSE_WITHOUT_SERVICE = "compose-without-service"
    COMPOSE_COLOUR_FIXED = "compose-colour-fixed"
    COMPOSE_BOTH_COLOURS = "compose-both-colours"
    COMPOSE_DEPLOY_LABELS = "compose-deploy-labels"
    DATABASE_PER_COLOUR = "database-per-colour"
    DATABASE_SHARES_FILES = "database-shares-files"
    VOLUME_PER_COLOUR = "volume-per-colour"
    CACHE_PER_COLOUR = "cache-per-colour"
    COMPANION_PER_COLOUR = "companion-per-colour"
    NAME_ON_SHARED_NETWORK = "name-on-shared-network"


_CRITICAL = frozenset(
    {
        *(Code.NO_DAEMON, Code.DAEMON_REFUSES, Code.CONDITION_CRITICAL, Code.LOOPBACK_SERVERS),
        *(Code.NO_LEADER, Code.ETCD_NO_LEADER, Code.ETCD_ALARM),
        *(Code.DESIRED_STATE_REFUSED, Code.FILE_MISSING, Code.STATE_DIR_NETWORK, Code.CERTIFICATE_EXPIRED),
        *(Code.HTTP_PROVIDER_MISSING, Code.NO_DOCUMENT_APPLIED, Code.ROUTER_BROKEN, Code.ROUTER_SHADOWED),
        *(Code.ROUTER_TIE, Code.ENTRY_POINT_MISSING, Code.POLL_TIMEOUT_SHORT, Code.NETWORK_NOT_SHARED),
        *(Code.DOCKER_HEALTH_MISSING, Code.CONTAINER_NAME_FIXED, Code.PORT_COLLIDES, Code.COMPOSE_REFUSED),
        *(Code.COMPOSE_COLOUR_FIXED, Code.COMPOSE_BOTH_COLOURS, Code.COMPOSE_DEPLOY_LABELS),
        *(Code.SERVICE_UNDECIDED, Code.ENTRY_POINT_PROTOCOL, Code.HOST_SNI_WITHOUT_TLS, Code.UDP_ENTRY_POINT_SHARED),
        *(Code.TLS_OPTIONS_DIFFER, Code.REFERENCE_LOST, Code.LABELS_REFUSED, Code.LABELS_DIFFER, Code.HOST_TAKEN),
        *(Code.DATABASE_PER_COLOUR, Code.DATABASE_SHARES_FILES, Code.VOLUME_PER_COLOUR, Code.SWARM_NO_MANAGER),
    }
)
_INFO = frozenset(
    {
        *(Code.OPEN_IN_CONTAINER, Code.VERSIONS_DIFFER, Code.NO_READ_BACK, Code.ROUTER_DOUBLED),
        *(Code.NO_DEFAULT_CERTIFICATE, Code.POLL_SLOWER_THAN_NEEDED, Code.THROTTLE_LONGER_THAN_NEEDED),
        *(Code.OTHER_ENVIRONMENT, Code.IMAGE_MOVES, Code.COMPANION_PER_COLOUR, Code.AFFINITY_BY_ADDRESS),
    }
)
SEVERITIES: Mapping[Code, Severity] = MappingProxyType(
    {
        code: Severity.CRITICAL if code in _CRITICAL else Severity.INFO if code in _INFO else Severity.WARNING
        for code in Code
    }
)
"""Critical stops a release or traffic, a warning will cause trouble one day, an info is a choice to be aware of."""
MOST_SEVERE_FIRST = (Severity.CRITICAL, Severity.WARNING, Severity.INFO)


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding: `where` it is, `what` is wrong, and how to `fix` it."""

    code: Code
    where: str
    what: str
    fix: str

    @property
    def severity(self) -> Severity:
        """The severity of its code."""
        return SEVERITIES[self.code]


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that was not checked, and why: no evidence is not a pass (P2)."""

    what: str
    because: str


@dataclass(frozen=True, slots=True)
class Report:
    """The result of all checks. `checked` names what was seen, `ignored` counts the findings left out by `--ignore`."""

    checked: tuple[str, ...]
    findings: tuple[Finding, ...]
    skipped: tuple[Skipped, ...]
    ignored: int = 0

    @property
    def has_trouble(self) -> bool:
        """Whether anything is worse than an info."""
        return any(one.severity is not Severity.INFO for one in self.findings)

    def count(self, severity: Severity) -> int:
        """Return how many findings are of this severity."""
        return sum(one.severity is severity for one in self.findings)


def report(
    checked: Iterable[str], findings: Iterable[Finding], skipped: Iterable[Skipped], ignore: frozenset[Code]
) -> Report:
    """Sort the findings, most severe first; leave out those to be ignored, and duplicates."""
    order = {code: number for number, code in enumerate(Code)}
    found = dict.fromkeys(findings)
    kept = [one for one in found if one.code not in ignore]
    kept.sort(key=lambda one: (MOST_SEVERE_FIRST.index(one.severity), order[one.code], one.where))
    return Report(tuple(checked), tuple(kept), tuple(dict.fromkeys(skipped)), len(found) - len(kept))
