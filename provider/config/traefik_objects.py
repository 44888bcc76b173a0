"""Traefik's own objects within a service, for validation and for the JSON Schema that editors read.

Their fields are those of `model.traefik_schema`, which a test holds them against, with narrower types and with what an
editor says of each. An unknown one, a wrong type or an empty object in the wrong place makes Traefik refuse the whole
document, so they are refused here.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, WrapValidator, with_config
from typing_extensions import TypedDict  # pydantic takes typing's own only from Python 3.12 on

from provider.config.traefik_types import off
from provider.config.types import EndpointName, Rule, Text, TraefikDuration, doc, not_empty, refused
from provider.model.desired import PRIORITY_MOST

STRICT = ConfigDict(strict=True, extra="forbid")

_NO_SERVICE = refused("a router's service is made by the daemon from the name of the service: remove this key")
_NO_SERVERS = refused("servers come from Docker's labels or from 'servers' of the service: remove this key")
_NO_HEALTH_CHECK = refused(
    "health is checked by the daemon, since Traefik forgets its own results at every change: use 'healthCheck' of the"
    " service"
)
Filled = AfterValidator(not_empty)
_MayBeOff = WrapValidator(off)
_TLS = doc("TLS, and whose certificate; `{}` is TLS with the defaults.", example={})


@with_config(STRICT)
class Domain(TypedDict, total=False):
    """The names of one certificate."""

    main: Annotated[Text, doc("The first name.", example="example.com")]
    sans: Annotated[list[Text], doc("Further names.", example=["*.example.com"])]


@with_config(STRICT)
class RouterTls(TypedDict, total=False):
    """How a router speaks TLS; `{}` is TLS with the defaults."""

    options: Annotated[Text, doc("TLS options by their name.", example="strong@file")]
    certResolver: Annotated[Text, doc("Who gets the certificate.", example="le")]
    domains: Annotated[list[Domain], doc("For which names; those of the rule where not written.")]


@with_config(STRICT)
class EndpointTls(RouterTls, total=False):
    """How a router of any protocol speaks TLS."""

    passthrough: Annotated[bool, doc("Of TCP. true: the server speaks TLS with the client.")]


@with_config(STRICT)
class Observability(TypedDict, total=False):
    """What Traefik records of a router's requests."""

    accessLogs: Annotated[bool, doc("Whether they are in the access log.")]
    metrics: Annotated[bool, doc("Whether they are counted.")]
    tracing: Annotated[bool, doc("Whether they are traced.")]
    traceVerbosity: Annotated[Literal["minimal", "detailed"], doc("How much a trace says.")]


@with_config(STRICT)
class _RouterKeys(TypedDict, total=False):
    """The keys of a router that are the same everywhere."""

    entryPoints: Annotated[
        list[Text],
        doc(
            "Entry points that the router listens on; Traefik's default ones where not written.", example=["websecure"]
        ),
    ]
    middlewares: Annotated[
        list[Text],
        doc(
            "Middlewares in their order, those of other providers as name@provider.",
            example=["secure-headers", "office-only@file"],
        ),
    ]
    priority: Annotated[
        int,
        Field(ge=-(2**63), le=PRIORITY_MOST),
        doc(
            "The highest wins where several match; the length of the rule plus one where not written, a hundred more "
            "for a preview.",
            example=100,
        ),
    ]
    observability: Annotated[Observability, Filled, doc("What Traefik records of the router's requests.")]
    parentRefs: Annotated[list[Text], doc("Routers that requests pass before they come to this one.")]
    ruleSyntax: Annotated[Literal["v2", "v3"], doc("The version of Traefik that the rule is written for.")]
    service: Annotated[object, *_NO_SERVICE]


@with_config(STRICT)
class RouterKeys(_RouterKeys, total=False):
    """The keys of Traefik's router that may be a default, of HTTP."""

    tls: Annotated[RouterTls, _MayBeOff, _TLS]


