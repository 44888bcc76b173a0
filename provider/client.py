"""Asks a running daemon over its admin API, with nothing that would make the command line slow to start."""

import getpass
import http.client
import json
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from urllib.parse import quote, urlsplit

from provider.bounded import Bounds
from provider.errors import AddressError, BluegreenError
from provider.text import without_userinfo

TIMEOUT_S = 10.0
ANSWER_BYTES, ANSWER_S = 256 * 1024 * 1024, 300.0
"""So long an answer may be, and may take in all: that of ten thousand services has 60 MiB."""
EVENT_BYTES = 1024 * 1024
SILENCE_S = 15.0
"""A stream of events is over when it says nothing for so long: the daemon gives a sign of life every 5 s."""
ACTOR_HEADER = "X-Bluegreen-Actor"


class NoDaemon(BluegreenError):  # noqa: N818
    """No daemon answers at the admin address."""


class Unusable(BluegreenError):  # noqa: N818
    """A token or a certificate that no daemon can be asked with."""


class Refused(BluegreenError):  # noqa: N818
    """The daemon answered with a problem; `status` is HTTP's, `code` the problem's."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.code = status, code


class Admin:
    """The admin API at an address as `--admin` takes it: http://HOST:PORT, https://HOST:PORT or unix:PATH.

    `token` is shown with each question; a daemon without tokens is told the login name instead, which it takes for the
    actor. Over https, `ca` is trusted instead of the machine's CAs, and `cert` with `key` is shown where mutual TLS is
    wanted. Raises AddressError and Unusable. A question raises NoDaemon, also after `timeout_s` without a word, or
    Refused with the daemon's reason.
    """

    def __init__(
        self,
        address: str,
        *,
        token: str | None = None,
        ca: Path | None = None,
        cert: Path | None = None,
        key: Path | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self.address = without_userinfo(address)
        self._connect = partial(_connection, address, ca, cert, key)
        self._connection = self._connect()
        self._connection.timeout = timeout_s
        self._headers: dict[str, str | bytes] = {"Accept": "application/json", ACTOR_HEADER: _login()}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {_checked(token)}"

    def services(self) -> dict[str, object]:
        """Return how everything stands."""
        return self._of_a_daemon(self.get("/api/v1/services"))

    def service(self, name: str) -> dict[str, object]:
        """Return how one service stands."""
        return self._of_a_daemon(self.get(service_path(name)))

    def standing(self, name: str | None) -> dict[str, object]:
        """Return how one service stands, or everything."""
        return self.services() if name is None else self.service(name)

    def get(self, path: str) -> dict[str, object]:
        """Return what is at a path of the API."""
        return self._ask("GET", path)

    def post(self, path: str, body: Mapping[str, object]) -> dict[str, object]:
        """Send a command to a path of the API; return the answer to what was done, begun or done already."""
        return self._ask("POST", path, body)

    def delete(self, path: str) -> dict[str, object]:
        """Take away what is at a path of the API; return the answer."""
        return self._ask("DELETE", path, {})

    def events(self) -> Iterator[str]:
        """Yield the name of each event as it comes, "" as soon as they can come, and "" for every sign of life.

        They have a connection of their own, so another thread may ask meanwhile. Raises NoDaemon at their end, and
        Refused.
        """
        with closing(self._connect()) as connection:
            connection.timeout = TIMEOUT_S
            bounds = Bounds(EVENT_BYTES, None)
            try:
                connection.connect()
                connection.sock.settimeout(SILENCE_S)
                connection.request("GET", "/api/v1/events", headers=self._headers)
                with bounds.in_force():
                    answer = connection.getresponse()
                if answer.status != 200:
                    _content(answer, answer.read())
                    raise self._no_daemon(f"{answer.status} for its events")
                yield ""
                while line := answer.readline():
                    bounds.renew()
                    field, _, value = line.decode(errors="replace").strip().partition(":")
                    if field in {"event", ""} and line.strip():
                        yield value.strip() if field else ""
            except (OSError, http.client.HTTPException) as failure:
                raise self._unanswered(failure) from failure
        raise NoDaemon(f"the daemon at {self.address} has ended the stream of its events: it restarts, or was stopped")

    def _ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> dict[str, object]:
        connection = self._connection
        sent = None if body is None else json.dumps(body).encode()
        headers = self._headers if sent is None else {**self._headers, "Content-Type": "application/json"}
        try:
            connection.request(method, path, body=sent, headers=headers)
            with Bounds(ANSWER_BYTES, ANSWER_S).in_force():
                answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as failure:
            raise self._unanswered(failure) from failure
        finally:
            connection.close()
        content = _content(answer, text)
        if answer.status not in {200, 202} or not content:
            raise self._no_daemon(f"{answer.status} {text[:200]!r}")
        return content

    def _of_a_daemon(self, content: dict[str, object]) -> dict[str, object]:
        if "environment" not in content:
            raise self._no_daemon(f"200 {json.dumps(content).encode()[:200]!r}")
        return content

    def _no_daemon(self, answer: str) -> NoDaemon:
        return NoDaemon(
            f"what answers at {self.address} is no admin listener of a bluegreen daemon, or has failed: {answer}"
        )

    def _unanswered(self, failure: Exception) -> NoDaemon:
        return NoDaemon(f"no daemon answers at {self.address} ({failure}): {self._way_out(failure)}")

    def _way_out(self, failure: Exception) -> str:
        match failure:
            case ssl.SSLCertVerificationError():
                return "its certificate is not trusted here: name the CA that signed it with --ca (BLUEGREEN_CA)"
            case ssl.SSLError(reason="WRONG_VERSION_NUMBER" | "HTTP_REQUEST" | "RECORD_LAYER_FAILURE"):
                return "it does not speak TLS: write http:// in --admin (BLUEGREEN_ADMIN)"
            case ssl.SSLError() | http.client.RemoteDisconnected() | ConnectionResetError() | BrokenPipeError():
                if self.address.startswith("https:"):
                    return "if it was started with --tls-client-ca, name a certificate of that CA with --cert and --key"
                return "if it was started with --tls-cert, write https:// in --admin (BLUEGREEN_ADMIN)"
            case _:
                return (
                    "is `bluegreen serve` running, and is its --admin-listen what --admin (BLUEGREEN_ADMIN) says here?"
                )


def service_path(name: str, verb: str | None = None) -> str:
    """Return the path of a service in the API, or of a command to it."""
    path = f"/api/v1/services/{quote(name, safe='', errors='surrogateescape')}"
    return path if verb is None else f"{path}/{verb}"


def _content(answer: http.client.HTTPResponse, text: bytes) -> dict[str, object]:
    """Return what was answered, {} where it is nothing of a daemon's; raise Refused where it is a problem."""
    try:
        content = dict(json.loads(text))
    except (ValueError, TypeError):
        content = {}
    if answer.status >= 400 and "code" in content:
        raise Refused(answer.status, str(content["code"]), str(content.get("detail")))
    return content


