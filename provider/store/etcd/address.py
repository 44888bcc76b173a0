"""Where etcd is and who asks: the text after `--store`, the file with user and password, the certificates."""

import re
import ssl
from dataclasses import dataclass, replace
from ipaddress import IPv6Address
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import structlog

from provider.model.addresses import is_loopback, split_address
from provider.model.errors import AddressError
from provider.runtime.files import FileRefused, read_text

log = structlog.get_logger("bluegreen")

SCHEME = "etcd://"
DEFAULT_PORT = 2379
ENDPOINTS_MOST = 16
OPTIONS = ("ca", "cert", "key")
FORM = "write etcd://HOST:2379[,HOST:2379...]/PREFIX[?ca=FILE[&cert=FILE&key=FILE]]"
NAME_IT = "name it there: etcd://...{prefix}/ENVIRONMENT"
OTHERS_READ_OR_WRITE = 0o026
_HOST = re.compile(r"[\w.:-]+")


@dataclass(frozen=True, slots=True)
class EtcdAddress:
    """The members' client URLs in the order they are tried, and the prefix of all keys (`/bluegreen/production`).

    A prefix of one name (`/bluegreen`) is that of several environments, which all have keys below it.
    """

    endpoints: tuple[str, ...]
    prefix: str
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    @property
    def certificates(self) -> tuple[Path, ...]:
        """The files of TLS; none where it is not used."""
        return tuple(path for path in (self.ca, self.cert, self.key) if path is not None)

    @property
    def is_of_several(self) -> bool:
        """Whether the environment is still to be put behind the prefix."""
        return "/" not in self.prefix[1:]

    def of_environment(self, environment: object) -> "EtcdAddress":
        """Return the address of one environment below this prefix. Raises AddressError."""
        if not isinstance(environment, str) or not environment.strip() or "/" in environment:
            shown = f"{environment!r} is no name to put" if environment else "there is no environment to be put"
            raise AddressError(f"--store: {shown} behind {self.prefix}: {NAME_IT.format(prefix=self.prefix)}")
        return replace(self, prefix=_prefix(f"{self.prefix}/{environment}", environment))


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user of etcd; `place` is where the password stands, for messages."""

    user: str
    password: str
    place: str

    def __repr__(self) -> str:
        return f"Credentials({self.user!r} of {self.place})"


def parse_address(text: str) -> EtcdAddress:
    """Read `etcd://h1:2379,h2:2379/bluegreen?ca=FILE`; with a `ca` the members are asked by TLS. Raises AddressError.

    Without a path the prefix is `/bluegreen`, of several environments. `cert` and `key` are for members that ask for a
    client's certificate.
    """
    if not text.startswith(SCHEME):
        raise AddressError(f"--store {text!r} is no address of etcd: {FORM}")
    parts = urlsplit(text)
    if "@" in parts.netloc:
        raise AddressError("--store: a user and password do not belong into the address: name --store-credentials FILE")
    options = _options(text, parts.query)
    if parts.fragment:
        raise AddressError(f"--store {text!r}: #{parts.fragment} means nothing here: {FORM}")
    if ("key" in options) > ("cert" in options):
        raise AddressError(f"--store {text!r}: a key without its certificate: name cert=FILE, too")
    if "cert" in options and "ca" not in options:
        raise AddressError(f"--store {text!r}: cert is for TLS, which takes the CA of the members: name ca=FILE, too")
    scheme = "https" if "ca" in options else "http"
    endpoints = tuple(dict.fromkeys(_endpoint(text, scheme, each) for each in parts.netloc.split(",")))
    if len(endpoints) > ENDPOINTS_MOST:
        raise AddressError(f"--store {text!r} names more than {ENDPOINTS_MOST} members")
    prefix = _prefix("/" + unquote(parts.path).strip("/"), text)
    return EtcdAddress(endpoints, prefix if prefix != "/" else "/bluegreen", **options)


def check_protected(address: EtcdAddress, credentials: Path | None) -> None:
    """Refuse members off this machine without TLS and a password: whoever reaches them could switch services (63).

    Raises AddressError.
    """
    away = [each for each in address.endpoints if not is_loopback(urlsplit(each).hostname or "")]
    if not away:
        return
    if address.ca is None:
        raise AddressError(
            f"--store: {away[0]} is not on this machine, and etcd holds the private key of the default certificate: "
            f"have etcd use TLS and name its CA (?ca=FILE)"
        )
    if credentials is None:
        raise AddressError(
            f"--store: {away[0]} is not on this machine, and whoever can write there switches services: enable "
            f"authentication in etcd, with a user for the prefix {address.prefix}/, and name --store-credentials FILE"
        )


def read_credentials(path: Path) -> Credentials:
    """Read `USER:PASSWORD`, the one line of a file that is neither empty nor a `#` comment. Raises FileRefused."""
    lines = [line.strip() for line in read_text(path).splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    user, colon, password = lines[0].partition(":") if len(lines) == 1 else ("", "", "")
    if not (user and colon and password):
        raise FileRefused(f"{path}: has to be one line USER:PASSWORD, of a user of etcd")
    try:
        if path.stat().st_mode & OTHERS_READ_OR_WRITE:
            log.warning("others can read or change this file", file=str(path), way_out=f"chmod 640 {path}")
    except OSError:
        pass  # gone since it was read: the next look says so
    return Credentials(user, password, str(path))


def read_context(address: EtcdAddress) -> ssl.SSLContext | None:
    """Read the certificates into the context of a client, None without TLS. Raises FileRefused."""
    if address.ca is None:
        return None
    try:
        context = ssl.create_default_context(cafile=str(address.ca))
    except (ssl.SSLError, OSError) as failure:
        raise FileRefused(f"{address.ca}: cannot be used as the CA of etcd: {failure}") from failure
    if address.cert is not None:
        key = address.key or address.cert
        try:
            context.load_cert_chain(address.cert, key, password=lambda: _locked(key))
        except (ssl.SSLError, OSError) as failure:
            raise FileRefused(f"{address.cert}, {key}: cannot be used as certificate and key: {failure}") from failure
    return context


def _prefix(prefix: str, text: str) -> str:
    if not prefix.isprintable() or len(prefix) > 255 or "//" in prefix:
        raise AddressError(f"--store {text!r}: a prefix is some names with / between them, 255 characters at most")
    return prefix


def _options(text: str, query: str) -> dict[str, Path]:
    options: dict[str, Path] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in OPTIONS or name in options or not value:
            raise AddressError(f"--store {text!r}: {name}={value} is not understood: {FORM}")
        options[name] = Path(value)
    return options


def _endpoint(text: str, scheme: str, written: str) -> str:
    has_port = written.rpartition(":")[2].isdigit() and not written.endswith("]")
    try:
        host, port = split_address(written if has_port else f"{written}:{DEFAULT_PORT}")
    except AddressError:
        host, port = "", 0
    if not _HOST.fullmatch(host) or port == 0 or (":" in host and not _is_ipv6(host)):
        raise AddressError(f"--store {text!r}: {written!r} is no HOST:PORT of a member of etcd: {FORM}")
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _is_ipv6(host: str) -> bool:
    try:
        IPv6Address(host)
    except ValueError:
        return False
    return True


def _locked(key: Path) -> str:
    raise FileRefused(f"{key}: is encrypted with a passphrase, which the daemon cannot type: store the key without one")
