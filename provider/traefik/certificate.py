"""The certificate that Traefik shows by default: made once, kept in a file or in the store, and renewed in time.

Without one in the document Traefik makes an RSA key at every change, some 45 ms (pkg/tls/tlsmanager.go). A self-signed
one does: it is shown for the hosts for which Traefik has no other.
"""

import asyncio
import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import structlog
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from provider.model import JsonObject
from provider.model.document import section
from provider.model.errors import LeadershipLost, StoreError
from provider.runtime.files import FileRefused, read_text, replace_file

log = structlog.get_logger("bluegreen")

FILE = "default-certificate.pem"
NAME = "bluegreen default certificate"
LIFE = timedelta(days=365)
"""As long as that of Traefik's own default certificate."""
SKEW = timedelta(hours=1)
"""How far behind ours a client's clock may be."""
RENEWED_AT = 2 / 3
"""The part of its life after which a certificate is renewed."""
CHECK_EVERY_S = 5.0
ANSWER_S = 5.0
KEY_BEGINS = "-----BEGIN PRIVATE KEY-----"
PLACE = "the default certificate in the store"


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its private key in PEM form, used from `since_utc` until `renew_utc`."""

    cert_pem: str
    key_pem: str = field(repr=False)
    since_utc: datetime
    renew_utc: datetime

    def is_current(self, now_utc: datetime) -> bool:
        """Return whether it does not need to be renewed yet."""
        return self.since_utc <= now_utc < self.renew_utc

    def within(self, pass_through: JsonObject) -> JsonObject:
        """Return the pass-through configuration with this certificate in Traefik's default store."""
        tls = section(pass_through, "tls")
        default = {"defaultCertificate": {"certFile": self.cert_pem, "keyFile": self.key_pem}}
        return {**pass_through, "tls": {**tls, "stores": {**section(tls, "stores"), "default": default}}}


@dataclass(frozen=True, slots=True)
class Kept:
    """The certificate, if there is one at all, and what is wrong with it or its file."""

    certificate: Certificate | None
    fault: str | None = None


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
    return _parsed(read_text(path), str(path))


def _parsed(text: str, place: str) -> Certificate:
    cert_pem, key_begins, key_pem = text.partition(KEY_BEGINS)
    try:
        cert = x509.load_pem_x509_certificate(cert_pem.encode())
        cert.verify_directly_issued_by(cert)
        key = load_pem_private_key((key_begins + key_pem).encode(), password=None)
        names = [name.value for name in cert.subject]
    except (ValueError, TypeError, x509.InvalidVersion, InvalidSignature, UnsupportedAlgorithm) as failure:
        raise FileRefused(f"{place}: is no self-signed certificate with its key in PEM form") from failure
    if names != [NAME]:
        raise FileRefused(f"{place}: holds the certificate of something else")
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != cert.public_key():
        raise FileRefused(f"{place}: its key is not that of its certificate")
    return _certificate(cert, key)


def write(path: Path, certificate: Certificate) -> None:
    """Write a certificate and its key, readable by the owner alone, all or nothing. Raises OSError."""
    replace_file(path, _text(certificate).encode(), mode=0o600)


def keep(path: Path, now_utc: datetime) -> Kept:
    """Return the certificate of this file; write a new one where there is no current one."""
    old, refusal = None, None
    try:
        old = read(path)
    except FileRefused as refused:
        if os.path.lexists(path):
            refusal = str(refused)
    if old is not None and old.is_current(now_utc):
        return Kept(old)
    new = make(now_utc - SKEW)
    try:
        write(path, new)
    except OSError as failure:
        return Kept(old, f"{path}: cannot be written: {failure.strerror}")
    if refusal is not None:
        log.warning("the invalid file of the default certificate was replaced", problem=refusal)
    log.info("default certificate renewed" if old else "default certificate made", file=str(path))
    return Kept(new)


