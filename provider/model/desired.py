"""The desired-state file, validated."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from math import ceil

from provider.model.engines import Engine
from provider.model.progressive import Analysis, Canary, CandidateRoute
from provider.model.traefik_rule import first_host, first_path, first_server_name
from provider.model.traefik_schema import Later
from provider.model.vocabulary import ByColour, Colour, JsonObject, ProbeMode, Protocol, Wish

PRIORITY_MOST = 2**63 - 1001
"""Traefik keeps the priorities above it for itself (pkg/server/router/router.go, maxUserPriority)."""
DEFAULT_ENDPOINT = "default"
"""The endpoint with the short names in Traefik: the only one of a service without `endpoints` (rule 31)."""
PREVIEW_ABOVE = 100
TEST_ABOVE = 2
"""How far a preview is above the routers of its service, and a test route above its router (rules 15 and 24)."""


@dataclass(frozen=True, slots=True)
class Router:
    """One Traefik router of a service: `body` is Traefik's own object without `service`.

    It is in the section of its endpoint's protocol. One of UDP has no rule, which is empty then.
    """

    name: str
    rule: str
    body: JsonObject
    endpoint: str = DEFAULT_ENDPOINT

    @property
    def test_name(self) -> str:
        """The name of the router beside it that leads requests of the test route to the candidate."""
        return f"{self.name}-test"

    @property
    def url(self) -> str | None:
        """The URL that it routes; None where its rule names no host."""
        host = first_host(self.rule)
        if host is None:
            return None
        return f"{'https' if self.has_tls else 'http'}://{host}{first_path(self.rule)}"

    @property
    def has_tls(self) -> bool:
        """Whether its clients come by TLS.

        That may also be a setting of the entry point, which only Traefik knows: the usual names count as TLS.
        """
        entry_points = self.body.get("entryPoints")
        named = map(str, entry_points) if isinstance(entry_points, list) else ()
        return "tls" in map(str.lower, self.body) or any(name in {"websecure", "https"} for name in named)


@dataclass(frozen=True, slots=True)
class FixedServers:
    """The servers of a colour as written in the file; `release` is the hash over the URLs and the version.

    `urls` are those of the endpoint `default`, `others` those of each other one: `tcp://HOST:PORT`, `udp://HOST:PORT`.
    """

    urls: tuple[str, ...]
    version: str | None
    release: str
    others: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """How to probe each server of a service. Without a `mode`: Docker's HEALTHCHECK where present, else TCP.

    `status` None accepts 200 to 399; `hostname` None sends the first host of the router's rule. Modes tcp and udp send
    `send` and wait for `expect`, both as `model.payload` reads them. `service` is the one that grpc asks for; without
    a name it is the whole server.
    """

    mode: ProbeMode | None = None
    path: str = "/"
    interval_s: float = 2.0
    timeout_s: float = 1.0
    healthy_after: int = 3
    unhealthy_after: int = 3
    scheme: str | None = None
    port: int | None = None
    hostname: str | None = None
    method: str = "GET"
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    follow_redirects: bool = False
    insecure_skip_verify: bool = False
    send: str | None = None
    expect: str | None = None
    service: str = ""

    @property
    def passes_noted(self) -> int:
        """How many of the last passes are kept: the first of them is from before any check under way."""
        return self.healthy_after + 1 + ceil(self.timeout_s / self.interval_s)


@dataclass(frozen=True, slots=True)
class SmokeTest:
    """One request a release must answer as written before it may take traffic."""

    name: str
    path: str = "/"
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    status: int = 200
    contains: str | None = None
    json: tuple[tuple[str, object], ...] = ()
    timeout_s: float = 5.0
    retries: int = 0
    insecure_skip_verify: bool = False
    endpoint: str = DEFAULT_ENDPOINT


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One port and protocol of a service; all of them switch together (rule 31).

    `port` and `scheme` are those of containers whose labels name none: the lowest that is exposed, and http.
    """

    name: str = DEFAULT_ENDPOINT
    protocol: Protocol = Protocol.HTTP
    port: int | None = None
    scheme: str | None = None
    load_balancer: JsonObject = field(default_factory=dict)
    health_check: HealthCheck = HealthCheck()


