"""The shape of the desired-state file, for validation and for the JSON Schema that editors read."""

from dataclasses import dataclass
from typing import Annotated, Literal, Required

from pydantic import (
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    TypeAdapter,
    with_config,
)
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import CoreSchema, core_schema
from typing_extensions import TypedDict  # pydantic takes typing's own only from Python 3.12 on

from provider.config.endpoint_keys import EndpointObject, HealthCheckKeys, SmokeTestKeys
from provider.config.passed_sections import HttpSection, TcpSection, TlsSection, UdpSection
from provider.config.progressive import AnalysisKeys, CanaryKeys, TestRouteKeys
from provider.config.routing import AUTO, EVERY_OTHER, RoutingKeys
from provider.config.traefik_objects import (
    STRICT,
    Filled,
    LoadBalancer,
    RouterKeys,
    RouterObject,
    Sticky,
)
from provider.config.types import (
    OR_OFF,
    AbsolutePath,
    ApiUrl,
    Count,
    Duration,
    EndpointName,
    EngineAddress,
    EngineName,
    EngineUrl,
    MetricsUrl,
    Name,
    NetworkName,
    Or,
    ServerPlace,
    ServerUrl,
    Text,
    VariableName,
    Version,
    Wait,
    doc,
    refused,
    shown,
    wrong,
)

_NOT_A_DEFAULT = refused("no default: every service would get the same, so write it in each service")


