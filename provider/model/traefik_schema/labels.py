"""Traefik's configuration as labels have it: `DOCUMENT` but for one server, and for what labels cannot set.

In the source these are `label:"-"` and `label-slice-as-struct:"server"` (pkg/config/dynamic, pkg/tls).
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import assert_never

from provider.model.traefik_schema.kinds import Anything, Field, Kind, Many, Named, Scalar, Struct, fold
from provider.model.traefik_schema.sections import DOCUMENT

SERVER = "server"
"""The label for `servers`: a container is one."""
SERVER_STRUCTS = frozenset({"Server", "TCPServer", "UDPServer"})

_IGNORED: Mapping[str, frozenset[str]] = {
    "HTTP": frozenset({"serversTransports"}),
    "TCP": frozenset({"serversTransports"}),
    "TLS": frozenset({"certificates", "options"}),
    "TLSStore": frozenset({"defaultCertificate"}),
    "Router": frozenset({"parentRefs"}),
    "Service": frozenset({"highestRandomWeight", "weighted", "mirroring", "failover"}),
    "TCPService": frozenset({"weighted"}),
    "UDPService": frozenset({"weighted"}),
    "TCPServer": frozenset({"address"}),
    "UDPServer": frozenset({"address"}),
}


def is_ignored(struct: Struct, key: str) -> bool:
    """Return whether Traefik takes a label for this key and does nothing with its value."""
    return key in _IGNORED.get(struct.name, frozenset())


@cache
def _of_labels(struct: Struct) -> Struct:
    fields: dict[str, Field] = {}
    for key, field in struct.fields.items():
        is_servers = isinstance(field.kind, Many) and getattr(field.kind.item, "name", None) in SERVER_STRUCTS
        fields[SERVER if is_servers else key] = replace(field, kind=_kind(field.kind))
    if struct.name in SERVER_STRUCTS:
        own = ("port", "scheme") if struct.name == "Server" else ("port",)
        fields |= dict.fromkeys(own, Field(Scalar.TEXT))
    return Struct(struct.name, fields, {fold(key): key for key in fields})


def _kind(kind: Kind) -> Kind:
    match kind:
        case Scalar() | Anything():
            return kind
        case Struct():
            return _of_labels(kind)
        case Named(Struct() as value):
            return Named(_of_labels(value))
        case Many(Struct() as item):
            return _of_labels(item) if item.name in SERVER_STRUCTS else Many(_of_labels(item))
        case Named() | Many():
            return kind
    assert_never(kind)


LABELS = _of_labels(DOCUMENT)
