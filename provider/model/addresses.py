"""Addresses as they are written: those to listen on, and those of servers. Light, as the health check starts often."""

import ipaddress
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from provider.model.errors import AddressError


class Place(NamedTuple):
    """Where a server is reached. Of two servers at one place, an answer is evidence for neither."""

    host: str
    port: int
    is_udp: bool = False


def place_of(url: str) -> Place | None:
    """Return the normalised host and port of a server's URL (rule 39); None where it is no address.

    Default ports are added; the scheme, the path, letter case and the forms of an IP address make no difference. The
    names of this machine for itself count as one.
    """
    try:
        parts = urlsplit(url)
        host, port = unquote(parts.hostname or ""), parts.port
    except ValueError:
        return None
    if not host:
        return None
    scheme = parts.scheme.lower()
    return Place(_host(host), port or (443 if scheme == "https" else 80), scheme == "udp")


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


def is_loopback(host: str) -> bool:
    """Return whether an address to listen on is reached from this machine alone; an empty one is every address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
