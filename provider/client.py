"""Asks a running daemon over its admin API, with nothing that would make the command line slow to start."""

import http.client
import json
import socket
from urllib.parse import quote, urlsplit

from provider.errors import AddressError, BluegreenError

TIMEOUT_S = 10.0


class NoDaemon(BluegreenError):  # noqa: N818
    """No daemon answers at the admin address."""


class Refused(BluegreenError):  # noqa: N818
    """The daemon answered with a problem; `status` is HTTP's, `code` the problem's."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.code = status, code


class Admin:
    """The admin API at an address as `--admin` takes it: http://HOST:PORT or unix:PATH.

    Raises AddressError for anything else. A question raises NoDaemon, or Refused with the daemon's reason.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._connection = _connection(address)

    def services(self) -> dict[str, object]:
        """Return how everything stands."""
        return self._get("/api/v1/services")

    def service(self, name: str) -> dict[str, object]:
        """Return how one service stands."""
        return self._get(f"/api/v1/services/{quote(name, safe='')}")

    def _get(self, path: str) -> dict[str, object]:
        connection = self._connection
        try:
            connection.request("GET", path, headers={"Accept": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as failure:
            raise NoDaemon(
                f"no daemon answers at {self.address} ({failure}): is `bluegreen serve` running, and is its "
                f"--admin-listen what --admin (BLUEGREEN_ADMIN) says here?"
            ) from failure
        finally:
            connection.close()
        try:
            body = dict(json.loads(text))
        except (ValueError, TypeError):
            body = {}
        if answer.status >= 400 and "code" in body:
            raise Refused(answer.status, str(body["code"]), str(body.get("detail")))
        if answer.status != 200 or "environment" not in body:
            raise NoDaemon(
                f"what answers at {self.address} is no admin listener of a bluegreen daemon, or has failed: "
                f"{answer.status} {text[:200]!r}"
            )
        return body


def _connection(address: str) -> http.client.HTTPConnection:
    kind, _, path = address.partition(":")
    if kind == "unix" and path:
        return _UnixConnection(path)
    try:
        parts = urlsplit(address if "//" in address else f"http://{address}")
        made: type[http.client.HTTPConnection] = _BY_SCHEME[parts.scheme]
        if kind != "unix" and parts.hostname and not parts.path.strip("/"):
            return made(parts.hostname, parts.port, timeout=TIMEOUT_S)
    except (ValueError, KeyError):
        pass
    raise AddressError(f"{address!r} is no address of a daemon: write http://HOST:PORT or unix:PATH")


_BY_SCHEME = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT_S)
        self.sock.connect(self._path)
