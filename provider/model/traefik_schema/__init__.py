"""Every key and type of Traefik's dynamic configuration, as the union of its versions 3.0 to 3.7.

Traefik refuses a whole document for one unknown key, one value of another type, or one empty object in the wrong place,
and keeps what it had. The facts are from its source (pkg/config/dynamic, pkg/tls), where `file:"allowEmpty"` says what
may be empty, and from its decoder (github.com/traefik/paerser). tests/integration/test_traefik_schema.py checks them
against a real Traefik.

`kinds` are the types of values, `sections` and `middlewares` the tables, `versions` which keys came after 3.0.
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
from provider.model.traefik_schema.sections import DOCUMENT, LOAD_BALANCER, ROUTER, STICKY
from provider.model.traefik_schema.versions import Later, later_keys, parse_version, unknown_to

__all__ = [
    "DOCUMENT",
    "FIRST",
    "LAST",
    "LOAD_BALANCER",
    "ROUTER",
    "STICKY",
    "TEXTS",
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
