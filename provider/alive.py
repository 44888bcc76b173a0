"""Asks the daemon in the same container or on the same machine whether it is alive, as a container's health check does.

It starts every few seconds, so it imports little.
"""

import http.client
import ssl

from provider.addresses import split_address
from provider.errors import BluegreenError

LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  it asks there, and does not listen
LONGEST_ANSWER = 4096


class NotAlive(BluegreenError):  # noqa: N818
    """The daemon did not say that it is well; the text says what it said."""


def look(listen: str, path: str, *, has_tls: bool, wants_certificates: bool, timeout_s: float) -> str:
    """Ask a path of the provider listener at `listen`, an address as --listen takes it; return the answer.

    The certificate is not verified, as nothing leaves the machine. Where certificates of clients are wanted, the
    server's half of the handshake is the answer: the daemon's event loop gives it.

    Raises:
        NotAlive: no answer within `timeout_s` of each step, or another one than 200.
        AddressError: `listen` is no address.
    """
    host, port = split_address(listen)
    host = LOOPBACK.get(host, host)
    connection = (
        http.client.HTTPSConnection(host, port, timeout=timeout_s, context=_unverified())
        if has_tls
        else http.client.HTTPConnection(host, port, timeout=timeout_s)
    )
    try:
        if wants_certificates:
            connection.connect()
            return "alive: it asks for a certificate"
        connection.request("GET", path)
        answer = connection.getresponse()
        said = answer.read(LONGEST_ANSWER).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as failure:
        raise NotAlive(f"no daemon answers at {listen} (--listen, BLUEGREEN_LISTEN): {failure}") from failure
    finally:
        connection.close()
    if answer.status != 200:
        raise NotAlive(f"{path} at {listen} answers {answer.status}: {said}")
    return said


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
