"""TLS and mutual TLS of the listeners, with certificates that are renewed while they run."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from provider.runtime.files import FileRefused, read_text


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The certificate chain, its key (None: in the same file), and the CA of clients for mutual TLS."""

    cert: Path
    key: Path | None = None
    client_ca: Path | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """All the files."""
        return tuple(path for path in (self.cert, self.key, self.client_ca) if path is not None)


def read_context(files: TlsFiles) -> ssl.SSLContext:
    """Read the files into the context of a server; with a `client_ca` it requires certificates. Raises FileRefused."""
    key = files.key or files.cert
    _expect(files.cert, "-----BEGIN CERTIFICATE-----", "no certificate")
    _expect(key, "PRIVATE KEY-----", "no private key")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(files.cert, key, password=lambda: _locked(key))
    except (ssl.SSLError, OSError) as failure:
        if isinstance(failure, ssl.SSLError) and failure.reason == "KEY_VALUES_MISMATCH":
            raise FileRefused(f"{files.cert}: is not the certificate of the key in {key}") from failure
        raise FileRefused(f"{files.cert}, {key}: cannot be used as certificate and key: {failure}") from failure
    if files.client_ca is not None:
        _expect(files.client_ca, "-----BEGIN CERTIFICATE-----", "no certificate")
        try:
            context.load_verify_locations(files.client_ca)
        except (ssl.SSLError, OSError) as failure:
            raise FileRefused(f"{files.client_ca}: cannot be used as a CA of clients: {failure}") from failure
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def read_peer_context(files: TlsFiles) -> ssl.SSLContext:
    """Read the same files into the context with which this replica asks another one. Raises FileRefused.

    It shows its own certificate, and trusts the CA of clients beside those of this machine.
    """
    context = ssl.create_default_context()
    key = files.key or files.cert
    try:
        context.load_cert_chain(files.cert, key, password=lambda: _locked(key))
        if files.client_ca is not None:
            context.load_verify_locations(files.client_ca)
    except (ssl.SSLError, OSError) as failure:
        raise FileRefused(f"{files.cert}: cannot be used to ask other replicas: {failure}") from failure
    return context


class RenewedContext(ssl.SSLContext):
    """A server's context that asks `current` for the one to use at each new connection.

    A context that is in use can take a new certificate, but cannot forget a CA, nor the sessions that it vouched for.
    Both event loops begin a connection with `wrap_bio`.
    """

    _current: Callable[[], ssl.SSLContext]

    def __new__(cls, current: Callable[[], ssl.SSLContext]) -> "RenewedContext":
        """Make a context; `current` must not raise."""
        made = super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)
        made._current = current
        return made

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Begin a connection."""
        return self._current().wrap_bio(incoming, outgoing, server_side, server_hostname, session)


def _expect(path: Path, marker: str, missing: str) -> None:
    if marker not in read_text(path):
        raise FileRefused(f"{path}: has {missing} in PEM form")


def _locked(key: Path) -> str:
    raise FileRefused(f"{key}: is encrypted with a passphrase, which the daemon cannot type: store the key without one")
