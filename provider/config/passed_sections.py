"""The shape of what is passed through to Traefik."""

from typing import Annotated

from pydantic import with_config
from typing_extensions import TypedDict  # pydantic takes typing's own only from Python 3.12 on

from provider.config.traefik_objects import STRICT
from provider.config.traefik_types import Table
from provider.config.types import MiddlewareName, PassedName, doc
from provider.model.traefik_schema import sections as tables


@with_config(STRICT)
class HttpSection(TypedDict, total=False):
    """Further configuration for Traefik, passed through."""

    routers: Annotated[dict[PassedName, Annotated[object, Table(tables.ROUTER)]], doc("HTTP routers by their names.")]
    services: Annotated[
        dict[PassedName, Annotated[object, Table(tables.SERVICE)]], doc("HTTP services by their names.")
    ]
    middlewares: Annotated[
        dict[MiddlewareName, Annotated[object, Table(tables.MIDDLEWARE)]], doc("HTTP middlewares by their names.")
    ]
    serversTransports: Annotated[
        dict[PassedName, Annotated[object, Table(tables.SERVERS_TRANSPORT)]],
        doc("Transports to servers by their names."),
    ]
    models: Annotated[
        dict[PassedName, Annotated[object, Table(tables.MODEL)]], doc("Models of entry points by their names.")
    ]


@with_config(STRICT)
class TcpSection(TypedDict, total=False):
    """Further configuration for Traefik, passed through."""

    routers: Annotated[
        dict[PassedName, Annotated[object, Table(tables.TCP_ROUTER)]], doc("TCP routers by their names.")
    ]
    services: Annotated[
        dict[PassedName, Annotated[object, Table(tables.TCP_SERVICE)]], doc("TCP services by their names.")
    ]
    middlewares: Annotated[
        dict[PassedName, Annotated[object, Table(tables.TCP_MIDDLEWARE)]], doc("TCP middlewares by their names.")
    ]
    serversTransports: Annotated[
        dict[PassedName, Annotated[object, Table(tables.TCP_SERVERS_TRANSPORT)]],
        doc("Transports to servers by their names."),
    ]


@with_config(STRICT)
class UdpSection(TypedDict, total=False):
    """Further configuration for Traefik, passed through."""

    routers: Annotated[
        dict[PassedName, Annotated[object, Table(tables.UDP_ROUTER)]], doc("UDP routers by their names.")
    ]
    services: Annotated[
        dict[PassedName, Annotated[object, Table(tables.UDP_SERVICE)]], doc("UDP services by their names.")
    ]


@with_config(STRICT)
class TlsSection(TypedDict, total=False):
    """Further configuration for Traefik, passed through."""

    certificates: Annotated[
        list[Annotated[object, Table(tables.CERT_AND_STORES)]], doc("Certificates, as files of Traefik's or inline.")
    ]
    options: Annotated[
        dict[PassedName, Annotated[object, Table(tables.TLS_OPTIONS)]], doc("TLS options by their names.")
    ]
    stores: Annotated[
        dict[PassedName, Annotated[object, Table(tables.TLS_STORE)]],
        doc("Stores of certificates by their names; Traefik knows `default` only."),
    ]
