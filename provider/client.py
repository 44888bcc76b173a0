"""Asks a running daemon over its admin API, with nothing that would make the command line slow to start."""

import http.client
import json
import socket
from urllib.parse import quote, urlsplit

from provider.errors import BluegreenError

TIMEOUT_S = 10.0


class NoDaemon(BluegreenError):  # noqa: N818
    """No daemon answers at the admin address."""


class Refused(BluegreenError):  # noqa: N818
    """The daemon answered with a problem; `status` is HTTP's, `code` the problem's."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.code = status, code


class Admin:
    """The admin API at an address as `--admin` takes it: http://HOST:PORT or unix:PATH."""

    def __init__(self, address: str) -> None:
        self.address = address

    def services(self) -> dict[str, object]:
        """Return how everything stands."""
        return self._get("/api/v1/services")

    def service(self, name: str) -> dict[str, object]:
        """Return how one service stands."""
        return self._get(f"/api/v1/services/{quote(name, safe='')}")

    def _get(self, path: str) -> dict[str, object]:
        connection = self._connection()
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
        except (ValueError, TypeError) as failure:
            raise NoDaemon(
                f"what answers at {self.address} is no bluegreen daemon, or has failed: {answer.status} {text[:200]!r}"
            ) from failure
        if answer.status >= 400:
            raise Refused(answer.status, str(body.get("code")), str(body.get("detail")))
        return body

    def _connection(self) -> http.client.HTTPConnection:
        if self.address.startswith("unix:"):
            return _UnixConnection(self.address.removeprefix("unix:"))
        parts = urlsplit(self.address if "//" in self.address else f"http://{self.address}")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        return kind(parts.hostname or "127.0.0.1", parts.port, timeout=TIMEOUT_S)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT_S)
        self.sock.connect(self._path)
