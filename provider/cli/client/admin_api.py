"""Asks a running daemon over its admin API, with the standard library only: other imports take time."""

import getpass
import http.client
import json
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import quote, urlencode, urlsplit

from provider.model.api_types import ACTOR_HEADER
from provider.model.errors import AddressError, BluegreenError
from provider.model.text import without_userinfo
from provider.runtime.bounded import Bounds

if TYPE_CHECKING:
    from provider.model import api_types as api

TIMEOUT_S = 10.0
APPLY_S = 60.0
"""Longer than the daemon takes to give up: a desired state of ten thousand services takes seconds."""
ANSWER_BYTES, ANSWER_S = 256 * 1024 * 1024, 300.0
"""Limits of an answer, in size and time: that of ten thousand services has 60 MiB."""
EVENT_BYTES = 1024 * 1024
SILENCE_S = 15.0
"""A stream of events has ended after this long without a byte: the daemon sends a sign of life every 5 s."""


class NoDaemon(BluegreenError):  # noqa: N818
    """No daemon answers at the admin address."""


class InvalidCredentials(BluegreenError):  # noqa: N818
    """A token or a certificate that cannot be used."""


class CommandRefused(BluegreenError):  # noqa: N818
    """The daemon answered with a problem: HTTP's `status`, and the `code` of the problem.

    `problems` are those of a desired state.
    """

    def __init__(self, status: int, code: str, detail: str, problems: Sequence["api.Mistake"] = ()) -> None:
        super().__init__(detail)
        self.status, self.code, self.problems = status, code, problems


class Admin:
    """The admin API at an address as `--admin` takes it: http://HOST:PORT, https://HOST:PORT or unix:PATH.

    `token` goes with each request; for a daemon without tokens, the login name is the actor. Over https, `ca` is
    trusted instead of the machine's CAs, and `cert` with `key` is the client certificate for mutual TLS. Raises
    AddressError and InvalidCredentials. A request raises NoDaemon, also after `timeout_s` without an answer, or
    CommandRefused with the daemon's reason.
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
        self._another = partial(Admin, token=token, ca=ca, cert=cert, key=key)
        self.address = without_userinfo(address)
        self._connect = partial(_connection, address, ca, cert, key)
        self._connection = self._connect()
        self._connection.timeout = timeout_s
        self._headers: dict[str, str | bytes] = {"Accept": "application/json", ACTOR_HEADER: _login()}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {_checked(token)}"

    def at(self, address: str, *, timeout_s: float = TIMEOUT_S) -> "Admin":
        """Return a client of another daemon, with the same token and certificates. Raises what `Admin` does."""
        return self._another(address, timeout_s=timeout_s)

    def services(self) -> "api.Overview":
        """Return the status of the daemon and of all services."""
        return cast("api.Overview", self._of_a_daemon(self.get("/api/v1/services")))

    def service(self, name: str) -> "api.Service":
        """Return the status of one service."""
        return cast("api.Service", self._of_a_daemon(self.get(service_path(name))))

    def status(self, name: str | None) -> "api.Overview | api.Service":
        """Return the status of one service, or of all."""
        return self.services() if name is None else self.service(name)

    def daemon(self) -> "api.Daemon":
        """Return the settings of the daemon."""
        return cast("api.Daemon", self.get("/api/v1/daemon"))

    def history(self, **query: object) -> "list[api.Decision]":
        """Return decisions, newest first: those on a `service`, `since` a date, and no more than `limit`."""
        named = {name: value for name, value in query.items() if value is not None}
        found = self.get(f"/api/v1/history?{urlencode(named, errors='surrogateescape')}")
        return cast("list[api.Decision]", found["history"])

    def command(self, service: str, verb: str, body: Mapping[str, object]) -> "api.Done":
        """Send a command to a service; the verb `lease` takes its lease."""
        return cast("api.Done", self.post(service_path(service, verb), body))

    def desired(self) -> "api.DesiredState":
        """Return the desired state in force."""
        return cast("api.DesiredState", self.get("/api/v1/desired"))

    def apply(self, text: str, *, name: str, expect: str | None, dry_run: bool) -> "api.DesiredApplied":
        """Put a text in force, `name` in messages; with `expect` only in place of the one with that hash."""
        body = {"text": text, "name": name, "expect": expect, "dryRun": dry_run}
        return cast("api.DesiredApplied", self._ask("PUT", "/api/v1/desired", body, timeout_s=APPLY_S))

    def get(self, path: str) -> dict[str, object]:
        """Return what is at a path of the API."""
        return self._ask("GET", path)

    def post(self, path: str, body: Mapping[str, object]) -> dict[str, object]:
        """Send a command to a path of the API; return the answer."""
        return self._ask("POST", path, body)

    def delete(self, path: str) -> dict[str, object]:
        """Delete what is at a path of the API; return the answer."""
        return self._ask("DELETE", path, {})

    def events(self) -> Iterator[str]:
        """Yield the name of each event, "" once the stream is open, and "" for every sign of life.

        The stream has a connection of its own, so another thread may send requests. Raises NoDaemon at its end, and
        CommandRefused.
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
        raise NoDaemon(f"the daemon at {self.address} has closed the stream of events: it restarts, or was stopped")

    def _ask(
        self, method: str, path: str, body: Mapping[str, object] | None = None, *, timeout_s: float | None = None
    ) -> dict[str, object]:
        connection = self._connection
        sent = None if body is None else json.dumps(body).encode()
        headers = self._headers if sent is None else {**self._headers, "Content-Type": "application/json"}
        try:
            if timeout_s is not None:
                connection.connect()
                connection.sock.settimeout(timeout_s)
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
        return NoDaemon(f"not the admin listener of a bluegreen daemon at {self.address}, or it has failed: {answer}")

    def _unanswered(self, failure: Exception) -> NoDaemon:
        return NoDaemon(f"no daemon answers at {self.address} ({failure}): {self._hint(failure)}")

    def _hint(self, failure: Exception) -> str:
        match failure:
            case ssl.SSLCertVerificationError():
                return "its certificate is not trusted here: set the CA that signed it with --ca (BLUEGREEN_CA)"
            case ssl.SSLError(reason="WRONG_VERSION_NUMBER" | "HTTP_REQUEST" | "RECORD_LAYER_FAILURE"):
                return "it does not speak TLS: write http:// in --admin (BLUEGREEN_ADMIN)"
            case ssl.SSLError() | http.client.RemoteDisconnected() | ConnectionResetError() | BrokenPipeError():
                if self.address.startswith("https:"):
                    return "if it was started with --tls-client-ca, set a certificate of that CA with --cert and --key"
                return "if it was started with --tls-cert, write https:// in --admin (BLUEGREEN_ADMIN)"
            case _:
                return "check that `bluegreen serve` runs, and that --admin (BLUEGREEN_ADMIN) is its --admin-listen"


