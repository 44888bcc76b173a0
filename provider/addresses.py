"""Addresses as they are written: those to listen on, and those of servers. Light, as the health check starts often."""

import ipaddress
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from provider.errors import AddressError


class Place(NamedTuple):
    """Where a server is reached. Two servers at one place are one: what answers there is evidence for neither alone."""

    host: str
    port: int


def place_of(url: str) -> Place | None:
    """Return the one spelling of where a server's URL leads to (rule 39); None where that is no address.

    Default ports are written out; the scheme, the path, letter case and the forms of an IP address make no difference.
    This machine's own names for itself are one, too.
    """
    try:
        parts = urlsplit(url)
        host, port = unquote(parts.hostname or ""), parts.port
    except ValueError:
        return None
    if not host:
        return None
    return Place(_host(host), port or (443 if parts.scheme.lower() == "https" else 80))


def _host(written: str) -> str:
    name = written.lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return "127.0.0.1"
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        try:
            return name if name.isascii() else name.encode("idna").decode()
        except UnicodeError:
            return name
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "::1"
    return str(address)


def split_address(address: str) -> tuple[str, int]:
    """Split HOST:PORT, [IPV6]:PORT or :PORT (every address).

    Raises:
        AddressError: the text is none of these.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise AddressError(
            f"{address!r} is no address to listen on: write HOST:PORT or [IPV6]:PORT, for --admin-listen also unix:PATH"
        )
    return host.removeprefix("[").removesuffix("]"), int(port)
