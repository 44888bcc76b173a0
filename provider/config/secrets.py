"""The secrets in a document, for which the provider endpoint must not be open."""

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address

from provider.model import Desired

AUTHENTICATION = frozenset({"basicAuth", "digestAuth"})


def secrets(desired: Desired) -> tuple[str, ...]:
    """Return the parts of the file that put private keys or users' passwords into the document."""
    generated = ("traefik.defaultCertificate (generated, with a private key)",) if desired.generate_certificate else ()
    return (*generated, *_secrets(desired.pass_through, ""))


def secrets_within(bodies: Mapping[str, object]) -> tuple[str, ...]:
    """Return the parts of Traefik's objects that are private keys or users' passwords."""
    return tuple(_secrets(bodies, ""))


def is_address(host: str) -> bool:
    """Return whether a host is an IP address."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _secrets(value: object, path: str) -> Iterator[str]:
    match value:
        case str() if "PRIVATE KEY-----" in value:
            yield f"{path} (a private key)"
        case Mapping():
            for key, inner in value.items():
                here = f"{path}.{key}" if path else str(key)
                if key in AUTHENTICATION and isinstance(inner, Mapping) and inner.get("users"):
                    yield f"{here}.users (passwords)"
                else:
                    yield from _secrets(inner, here)
        case Sequence() if not isinstance(value, str | bytes):
            for number, inner in enumerate(value):
                yield from _secrets(inner, f"{path}[{number}]")
        case _:
            return