@dataclass(frozen=True, slots=True)
class OrAuto:
    """Lets `auto` stand for services, and `"*": auto` beside them: `routing.written` takes it out before."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_services, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        named = handler(schema)
        ((pattern, service),) = named["patternProperties"].items()
        every_other = {"const": AUTO, "description": "Every other service that containers name."}
        apart = {rf"^(?!\*$){pattern.removeprefix('^')}": service}
        found = {**named, "properties": {EVERY_OTHER: every_other}, "patternProperties": apart}
        return {"anyOf": [{"const": AUTO}, found]}


def _services(value: object) -> object:
    if value is None:
        raise wrong("names no services: write 'services: {}' if that is what is meant")
    if isinstance(value, str):
        raise wrong(f"must be auto, or a mapping of services by their names, not {shown(value)}")
    return value


# --- a service -----------------------------------------------------------------------------------------------------


@with_config(STRICT)
class FixedColour(TypedDict, total=False):
    """The fixed servers of one colour; their release is a hash over their addresses and the version."""

    urls: Annotated[
        list[ServerUrl],
        Field(min_length=1),
        doc("Addresses as Traefik sees them, those of the endpoint default.", example=["http://10.0.8.11:8080"]),
    ]
    endpoints: Annotated[
        dict[EndpointName, Annotated[list[ServerPlace], Field(min_length=1)]],
        doc(
            "Those of each other endpoint by its name: HOST:PORT of TCP and UDP, URLs of HTTP.",
            example={"mqtt": ["10.0.8.11:1883"]},
        ),
    ]
    version: Annotated[
        Version, doc("What runs there; a new version at the same addresses is a new release.", example="1.4.2")
    ]


@with_config(STRICT)
class Servers(TypedDict, total=False):
    """The servers of both colours, where Docker does not provide them."""

    blue: Annotated[FixedColour, doc("Those of blue.")]
    green: Annotated[FixedColour, doc("Those of green.")]


@with_config(STRICT)
class DeadlineKeys(TypedDict, total=False):
    """How long each phase may wait."""

    waiting: Annotated[Wait, doc("For healthy servers. A release that takes longer expires.", default="10m")]
    testing: Annotated[Wait, doc("For the smoke tests. A release that takes longer expires.", default="5m")]
    approval: Annotated[Wait, doc("For an approval; a reminder comes at half of it.", default="24h")]
    confirming: Annotated[
        Wait,
        doc(
            "For every Traefik to show the switch. What was fetched and not applied is rolled back at its end, "
            "but not within 8s of the fetch.",
            default="30s",
        ),
    ]
    step: Annotated[
        Wait,
        doc(
            "For a step to pass its analysis, from the end of its `for`. Too few requests alone never end it.",
            default="1h",
        ),
    ]


@with_config(STRICT)
class ServiceKeys(TypedDict, total=False):
    """The keys of a service that may be a default as well."""

    active: Annotated[
        Literal["auto", "blue", "green"],
        doc(
            "The colour that takes traffic; auto: a new release in the standby colour, once it passed every gate.",
            default="auto",
        ),
    ]
    initial: Annotated[Literal["blue", "green"], doc("The active colour of a service that the daemon has never seen.")]
    group: Annotated[Name, doc("Services of one group switch together, in one document.", example="storefront")]
    hold: Annotated[bool, doc("true stops forward rollouts; rollback stays possible.", default=False)]
    loadBalancer: Annotated[LoadBalancer, doc("How Traefik treats the servers of HTTP, in both colours.")]
    sticky: Annotated[Sticky, Filled, doc("Keeps a client at its colour, on the weighted service.")]
    minServers: Annotated[
        Count, doc("Healthy servers a release needs; as many as the active colour has where not written.", example=2)
    ]
    settle: Annotated[Duration, doc("How long the servers of a release must be healthy and unchanged.", default="5s")]
    healthCheck: Annotated[
        HealthCheckKeys,
        doc(
            "How each server is checked; where not written by Docker's HEALTHCHECK where there is one, else by a TCP "
            "connection."
        ),
    ]
    endpoints: Annotated[
        dict[EndpointName, EndpointObject],
        Field(min_length=1),
        doc(
            "Several ports and protocols by their names, which switch together; one of HTTP, named default, where not "
            "written.",
            example={"web": {"port": 8080}, "mqtt": {"port": 1883, "protocol": "tcp"}},
        ),
    ]
    routing: Annotated[
        RoutingKeys,
        Or("labels", "{labels: true, hosts: [shop.example.com]}"),
        OR_OFF,
        doc(
            "labels: routers, middlewares and load balancers are those in the containers' labels; false: in this file."
        ),
    ]
    smokeTests: Annotated[
        list[SmokeTestKeys], doc("Requests that every server of a release must answer as written, before its switch.")
    ]
    approval: Annotated[
        Literal["automatic", "manual"], doc("manual: a switch waits for an approval.", default="automatic")
    ]
    deadlines: Annotated[DeadlineKeys, doc("The maximum duration of each phase.")]
    watch: Annotated[Duration, doc("How long a release is watched after its switch.", default="2m")]
    canary: Annotated[CanaryKeys, OR_OFF, doc("The steps of a new release; one switch where not written, or false.")]
    analysis: Annotated[AnalysisKeys, OR_OFF, doc("How a release is judged by its requests; false: not at all.")]
    testRoute: Annotated[TestRouteKeys, OR_OFF, doc("Requests that reach a new release before its traffic does.")]


@with_config(
    ConfigDict(**STRICT, json_schema_extra={"not": {"required": ["router", "routers"]}}),
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
    servers: Annotated[Servers, doc("Fixed servers, where Docker does not provide them.")]


@with_config(STRICT)
class DefaultsObject(ServiceKeys, total=False):
    """The values that every service has unless it has its own.

    A service's own key wins. `healthCheck`, `deadlines`, `loadBalancer`, `canary` and `analysis` are merged key by key,
    and `false` takes away `canary`, `analysis` or `testRoute`; `router` gives its keys to every router and preview that
    does not have them.
    """

    router: Annotated[RouterKeys, doc("Keys for every router and preview that does not have them.")]
    routers: Annotated[object, *_NOT_A_DEFAULT]
    preview: Annotated[object, *_NOT_A_DEFAULT]
    servers: Annotated[object, *_NOT_A_DEFAULT]


# --- the file ------------------------------------------------------------------------------------------------------


@with_config(STRICT)
class TraefikKeys(TypedDict, total=False):
    """The Traefik that polls the daemon."""

    api: Annotated[list[ApiUrl], doc("Where to read back what each Traefik applied.", example=["http://traefik:8080"])]
    metrics: Annotated[
        list[MetricsUrl],
        doc(
            "Where each Traefik shows its metrics, which an analysis reads: /metrics where no path is written. Those "
            "of traefik.api where not written.",
            example=["http://traefik:8082"],
        ),
    ]
    buckets: Annotated[
        list[Wait],
        Field(min_length=1),
        doc(
            "The bounds of Traefik's histogram, for analysis.slow, where its own metrics.prometheus.buckets are set.",
            default=["100ms", "300ms", "1.2s", "5s"],
        ),
    ]
    defaultCertificate: Annotated[
        Literal["none", "generated"],
        doc(
            "generated: the daemon makes a self-signed certificate, which spares Traefik an RSA key (45 ms) at every "
            "change. It is shown for hosts without one of their own. Only one provider of a Traefik may define it.",
            default="none",
        ),
    ]
    unchecked: Annotated[
        list[Text],
        doc(
            "Parts of Traefik's objects that are passed on unchecked, by their dotted paths: for keys of a Traefik "
            "that is newer than this daemon.",
            example=["http.middlewares.compress"],
        ),
    ]


@with_config(STRICT)
class EngineTlsKeys(TypedDict):
    """The files of a TLS connection to an engine, each on the daemon's machine."""

    ca: Annotated[
        AbsolutePath, doc("The certificates that the engine's is signed by.", example="/etc/bluegreen/docker/ca.pem")
    ]
    cert: Annotated[AbsolutePath, doc("The daemon's certificate.", example="/etc/bluegreen/docker/cert.pem")]
    key: Annotated[AbsolutePath, doc("Its private key.", example="/etc/bluegreen/docker/key.pem")]


