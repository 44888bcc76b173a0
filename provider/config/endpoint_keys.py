"""The shape of an endpoint of a service, and of what asks its servers: health checks and smoke tests."""

from typing import Annotated, Literal, Required

from pydantic import Field, with_config
from typing_extensions import TypedDict  # pydantic takes typing's own only from Python 3.12 on

from provider.config.traefik_objects import STRICT, EndpointBalancer
from provider.config.types import (
    Count,
    EndpointName,
    HeaderName,
    HeaderValue,
    Hostname,
    Method,
    Payload,
    Port,
    ServiceName,
    Status,
    Text,
    UrlPath,
    Wait,
    doc,
)


@with_config(STRICT)
class HealthCheckKeys(TypedDict, total=False):
    """One check of a server."""

    mode: Annotated[
        Literal["http", "grpc", "tcp", "docker"],
        doc("http where a key of an HTTP request is written, tcp where `send` or `expect` is."),
    ]
    path: Annotated[UrlPath, doc("The path of the request.", default="/", example="/healthz")]
    interval: Annotated[
        Wait,
        doc(
            "From the beginning of one check to that of the next. A new server is checked more often until its first "
            "pass, for one interval at most.",
            default="2s",
        ),
    ]
    timeout: Annotated[Wait, doc("How long an answer may take.", default="1s")]
    healthyAfter: Annotated[Count, doc("How many passes in a row make a server healthy.", default=3)]
    unhealthyAfter: Annotated[Count, doc("How many failures in a row make it unhealthy.", default=3)]
    scheme: Annotated[
        Literal["http", "https", "h2c"],
        doc(
            "That of the server's URL where not written. h2c is HTTP/2 without TLS, as mode grpc also speaks it with "
            "http."
        ),
    ]
    port: Annotated[Port, doc("That of the server's URL where not written.", example=9000)]
    hostname: Annotated[
        Hostname,
        doc("The Host header; the first host of the router's rule where not written.", example="shop.internal"),
    ]
    method: Annotated[Method, doc("The method of the request.", default="GET")]
    status: Annotated[Status, doc("The one status that passes; 200 to 399 where not written.", example=204)]
    headers: Annotated[dict[HeaderName, HeaderValue], doc("Further headers.", example={"X-Probe": "bluegreen"})]
    followRedirects: Annotated[bool, doc("true follows redirects on the same server.", default=False)]
    insecureSkipVerify: Annotated[bool, doc("true accepts any certificate of the server.", default=False)]
    service: Annotated[
        ServiceName,
        doc("The service that mode grpc asks for; the whole server where not written.", example="shop.v1.Basket"),
    ]
    send: Annotated[
        Payload,
        doc(
            "What mode tcp sends. Bytes are written as \\r, \\n, \\t, \\0, \\\\ and \\xNN, without quotes or in single "
            "ones.",
            example="PING\\r\\n",
        ),
    ]
    expect: Annotated[
        Payload,
        doc("What must be in the answer, in the same writing; any answer passes where not written.", example="+PONG"),
    ]


@with_config(STRICT)
class EndpointObject(TypedDict, total=False):
    """One port and protocol of a service."""

    port: Annotated[
        Port,
        doc(
            "The port of its containers, where their labels name none; the lowest that is exposed where not written.",
            example=1883,
        ),
    ]
    protocol: Annotated[Literal["http", "tcp", "udp"], doc("What it speaks.", default="http")]
    scheme: Annotated[
        Literal["http", "https", "h2c"],
        doc("That of its containers' URLs, where their labels name none: http where not written."),
    ]
    loadBalancer: Annotated[
        EndpointBalancer, doc("How Traefik treats its servers; of HTTP with the keys that the service has.")
    ]
    healthCheck: Annotated[
        HealthCheckKeys, doc("How each of its servers is checked; of HTTP with the keys that the service has.")
    ]


@with_config(STRICT)
class SmokeTestKeys(TypedDict, total=False):
    """One request that a release must answer as written before it may take traffic."""

    name: Required[Annotated[Text, doc("The name of the test in messages.", example="home page")]]
    endpoint: Annotated[EndpointName, doc("The endpoint that is asked, one of HTTP.", default="default")]
    path: Annotated[UrlPath, doc("The path of the request.", default="/")]
    method: Annotated[Method, doc("The method of the request.", default="GET")]
    headers: Annotated[dict[HeaderName, HeaderValue], doc("Further headers.", example={"Accept": "application/json"})]
    status: Annotated[Status, doc("The one status that passes; redirects are not followed.", default=200)]
    contains: Annotated[Text, doc("Text that the answer must contain, letter for letter.", example="Add to basket")]
    json: Annotated[
        dict[Text, object],
        doc("Values of the JSON answer by dotted path, such as items.0.name.", example={"database": "ok"}),
    ]
    timeout: Annotated[Wait, doc("How long the whole answer may take.", default="5s")]
    retries: Annotated[int, Field(ge=0), doc("How often a test whose answer does not match is repeated.", default=0)]
    insecureSkipVerify: Annotated[bool, doc("true accepts any certificate of the server.", default=False)]
