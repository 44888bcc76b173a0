"""Addresses to listen on, as --listen and --admin-listen take them: light, as the health check starts often."""

from provider.errors import AddressError


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