@with_config(STRICT)
class EngineKeys(TypedDict, total=False):
    """One Docker Engine."""

    name: Required[Annotated[EngineName, doc("Its name in messages.", example="a")]]
    url: Required[Annotated[EngineUrl, doc("Where the daemon reaches its API.", example="tcp://10.0.0.5:2376")]]
    tls: Annotated[EngineTlsKeys, doc("The certificates of a connection with TLS.")]
    address: Annotated[
        EngineAddress,
        doc(
            "Where Traefik reaches the ports that its containers publish. Without it Traefik must reach the containers "
            "in their own networks.",
            example="10.0.0.5",
        ),
    ]


@with_config(STRICT)
class DockerKeys(TypedDict, total=False):
    """The Docker Engines that run the containers."""

    network: Annotated[
        NetworkName,
        doc(
            "The network that Traefik reaches containers in, by its full name; the label bluegreen.network of a "
            "container wins.",
            example="proxy",
        ),
    ]
    engines: Annotated[
        list[EngineKeys],
        Field(min_length=1),
        doc("The engines that run the containers, in place of the one of --docker."),
    ]


@with_config(STRICT)
class ReleaseKeys(TypedDict, total=False):
    """Which changes make a new release."""

    ignoreEnv: Annotated[
        list[VariableName],
        doc(
            "Variables of a container's environment that do not change its release. Where Compose started the "
            "container, its own hash decides instead.",
            example=["NODE"],
        ),
    ]


@with_config(STRICT)
class File(TypedDict, total=False):
    """The desired state of one environment."""

    environment: Required[
        Annotated[
            Text,
            doc("The name that containers carry as bluegreen.environment.", example="production"),
        ]
    ]
    requireEnvironmentLabel: Annotated[
        bool, doc("true ignores containers without the label bluegreen.environment.", default=False)
    ]
    traefik: Annotated[TraefikKeys, doc("Settings for Traefik itself.")]
    docker: Annotated[DockerKeys, doc("Settings for Docker's containers.")]
    release: Annotated[ReleaseKeys, doc("Which changes of a container make a new release.")]
    defaults: Annotated[DefaultsObject, doc("Values for every service that does not have its own.")]
    services: Required[
        Annotated[
            dict[Name, ServiceObject],
            OrAuto(),
            doc(
                "Every application under blue-green; write 'services: {}' to have none, and auto to have each one that "
                "containers name."
            ),
        ]
    ]
    http: Annotated[HttpSection, doc("Further HTTP configuration for Traefik, passed through.")]
    tcp: Annotated[TcpSection, doc("TCP configuration for Traefik, passed through.")]
    udp: Annotated[UdpSection, doc("UDP configuration for Traefik, passed through.")]
    tls: Annotated[TlsSection, doc("TLS configuration for Traefik, passed through.")]


FILE: TypeAdapter[File] = TypeAdapter(File)


class _Schema(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002  titles only repeat the keys
        return False


def json_schema() -> dict[str, object]:
    """Return the JSON Schema of the desired-state file."""
    schema = FILE.json_schema(schema_generator=_Schema)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
