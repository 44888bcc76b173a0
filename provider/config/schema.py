"""The shape of the desired-state file, for validation and for the JSON Schema that editors read.

The fields of `router`, `loadBalancer` and `sticky` are those of Traefik 3.7 (pkg/config/dynamic/http_config.go): an
unknown one, a wrong type or an empty object in the wrong place makes Traefik refuse the whole document, so they are
refused here.
"""

from typing import Annotated, Literal, Required, TypeAlias

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, TypeAdapter, with_config
from pydantic.json_schema import GenerateJsonSchema
from typing_extensions import TypedDict  # pydantic takes typing's own only from Python 3.12 on

from provider.config.fields import (
    ApiUrl,
    Count,
    Duration,
    HeaderName,
    HeaderValue,
    Hostname,
    Method,
    MiddlewareName,
    Name,
    PassedName,
    Port,
    Rule,
    ServerUrl,
    Status,
    Text,
    TraefikDuration,
    UrlPath,
    Version,
    Wait,
    doc,
    not_empty,
    refused,
    wrong,
)

_STRICT = ConfigDict(strict=True, extra="forbid")

_NO_SERVICE = refused("a router's service is made by the daemon from the name of the service: remove this key")
_NO_SERVERS = refused("servers come from Docker's labels or from 'servers' of the service: remove this key")
_NO_HEALTH_CHECK = refused(
    "health is checked by the daemon, since Traefik forgets its own results at every change: use 'healthCheck' of the"
    " service"
)
_NOT_A_DEFAULT = refused("no default: every service would get the same, so write it in each service")
_Filled = AfterValidator(not_empty)


def _services_in_words(value: object) -> object:
    if value is None:
        raise wrong("names no services: write 'services: {}' if that is what is meant")
    return value


# --- Traefik's own objects -----------------------------------------------------------------------------------------


@with_config(_STRICT)
class Domain(TypedDict, total=False):
    """The names of one certificate."""

    main: Text
    sans: list[Text]


@with_config(_STRICT)
class RouterTls(TypedDict, total=False):
    """How a router speaks TLS; `{}` is TLS with the defaults."""

    options: Text
    certResolver: Text
    domains: list[Domain]


@with_config(_STRICT)
class Observability(TypedDict, total=False):
    """What Traefik records of a router's requests."""

    accessLogs: bool
    metrics: bool
    tracing: bool
    traceVerbosity: Literal["minimal", "detailed"]


@with_config(_STRICT)
class RouterKeys(TypedDict, total=False):
    """The keys of Traefik's router that may be a default."""

    entryPoints: Annotated[
        list[Text],
        doc("Entry points that the router listens on; Traefik's default ones where not written."),
    ]
    middlewares: Annotated[list[Text], doc("Middlewares in their order, those of other providers as name@provider.")]
    priority: Annotated[
        int,
        Field(ge=-(2**63), le=2**63 - 1001),
        doc("The highest wins where several match; the length of the rule plus one where not written."),
    ]
    tls: RouterTls
    observability: Annotated[Observability, _Filled]
    parentRefs: list[Text]
    ruleSyntax: Literal["v2", "v3"]
    service: Annotated[object, *_NO_SERVICE]


@with_config(_STRICT)
class RouterObject(RouterKeys, total=False):
    """Traefik's own router object, without `service`."""

    rule: Required[Annotated[Rule, doc("What the router matches, such as Host(`shop.example.com`)")]]


@with_config(_STRICT)
class Cookie(TypedDict, total=False):
    """The cookie that keeps a client at its colour."""

    name: Text
    secure: bool
    httpOnly: bool
    sameSite: Literal["none", "lax", "strict", "None", "Lax", "Strict"]
    maxAge: int
    path: Text
    domain: Text


@with_config(_STRICT)
class Sticky(TypedDict, total=False):
    """Traefik's sticky object."""

    cookie: Cookie


@with_config(_STRICT)
class PassiveHealthCheck(TypedDict, total=False):
    """How Traefik leaves out a server whose requests fail."""

    failureWindow: TraefikDuration
    maxFailedAttempts: int


