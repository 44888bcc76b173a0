"""Every key and type of Traefik's dynamic configuration, as the union of its versions 3.0 to 3.7.

Traefik refuses a whole document for one key that it does not know, one value of another type, or one empty object in
the wrong place, and goes on with what it had. The facts are those of its source (pkg/config/dynamic, pkg/tls), where
`file:"allowEmpty"` says what may be empty, and of its decoder (github.com/traefik/paerser). They are held against a
real Traefik in tests/integration/test_traefik_schema.py.
"""

from provider.model.traefik_schema.kinds import (
    FIRST,
    LAST,
    TEXTS,
    Anything,
    Field,
    Kind,
    Many,
    Named,
    Scalar,
    Struct,
    Version,
    fold,
)
from provider.model.traefik_schema.sections import DOCUMENT, HTTP, LOAD_BALANCER, ROUTER, STICKY, TCP, TLS, UDP
from provider.model.traefik_schema.versions import Later, later_keys, parse_version, unknown_to

__all__ = [
    "DOCUMENT",
    "FIRST",
    "HTTP",
    "LAST",
    "LOAD_BALANCER",
    "ROUTER",
    "STICKY",
    "TCP",
    "TEXTS",
    "TLS",
    "UDP",
    "Anything",
    "Field",
    "Kind",
    "Later",
    "Many",
    "Named",
    "Scalar",
    "Struct",
    "Version",
    "fold",
    "later_keys",
    "parse_version",
    "unknown_to",
]