def _connection(address: str, ca: Path | None, cert: Path | None, key: Path | None) -> http.client.HTTPConnection:
    kind, _, path = address.partition(":")
    if kind == "unix" and path:
        return _UnixConnection(path)
    try:
        parts = urlsplit(address if "//" in address else f"http://{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if kind != "unix" and host and not parts.path.strip("/"):
        if parts.scheme == "http":
            return http.client.HTTPConnection(host, port)
        if parts.scheme == "https":
            return http.client.HTTPSConnection(host, port, context=_context(ca, cert, key))
    raise AddressError(f"{without_userinfo(address)!r} is no address of a daemon: write http://HOST:PORT or unix:PATH")


def _context(ca: Path | None, cert: Path | None, key: Path | None) -> ssl.SSLContext:
    if key is not None and cert is None:
        raise Unusable(f"--key {key} is of no use without the --cert that belongs to it")
    try:
        context = ssl.create_default_context(cafile=ca)
    except (ssl.SSLError, OSError) as failure:
        raise Unusable(f"--ca {ca} cannot be used: {failure}") from failure
    if cert is not None:
        try:
            context.load_cert_chain(cert, key)
        except (ssl.SSLError, OSError) as failure:
            raise Unusable(f"--cert {cert} with --key {key or cert} cannot be used: {failure}") from failure
    return context


def _checked(token: str) -> str:
    """Return a token as it can stand in a header, without the line end of the file that it was read from."""
    stripped = token.strip()
    if not stripped or not stripped.isascii() or not stripped.isprintable() or " " in stripped:
        raise Unusable("the token (--token, BLUEGREEN_TOKEN) is none: it is one word of ASCII characters")
    return stripped


def _login() -> bytes:
    """Return the login name, as a header may hold it; b"" where there is none."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError, ImportError):
        return b""
    return "".join(letter for letter in name if letter.isprintable()).encode(errors="ignore")


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