@dataclass(frozen=True, slots=True)
class LabelRouting:
    """That a service takes its routing from the `traefik.*` labels of its containers (rule 34), and what they may say.

    Labels may name only these `hosts`, any where there are none; `*.example.com` is each one below it. A rule without a
    host counts only on these `entry_points`, and a priority only where `is_trusted`: the file has a list of either
    (rule 35). `default_rule` is that of routers without a rule, as Traefik's Docker provider has it.
    """

    hosts: tuple[str, ...] = ()
    entry_points: tuple[str, ...] = ()
    default_rule: str | None = None

    @property
    def is_trusted(self) -> bool:
        """Whether the file says what the labels may claim."""
        return bool(self.hosts or self.entry_points)

    def may_name(self, host: str) -> bool:
        """Return whether a rule may name a host, as far as the file limits it."""
        written, name = {one.lower() for one in self.hosts}, host.lower()
        labels = name.split(".")
        above = (f"*.{'.'.join(labels[start:])}" for start in range(1, len(labels)))
        return not written or name in written or any(one in written for one in above)


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a phase may wait before its named action is taken, in seconds."""

    waiting_s: float = 600.0
    testing_s: float = 300.0
    approval_s: float = 86400.0
    confirming_s: float = 30.0
    step_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class Service:
    """One application under blue-green, as in the file.

    Its `endpoints` have names of their own, and there is one at least. With `labels` its routers, its endpoints and its
    `middlewares`, by protocol and name, are those that the labels of the active colour had when it was decided on. One
    that `is_discovered` is named by containers alone.
    """

    name: str
    routers: tuple[Router, ...]
    active: Wish = Wish.AUTO
    initial: Colour | None = None
    group: str | None = None
    hold: bool = False
    preview: Router | None = None
    endpoints: tuple[Endpoint, ...] = (Endpoint(),)
    sticky: JsonObject | None = None
    servers: ByColour[FixedServers | None] = ByColour(None, None)
    min_servers: int | None = None
    settle_s: float = 5.0
    smoke_tests: tuple[SmokeTest, ...] = ()
    approval_is_manual: bool = False
    deadlines: Deadlines = Deadlines()
    watch_s: float = 120.0
    canary: Canary | None = None
    analysis: Analysis | None = None
    test_route: CandidateRoute | None = None
    labels: LabelRouting | None = None
    is_discovered: bool = False
    middlewares: Mapping[Protocol, JsonObject] = field(default_factory=dict)

    @property
    def url(self) -> str | None:
        """The URL of the service, None where no rule names a host."""
        return next((url for router in self.routers if (url := router.url)), None)

    @property
    def preview_url(self) -> str | None:
        """The URL of the standby colour, None without a preview."""
        return self.preview.url if self.preview is not None else None

    def endpoint(self, name: str) -> Endpoint | None:
        """Return the endpoint of this name; None where the service has it no more."""
        return next((one for one in self.endpoints if one.name == name), None)

    def at(self, endpoint: str) -> str:
        """Return where an endpoint is, for a message; nothing where the service has no other one."""
        return "" if len(self.endpoints) == 1 else f" at endpoint {endpoint}"

    @property
    def http_endpoint(self) -> Endpoint | None:
        """The endpoint whose requests are counted and kept at their colour: `default`, else the first of HTTP."""
        http = [one for one in self.endpoints if one.protocol is Protocol.HTTP]
        return next((one for one in http if one.name == DEFAULT_ENDPOINT), http[0] if http else None)

    def routers_of(self, protocol: Protocol) -> tuple[Router, ...]:
        """Return the routers that are in Traefik's section of a protocol."""
        if len(self.endpoints) == 1:
            return self.routers if self.endpoints[0].protocol is protocol else ()
        names = {one.name for one in self.endpoints if one.protocol is protocol}
        return tuple(router for router in self.routers if router.endpoint in names)

    def passes_tls_on(self, endpoint: Endpoint) -> bool:
        """Return whether its servers speak TLS with its clients: Traefik only passes it on (rule 32)."""
        routers = (router.body.get("tls") for router in self.routers if router.endpoint == endpoint.name)
        is_tcp = endpoint.protocol is Protocol.TCP
        return is_tcp and any(isinstance(tls, Mapping) and tls.get("passthrough") is True for tls in routers)

    def host(self, endpoint: Endpoint) -> str | None:
        """Return the host that checks ask for: the one in the file, else the first of a router's rule.

        Of TCP it is the name that TLS asks for, which only the endpoint's own routers know (rule 32).
        """
        own = [router.rule for router in self.routers if router.endpoint == endpoint.name]
        found = map(first_server_name, own)
        if endpoint.protocol is not Protocol.TCP:
            found = map(first_host, (*own, *(router.rule for router in self.routers)))
        return endpoint.health_check.hostname or next(filter(None, found), None)

    @property
    def smoke_host(self) -> str | None:
        """The Host header of smoke tests, which are of HTTP."""
        return self.host(self.http_endpoint or self.endpoints[0])

    def weighted_in_traefik(self, endpoint: str = DEFAULT_ENDPOINT) -> str:
        """Return Traefik's name for the weighted service of an endpoint (rule 31)."""
        return self.name if endpoint == DEFAULT_ENDPOINT else f"{self.name}-{endpoint}"

    def in_traefik(self, colour: Colour, endpoint: str = DEFAULT_ENDPOINT) -> str:
        """Return Traefik's name for the servers of a colour."""
        return f"{self.weighted_in_traefik(endpoint)}-{colour}"

    def preview_in_traefik(self, colour: Colour, endpoint: str = DEFAULT_ENDPOINT) -> str:
        """Return Traefik's name for the servers of a colour where the preview leads to them."""
        name = self.in_traefik(colour, endpoint)
        return f"{name}-preview" if self.is_counted else name

    def test_in_traefik(self, colour: Colour, endpoint: str = DEFAULT_ENDPOINT) -> str:
        """Return Traefik's name for the servers of a colour where the test route leads to them."""
        return f"{self.in_traefik(colour, endpoint)}-test"

    @property
    def is_counted(self) -> bool:
        """Whether the requests of each colour are counted: then only those of its clients may be (rule 23)."""
        return self.canary is not None or self.analysis is not None

    def preview_of(self, protocol: Protocol) -> Router | None:
        """Return its preview where that is in Traefik's section of a protocol."""
        endpoint = self.endpoint(self.preview.endpoint) if self.preview is not None else None
        return self.preview if endpoint is not None and endpoint.protocol is protocol else None

    def routers_in_traefik(self, protocol: Protocol) -> tuple[str, ...]:
        """Return the names of its routers in Traefik's section of a protocol, test routes and preview included."""
        mine, preview = self.routers_of(protocol), self.preview_of(protocol)
        tested = mine if self.test_route is not None and protocol is Protocol.HTTP else ()
        names = (*(router.name for router in mine), *(router.test_name for router in tested))
        return names if preview is None else (*names, preview.name)

    def services_in_traefik(self, protocol: Protocol) -> tuple[str, ...]:
        """Return the names that it has among the services of Traefik's section of a protocol: of each endpoint the
        weighted one, and those for the servers of each colour.

        A rollout may add others, which only what is shown can tell.
        """
        names: list[str] = []
        for one in self.endpoints:
            if one.protocol is protocol:
                names += [self.weighted_in_traefik(one.name), *(self.in_traefik(colour, one.name) for colour in Colour)]
                if self.test_route is not None and protocol is Protocol.HTTP:
                    names += [self.test_in_traefik(colour, one.name) for colour in Colour]
        preview = self.preview_of(protocol)
        if preview is not None and self.is_counted:
            names += [self.preview_in_traefik(colour, preview.endpoint) for colour in Colour]
        return tuple(names)

    @property
    def smoke_definition(self) -> str:
        """A name for exactly these smoke tests; evidence for others is void (P1)."""
        return blake2b(repr(self.smoke_tests).encode(), digest_size=6).hexdigest()