@with_config(_STRICT)
class ResponseForwarding(TypedDict, total=False):
    """How Traefik hands responses on."""

    flushInterval: TraefikDuration


@with_config(_STRICT)
class LoadBalancer(TypedDict, total=False):
    """Traefik's loadBalancer object, without servers and health check."""

    passHostHeader: bool
    strategy: Literal["wrr", "p2c", "hrw", "leasttime"]
    sticky: Sticky
    serversTransport: Text
    responseForwarding: Annotated[ResponseForwarding, _Filled]
    passiveHealthCheck: Annotated[PassiveHealthCheck, _Filled]
    servers: Annotated[object, *_NO_SERVERS]
    healthCheck: Annotated[object, *_NO_HEALTH_CHECK]


# --- a service -----------------------------------------------------------------------------------------------------


@with_config(_STRICT)
class FixedColour(TypedDict, total=False):
    """The fixed servers of one colour; their release is a hash over the URLs and the version."""

    urls: Required[Annotated[list[ServerUrl], Field(min_length=1), doc("Addresses as Traefik sees them.")]]
    version: Annotated[Version, doc("What runs there; a new version at the same addresses is a new release.")]


@with_config(_STRICT)
class Servers(TypedDict, total=False):
    """The servers of both colours, where Docker does not provide them."""

    blue: FixedColour
    green: FixedColour


@with_config(_STRICT)
class HealthCheckKeys(TypedDict, total=False):
    """How each server is checked. Without it: Docker's HEALTHCHECK where there is one, else a TCP connection."""

    mode: Annotated[Literal["http", "tcp", "docker"], doc("http where a key of an HTTP request is written.")]
    path: UrlPath
    interval: Wait
    timeout: Wait
    healthyAfter: Count
    unhealthyAfter: Count
    scheme: Literal["http", "https"]
    port: Port
    hostname: Annotated[Hostname, doc("The Host header; the first host of the router's rule where not written.")]
    method: Method
    status: Annotated[Status, doc("The one status that passes; 200 to 399 where not written.")]
    headers: dict[HeaderName, HeaderValue]
    followRedirects: bool
    insecureSkipVerify: bool


@with_config(_STRICT)
class SmokeTestKeys(TypedDict, total=False):
    """One request that a release must answer as written before it may take traffic."""

    name: Required[Annotated[Text, doc("What messages call this test.")]]
    path: UrlPath
    method: Method
    headers: dict[HeaderName, HeaderValue]
    status: Annotated[Status, doc("The one status that passes, 200 where not written; redirects are not followed.")]
    contains: Text
    json: Annotated[dict[Text, object], doc("Values of the JSON answer by dotted path, such as items.0.name.")]
    timeout: Wait
    retries: Annotated[int, Field(ge=0), doc("How often an answer that does not match is asked for again.")]
    insecureSkipVerify: Annotated[bool, doc("true takes any certificate of the server.")]


@with_config(_STRICT)
class DeadlineKeys(TypedDict, total=False):
    """How long each phase may wait."""

    waiting: Annotated[Wait, doc("For healthy servers; 10m where not written. A release that takes longer expires.")]
    testing: Annotated[Wait, doc("For the smoke tests; 5m where not written. A release that takes longer expires.")]
    approval: Annotated[Wait, doc("For somebody's word; 24h where not written, a reminder comes at half of it.")]
    confirming: Annotated[
        Wait,
        doc(
            "For every Traefik to show the switch; 30s where not written. What was fetched and not applied is taken "
            "back at the end of it, but not within 8s of the fetch."
        ),
    ]


@with_config(_STRICT)
class ServiceKeys(TypedDict, total=False):
    """The keys of a service that may be a default as well."""

    active: Annotated[
        Literal["auto", "blue", "green"],
        doc("Who takes traffic; auto: a new release in the standby colour, once it passed every gate."),
    ]
    initial: Annotated[Literal["blue", "green"], doc("The active colour of a service that the daemon has never seen.")]
    group: Annotated[Name, doc("Services of one group switch together, in one document.")]
    hold: Annotated[bool, doc("true stops forward rollouts; rollback stays possible.")]
    loadBalancer: LoadBalancer
    sticky: Annotated[Sticky, doc("Keeps a client at its colour, on the weighted service.")]
    minServers: Annotated[
        Count, doc("Healthy servers a release needs; as many as the active colour has where not written.")
    ]
    settle: Annotated[Duration, doc("How long the servers of a release must be healthy and unchanged.")]
    healthCheck: HealthCheckKeys
    smokeTests: list[SmokeTestKeys]
    approval: Literal["automatic", "manual"]
    deadlines: DeadlineKeys
    watch: Annotated[Duration, doc("How long a release is watched after its switch.")]


