"""The certificate that Traefik shows by default: made once, kept in the state directory, and renewed in time.

Without one in the document Traefik makes an RSA key at every change, some 45 ms (pkg/tls/tlsmanager.go). A self-signed
one does: it is shown for the hosts for which Traefik has no other.
"""

import asyncio
import os
import stat
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from provider.files import FileRefused, read_text, replace_file
from provider.model import JsonObject

log = structlog.get_logger("bluegreen")

FILE = "default-certificate.pem"
NAME = "bluegreen default certificate"
LIFE = timedelta(days=365)
"""As long as the one that Traefik makes for itself."""
SKEW = timedelta(hours=1)
"""How far behind ours a client's clock may be."""
RENEWED_AT = 2 / 3
"""The part of its life after which a certificate is renewed."""
LOOK_EVERY_S = 5.0
ANSWER_S = 5.0
KEY_BEGINS = "-----BEGIN PRIVATE KEY-----"


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its private key in PEM form, good from `since_utc` until `renew_utc`."""

    cert_pem: str
    key_pem: str = field(repr=False)
    since_utc: datetime
    renew_utc: datetime

    def is_good(self, now_utc: datetime) -> bool:
        """Tell whether it needs no other one yet."""
        return self.since_utc <= now_utc < self.renew_utc


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept: a certificate, if there is one at all, and why it is not as it should be."""

    certificate: Certificate | None
    fault: str | None = None


def with_certificate(pass_through: JsonObject, certificate: Certificate) -> JsonObject:
    """Return the pass-through configuration with this certificate in Traefik's default store."""
    tls = _section(pass_through, "tls")
    default = {"defaultCertificate": {"certFile": certificate.cert_pem, "keyFile": certificate.key_pem}}
    return {**pass_through, "tls": {**tls, "stores": {**_section(tls, "stores"), "default": default}}}


def make(since_utc: datetime, life: timedelta = LIFE) -> Certificate:
    """Make a key on the curve P-256 and a certificate for it that it signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since_utc)
        .not_valid_after(since_utc + life)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return _certificate(cert, key)


def read(path: Path) -> Certificate:
    """Read a certificate that `write` wrote. Raises FileRefused for anything else."""
    try:
        mode = path.stat().st_mode
    except OSError as failure:
        raise FileRefused(f"{path}: cannot be read: {failure.strerror}") from failure
    if not stat.S_ISREG(mode):
        raise FileRefused(f"{path}: is no file")
    if mode & 0o077:
        raise FileRefused(f"{path}: others than its owner may use it")
    cert_pem, key_begins, key_pem = read_text(path).partition(KEY_BEGINS)
    try:
        cert = x509.load_pem_x509_certificate(cert_pem.encode())
        cert.verify_directly_issued_by(cert)
        key = load_pem_private_key((key_begins + key_pem).encode(), password=None)
        names = [name.value for name in cert.subject]
    except (ValueError, TypeError, x509.InvalidVersion, InvalidSignature, UnsupportedAlgorithm) as failure:
        raise FileRefused(f"{path}: is no self-signed certificate with its key in PEM form") from failure
    if names != [NAME]:
        raise FileRefused(f"{path}: holds the certificate of something else")
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != cert.public_key():
        raise FileRefused(f"{path}: its key is not that of its certificate")
    return _certificate(cert, key)


def write(path: Path, certificate: Certificate) -> None:
    """Write a certificate and its key for the eyes of the owner alone, all or nothing. Raises OSError."""
    replace_file(path, (certificate.cert_pem + certificate.key_pem).encode(), mode=0o600)


def keep(path: Path, now_utc: datetime) -> Kept:
    """Return the certificate of this file; write a new one where there is none, or none that is good."""
    old, refusal = None, None
    try:
        old = read(path)
    except FileRefused as refused:
        if os.path.lexists(path):
            refusal = str(refused)
    if old is not None and old.is_good(now_utc):
        return Kept(old)
    new = make(now_utc - SKEW)
    try:
        write(path, new)
    except OSError as failure:
        return Kept(old, f"{path}: cannot be written: {failure.strerror}")
    if refusal is not None:
        log.warning("what stood in the place of the default certificate was replaced", problem=refusal)
    log.info("default certificate renewed" if old else "default certificate made", file=str(path))
    return Kept(new)


class DefaultCertificate:
    """Keeps the certificate in `folder` good while it is wanted; a worker thread waits for the disk.

    `on_certificate` gets each new one. `on_fault` hears after each look why there is no good one, or None.
    """

    def __init__(
        self, folder: Path, on_certificate: Callable[[Certificate], None], on_fault: Callable[[str | None], None]
    ) -> None:
        self._path = folder / FILE
        self._on_certificate, self._on_fault = on_certificate, on_fault
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="certificate")
        self._turn = asyncio.Lock()
        self._wanted = False
        self._certificate: Certificate | None = None

    async def want(self, wanted: bool) -> None:
        """Have it from now on, or do without; when this returns it is there, or it was told why not."""
        self._wanted = wanted
        if wanted:
            await self.look()
        else:
            self._on_fault(None)

    async def run(self) -> None:
        """Renew it when its time comes, and try again what failed."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self.look()

    async def look(self) -> None:
        """Get a good one, where one is wanted and there is none; while that fails, the one before stays."""
        async with self._turn:
            now_utc = datetime.now(UTC)
            if not self._wanted:
                return
            if self._certificate is not None and self._certificate.is_good(now_utc):
                self._on_fault(None)
                return
            try:
                async with asyncio.timeout(ANSWER_S):
                    kept = await asyncio.wrap_future(self._worker.submit(keep, self._path, now_utc))
            except TimeoutError:
                kept = Kept(None, f"{self._path}: the disk has not answered for {ANSWER_S:g} s")
            if kept.certificate not in {None, self._certificate}:
                self._certificate = kept.certificate
                self._on_certificate(kept.certificate)
            if self._wanted:  # else an edit came in between
                self._on_fault(kept.fault)


def _certificate(cert: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Certificate:
    since, until = cert.not_valid_before_utc, cert.not_valid_after_utc
    return Certificate(
        cert_pem=cert.public_bytes(Encoding.PEM).decode(),
        key_pem=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        since_utc=since,
        renew_utc=since + (until - since) * RENEWED_AT,
    )


def _section(of: JsonObject, name: str) -> JsonObject:
    found = of.get(name)
    return found if isinstance(found, Mapping) else {}