class Keeper(Protocol):
    """Where the certificate is kept from one process to the next."""

    async def current(self, now_utc: datetime) -> Kept:
        """Return the certificate that is kept; keep a new one where there is no current one."""
        ...


class CertificateFile:
    """The certificate in a file of `folder`, for one daemon; a worker thread waits for the disk."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="certificate")

    async def current(self, now_utc: datetime) -> Kept:
        """Return the certificate of the file, or a new one that was written there."""
        try:
            async with asyncio.timeout(ANSWER_S):
                return await asyncio.wrap_future(self._worker.submit(keep, self._path, now_utc))
        except TimeoutError:
            return Kept(None, f"{self._path}: the disk has not answered for {ANSWER_S:g} s")


class CertificateStore(Protocol):
    """A store that has a place for the certificate and its key, as one text in PEM form."""

    @property
    def certificate(self) -> str | None:
        """The text that is stored; None where there is none."""
        ...

    async def save_certificate(self, text: str) -> None:
        """Put another text. Raises StoreError."""
        ...


class StoredCertificate:
    """The certificate in the store of several replicas: every term serves the same one (rule 63)."""

    def __init__(self, store: CertificateStore) -> None:
        self._store = store

    async def current(self, now_utc: datetime) -> Kept:
        """Return the certificate of the store, or a new one that was put there."""
        old, text = None, self._store.certificate
        try:
            old = _parsed(text, PLACE) if text is not None else None
        except FileRefused as refused:
            log.warning("the default certificate in the store is invalid and is replaced", problem=str(refused))
        if old is not None and old.is_current(now_utc):
            return Kept(old)
        new = make(now_utc - SKEW)
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._store.save_certificate(_text(new))
        except LeadershipLost:  # whoever leads now keeps it
            return Kept(old)
        except StoreError as failure:
            return Kept(old, f"{PLACE}: cannot be written: {failure}")
        except TimeoutError:
            return Kept(old, f"{PLACE}: no answer for {ANSWER_S:g} s")
        log.info("default certificate renewed" if old else "default certificate made", place=PLACE)
        return Kept(new)


class DefaultCertificate:
    """Keeps the certificate current while it is enabled.

    `on_certificate` gets each new one. `on_fault` gets the reason why there is no current one, or None, at each check.
    """

    def __init__(
        self, keeper: Keeper, on_certificate: Callable[[Certificate], None], on_fault: Callable[[str | None], None]
    ) -> None:
        self._keeper = keeper
        self._on_certificate, self._on_fault = on_certificate, on_fault
        self._lock = asyncio.Lock()
        self._enabled = False
        self._certificate: Certificate | None = None

    async def enable(self, enabled: bool) -> None:
        """Use a certificate from now on, or none; when this returns there is one, or its fault was reported."""
        self._enabled = enabled
        if enabled:
            await self.check()
        else:
            self._on_fault(None)

    async def run(self) -> None:
        """Renew it when that is due, and retry after a failure."""
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            await self.check()

    async def check(self) -> None:
        """Get a current certificate where it is enabled and there is none; while that fails, the earlier one stays."""
        async with self._lock:
            now_utc = datetime.now(UTC)
            if not self._enabled:
                return
            if self._certificate is not None and self._certificate.is_current(now_utc):
                self._on_fault(None)
                return
            kept = await self._keeper.current(now_utc)
            if kept.certificate not in {None, self._certificate}:
                self._certificate = kept.certificate
                self._on_certificate(kept.certificate)
            if self._enabled:  # else an edit came in between
                self._on_fault(kept.fault)


def _text(certificate: Certificate) -> str:
    return certificate.cert_pem + certificate.key_pem


def _certificate(cert: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Certificate:
    since, until = cert.not_valid_before_utc, cert.not_valid_after_utc
    return Certificate(
        cert_pem=cert.public_bytes(Encoding.PEM).decode(),
        key_pem=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        since_utc=since,
        renew_utc=since + (until - since) * RENEWED_AT,
    )