def service_path(name: str, verb: str | None = None) -> str:
    """Return the path of a service in the API, or of a command to it."""
    path = f"/api/v1/services/{quote(name, safe='', errors='surrogateescape')}"
    return path if verb is None else f"{path}/{verb}"


def _content(answer: http.client.HTTPResponse, text: bytes) -> dict[str, object]:
    """Return the content of an answer, {} if it is not JSON; raise CommandRefused for a problem."""
    try:
        content = dict(json.loads(text))
    except (ValueError, TypeError):
        content = {}
    if answer.status >= 400 and "code" in content:
        problems = cast("Sequence[api.Mistake]", content.get("problems", ()))
        raise CommandRefused(answer.status, str(content["code"]), str(content.get("detail")), problems)
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
    raise AddressError(
        f"{without_userinfo(address)!r} is not the address of a daemon: write http://HOST:PORT or unix:PATH"
    )


def _context(ca: Path | None, cert: Path | None, key: Path | None) -> ssl.SSLContext:
    if key is not None and cert is None:
        raise InvalidCredentials(f"--key {key} requires --cert")
    try:
        context = ssl.create_default_context(cafile=ca)
    except (ssl.SSLError, OSError) as failure:
        raise InvalidCredentials(f"--ca {ca} cannot be used: {failure}") from failure
    if cert is not None:
        try:
            context.load_cert_chain(cert, key)
        except (ssl.SSLError, OSError) as failure:
            raise InvalidCredentials(f"--cert {cert} with --key {key or cert} cannot be used: {failure}") from failure
    return context


def _checked(token: str) -> str:
    """Return a token for a header, without the line end of the file that it was read from."""
    stripped = token.strip()
    if not stripped or not stripped.isascii() or not stripped.isprintable() or " " in stripped:
        raise InvalidCredentials(
            "the token (--token, BLUEGREEN_TOKEN) is invalid: a token is one word of ASCII characters"
        )
    return stripped


def _login() -> bytes:
    """Return the login name for a header; b"" if there is none."""
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