@with_config(
    ConfigDict(**_STRICT, json_schema_extra={"oneOf": [{"required": ["router"]}, {"required": ["routers"]}]}),
)
class ServiceObject(ServiceKeys, total=False):
    """One application under blue-green: `shop`, and `shop-blue` and `shop-green`, in Traefik."""

    router: Annotated[RouterObject, doc("The one router of the service, named like it.")]
    routers: Annotated[
        dict[Name, RouterObject],
        Field(min_length=1),
        doc("Several routers by their names, instead of `router`."),
    ]
    preview: Annotated[RouterObject, doc("A router to the standby colour, once that is healthy.")]
    servers: Servers


@with_config(_STRICT)
class DefaultsObject(ServiceKeys, total=False):
    """What every service has unless it says otherwise.

    A service's own key wins. `healthCheck`, `deadlines` and `loadBalancer` are merged key by key; `router` gives its
    keys to every router and preview that does not have them.
    """

    router: RouterKeys
    routers: Annotated[object, *_NOT_A_DEFAULT]
    preview: Annotated[object, *_NOT_A_DEFAULT]
    servers: Annotated[object, *_NOT_A_DEFAULT]


# --- the file ------------------------------------------------------------------------------------------------------

Objects: TypeAlias = dict[PassedName, dict[str, object]]


@with_config(_STRICT)
class HttpSection(TypedDict, total=False):
    """Further configuration for Traefik, passed through."""

    routers: Objects
    services: Objects
    middlewares: dict[MiddlewareName, dict[str, object]]
    serversTransports: Objects
    models: Objects


@with_config(_STRICT)
class TcpSection(TypedDict, total=False):
    """Further configuration for Traefik, passed through."""

    routers: Objects
    services: Objects
    middlewares: Objects
    serversTransports: Objects


@with_config(_STRICT)
class UdpSection(TypedDict, total=False):
    """Further configuration for Traefik, passed through."""

    routers: Objects
    services: Objects


@with_config(_STRICT)
class TlsSection(TypedDict, total=False):
    """Further configuration for Traefik, passed through."""

    certificates: list[dict[str, object]]
    options: Objects
    stores: Objects


@with_config(_STRICT)
class TraefikKeys(TypedDict, total=False):
    """The Traefik that polls the daemon."""

    api: Annotated[list[ApiUrl], doc("Where to read back what each Traefik applied.")]
    defaultCertificate: Annotated[
        Literal["none", "generated"],
        doc(
            "generated: the daemon makes a self-signed certificate, which spares Traefik an RSA key (45 ms) at every "
            "change. It is shown for hosts without one of their own. Only one provider of a Traefik may define it."
        ),
    ]


@with_config(_STRICT)
class File(TypedDict, total=False):
    """The desired state of one environment."""

    environment: Required[
        Annotated[
            Text,
            doc("The name that containers carry as bluegreen.environment, such as production."),
        ]
    ]
    requireEnvironmentLabel: Annotated[bool, doc("true ignores containers without the label bluegreen.environment.")]
    traefik: TraefikKeys
    defaults: DefaultsObject
    services: Required[
        Annotated[
            dict[Name, ServiceObject],
            BeforeValidator(_services_in_words),
            doc("Every application under blue-green; write 'services: {}' to have none."),
        ]
    ]
    http: HttpSection
    tcp: TcpSection
    udp: UdpSection
    tls: TlsSection


FILE: TypeAdapter[File] = TypeAdapter(File)


class _Schema(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002  titles only repeat the keys
        return False


def json_schema() -> dict[str, object]:
    """Return the JSON Schema of the desired-state file."""
    schema = FILE.json_schema(schema_generator=_Schema)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