@dataclass(frozen=True, slots=True)
class Desired:
    """A whole desired-state file, validated. `pass_through` has the non-empty ones of http, tcp, udp and tls.

    `traefik_metrics` are the whole addresses of Traefik's metrics, with their path, where they are not /metrics beside
    `traefik_api`.
    `docker_network` is the network that Traefik reaches containers in, where their labels name no other;
    `ignored_environment` are the variables of a container that do not change its release. `engines` are the engines
    that run the containers; without any it is the one of the command line.
    `auto` is what each service is like that containers name and the file does not, where they become services.
    With `generate_certificate` the daemon puts a default certificate of its own into the document. `later_keys` are
    those of Traefik's that not every version from 3.0 on knows.
    """

    environment: str
    services: Mapping[str, Service]
    require_environment_label: bool = False
    traefik_api: tuple[str, ...] = ()
    generate_certificate: bool = False
    pass_through: JsonObject = field(default_factory=dict)
    later_keys: tuple[Later, ...] = ()
    docker_network: str | None = None
    ignored_environment: frozenset[str] = frozenset()
    traefik_metrics: tuple[str, ...] = ()
    auto: Service | None = None
    engines: tuple[Engine, ...] = ()


def group_key(service: Service) -> str:
    """Return the key of a service's rollout group. Names of services have no @, so the keys of groups are distinct."""
    return key_of(service.name, service.group)


def key_of(name: str, group: str | None) -> str:
    """Return the key of the rollout group of a service in this group, or in none."""
    return f"@{group}" if group else name
