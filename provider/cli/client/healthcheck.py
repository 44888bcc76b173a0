"""Asks the daemon on this machine whether it is alive; a container does so every few seconds, so it imports little."""

import http.client
import ssl

from provider.model.addresses import split_address
from provider.model.errors import BluegreenError

LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  a client: nothing listens
LONGEST_ANSWER = 4096


class NotAlive(BluegreenError):  # noqa: N818
    """The daemon is not alive, or not ready; the text has its answer."""


def check(listen: str, path: str, *, has_tls: bool, requires_certificates: bool, timeout_s: float) -> str:
    """Ask a path of the provider listener at `listen`, an address as --listen takes it; return the answer.

    The certificate is not verified, as nothing leaves the machine. If client certificates are required, the server's
    half of the handshake is the answer: the daemon's event loop gives it.

    Raises:
        NotAlive: no answer within `timeout_s` of each step, or not a 200.
        AddressError: `listen` is not an address.
    """
    host, port = split_address(listen)
    host = LOOPBACK.get(host, host)
    connection = (
        http.client.HTTPSConnection(host, port, timeout=timeout_s, context=_unverified())
        if has_tls
        else http.client.HTTPConnection(host, port, timeout=timeout_s)
    )
    try:
        if requires_certificates:
            connection.connect()
            return "alive: it requires a client certificate"
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read(LONGEST_ANSWER).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as failure:
        raise NotAlive(f"no daemon answers at {listen} (--listen, BLUEGREEN_LISTEN): {failure}") from failure
    finally:
        connection.close()
    if answer.status != 200:
        raise NotAlive(f"{path} at {listen} answers {answer.status}: {text}")
    return text


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