@with_config(
    ConfigDict(**STRICT, json_schema_extra={"anyOf": [{"required": ["rule"]}, {"required": ["endpoint"]}]}),
)
class RouterObject(_RouterKeys, total=False):
    """Traefik's own router object, without `service`: that of the protocol that its endpoint speaks."""

    rule: Annotated[
        Rule, doc("What the router matches; required but of UDP, which has none.", example="Host(`shop.example.com`)")
    ]
    endpoint: Annotated[EndpointName, doc("Where it leads.", default="default", example="web")]
    tls: Annotated[EndpointTls, _MayBeOff, _TLS]


@with_config(STRICT)
class Cookie(TypedDict, total=False):
    """The cookie that keeps a client at its colour."""

    name: Annotated[Text, doc("Its name; Traefik makes one where not written.", example="shop")]
    secure: Annotated[bool, doc("true: over TLS only.")]
    httpOnly: Annotated[bool, doc("true: not for scripts.")]
    sameSite: Annotated[
        Literal["none", "lax", "strict", "None", "Lax", "Strict"], doc("Whether other sites' requests carry it.")
    ]
    maxAge: Annotated[int, doc("Seconds it is kept; 0: until the browser is closed, negative: not at all.")]
    path: Annotated[Text, doc("The path it is for.")]
    domain: Annotated[Text, doc("The domain it is for.")]


@with_config(STRICT)
class Sticky(TypedDict, total=False):
    """Traefik's sticky object."""

    cookie: Annotated[Cookie, _MayBeOff, doc("The cookie.", example={"name": "shop", "secure": True})]


@with_config(STRICT)
class PassiveHealthCheck(TypedDict, total=False):
    """How Traefik leaves out a server whose requests fail."""

    failureWindow: Annotated[TraefikDuration, doc("The time within which failures are counted.", example="3s")]
    maxFailedAttempts: Annotated[int, doc("So many failures, and the server is left out.", example=3)]


@with_config(STRICT)
class ResponseForwarding(TypedDict, total=False):
    """How Traefik hands responses on."""

    flushInterval: Annotated[TraefikDuration, doc("How often; negative: at every write.", example="100ms")]


@with_config(STRICT)
class LoadBalancer(TypedDict, total=False):
    """Traefik's loadBalancer object, without servers and health check."""

    passHostHeader: Annotated[bool, doc("Whether servers get the Host of the client; Traefik's default is true.")]
    strategy: Annotated[Literal["wrr", "p2c", "hrw", "leasttime"], doc("Which server of a colour gets a request.")]
    sticky: Annotated[Sticky, _MayBeOff, doc("Keeps a client at one server of a colour.")]
    serversTransport: Annotated[Text, doc("A transport by its name, for TLS to the servers.", example="internal@file")]
    responseForwarding: Annotated[ResponseForwarding, Filled, doc("How responses are handed on.")]
    passiveHealthCheck: Annotated[PassiveHealthCheck, Filled, doc("Leaves out servers whose requests fail.")]
    servers: Annotated[object, *_NO_SERVERS]
    healthCheck: Annotated[object, *_NO_HEALTH_CHECK]


@with_config(STRICT)
class ProxyProtocol(TypedDict, total=False):
    """Tells servers the address of the client, before its bytes."""

    version: Annotated[Literal[1, 2], doc("The version; Traefik's default is 2.")]


@with_config(STRICT)
class EndpointBalancer(LoadBalancer, total=False):
    """Traefik's loadBalancer object of the protocol that the endpoint speaks; that of UDP has no keys."""

    proxyProtocol: Annotated[ProxyProtocol, _MayBeOff, doc("Of TCP: the PROXY protocol.", example={"version": 2})]
    terminationDelay: Annotated[
        int, doc("Of TCP: so many milliseconds may pass between the ends of both directions; Traefik's default is 100.")
    ]
