"""The default certificate: made, kept, read again, replaced and renewed."""

import stat
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from provider.model.errors import LeadershipLost, StoreError
from provider.runtime.files import FileRefused
from provider.traefik import certificate
from provider.traefik.certificate import (
    FILE,
    LIFE,
    SKEW,
    Certificate,
    CertificateFile,
    DefaultCertificate,
    Kept,
    StoredCertificate,
    keep,
    make,
)
from tests.support.certificates import Authority

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def kept(path: Path, now_utc: datetime = NOW) -> Certificate:
    return made(keep(path, now_utc))


def made(found: Kept) -> Certificate:
    assert found.fault is None
    assert found.certificate is not None
    return found.certificate


# --- what is made ----------------------------------------------------------------------------------------------------


def test_it_is_a_self_signed_certificate_of_a_p_256_key_and_no_authority() -> None:
    cert = x509.load_pem_x509_certificate(make(NOW).cert_pem.encode())
    cert.verify_directly_issued_by(cert)
    key = cert.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"
    assert cert.subject.rfc4514_string() == "CN=bluegreen default certificate"
    assert not cert.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert cert.not_valid_after_utc - cert.not_valid_before_utc == LIFE


def test_it_is_good_until_a_third_of_its_life_is_left() -> None:
    made = make(NOW, timedelta(days=90))
    ages = {days: made.is_current(NOW + timedelta(days=days)) for days in (-0.001, 0.0, 59.999, 60.001, 89.0, 91.0)}
    assert ages == {-0.001: False, 0.0: True, 59.999: True, 60.001: False, 89.0: False, 91.0: False}


def test_its_key_does_not_show_where_it_is_printed() -> None:
    made = make(NOW)
    assert "PRIVATE KEY" in made.key_pem
    assert "PRIVATE" not in f"{made!r} {Kept(made)!r}"


def test_it_joins_what_the_file_passes_through_and_changes_none_of_it() -> None:
    made = make(NOW)
    passed = {"http": {"models": {}}, "tls": {"options": {"default": {}}, "stores": {"other": {}}}}
    default = {"defaultCertificate": {"certFile": made.cert_pem, "keyFile": made.key_pem}}
    assert made.within(passed) == {
        "http": {"models": {}},
        "tls": {"options": {"default": {}}, "stores": {"other": {}, "default": default}},
    }
    assert made.within({}) == {"tls": {"stores": {"default": default}}}
    assert passed["tls"] == {"options": {"default": {}}, "stores": {"other": {}}}


# --- what is kept ----------------------------------------------------------------------------------------------------


def test_what_was_made_once_is_read_again_to_the_byte_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    """P6."""
    made = kept(tmp_path / FILE)
    assert kept(tmp_path / FILE) == made
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    assert made.is_current(NOW - SKEW)


def test_it_is_renewed_in_its_last_third_and_where_the_clock_says_that_it_is_not_valid_yet(tmp_path: Path) -> None:
    made = kept(tmp_path / FILE)
    renewed = kept(tmp_path / FILE, NOW + LIFE * 0.7)
    assert renewed != made
    assert kept(tmp_path / FILE, NOW + LIFE * 0.7) == renewed
    assert kept(tmp_path / FILE, NOW) not in {made, renewed}


def empty(path: Path) -> None:
    write(path, "")


def cut(path: Path) -> None:
    write(path, path.read_text()[:-60])


def without_key(path: Path) -> None:
    write(path, path.read_text().partition("-----BEGIN PRIVATE")[0])


def one_character_off(path: Path) -> None:
    """It is still PEM, and mostly still a certificate."""
    lines = path.read_text().splitlines(keepends=True)
    number = lines.index("-----END CERTIFICATE-----\n") - 2
    lines[number] = ("B" if lines[number].startswith("A") else "A") + lines[number][1:]
    write(path, "".join(lines))


def key_of_another(path: Path) -> None:
    write(path, make(NOW).cert_pem + make(NOW).key_pem)


def readable_by_others(path: Path) -> None:
    path.chmod(0o640)


def no_text(path: Path) -> None:
    path.write_bytes(b"\xff\xfe")


def huge(path: Path) -> None:
    write(path, "-" * 2_000_000)


def of_something_else(path: Path) -> None:
    cert, key = Authority(path.parent).issue("shop.example.com")
    write(path, cert.read_text() + key.read_text())


def self_signed_by_something_else(path: Path) -> None:
    authority = Authority(path.parent)
    write(path, authority.ca.read_text() + authority.ca.with_suffix(".key").read_text())


def write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)


@pytest.mark.parametrize(
    ("break_it", "why"),
    [
        (empty, "is no self-signed certificate with its key in PEM form"),
        (cut, "is no self-signed certificate with its key in PEM form"),
        (without_key, "is no self-signed certificate with its key in PEM form"),
        (one_character_off, "is no self-signed certificate with its key in PEM form"),
        (of_something_else, "is no self-signed certificate with its key in PEM form"),
        (self_signed_by_something_else, "holds the certificate of something else"),
        (key_of_another, "its key is not that of its certificate"),
        (readable_by_others, "others than its owner may use it"),
        (no_text, "is no text in UTF-8"),
        (huge, "is larger than 1 MiB"),
    ],
)
def test_what_is_broken_or_foreign_is_refused_with_the_reason_and_replaced(
    tmp_path: Path, break_it: Callable[[Path], None], why: str
) -> None:
    path = tmp_path / FILE
    made = kept(path)
    break_it(path)
    with pytest.raises(FileRefused) as refused:
        certificate.read(path)
    assert str(refused.value) == f"{path}: {why}"
    replaced = kept(path)
    assert replaced != made
    assert certificate.read(path) == replaced
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_directory_in_its_place_is_a_fault_that_is_reported(tmp_path: Path) -> None:
    path = tmp_path / FILE
    path.mkdir()
    with pytest.raises(FileRefused, match="is no file"):
        certificate.read(path)
    assert keep(path, NOW) == Kept(None, f"{path}: cannot be written: Is a directory")
    assert [one.name for one in tmp_path.iterdir()] == [FILE]


def test_one_that_cannot_be_renewed_stays_as_it_is(tmp_path: Path) -> None:
    made = kept(tmp_path / FILE)
    (tmp_path / f"{FILE}.new").mkdir()  # in the way of a new one
    found = keep(tmp_path / FILE, NOW + LIFE * 0.9)
    assert found == Kept(made, f"{tmp_path / FILE}: cannot be written: Is a directory")


# --- while the daemon runs -------------------------------------------------------------------------------------------


class Reports:
    """A keeper in a folder, and what it reported."""

    def __init__(self, folder: Path) -> None:
        self.certificates: list[Certificate] = []
        self.faults: list[str | None] = []
        self.keeper = DefaultCertificate(CertificateFile(folder), self.certificates.append, self.faults.append)


async def test_nothing_is_made_while_it_is_not_enabled(tmp_path: Path) -> None:
    reports = Reports(tmp_path)
    await reports.keeper.enable(False)
    await reports.keeper.check()
    assert (reports.certificates, reports.faults) == ([], [None])
    assert not (tmp_path / FILE).exists()


async def test_it_is_there_when_enabling_it_returns_and_reported_once(tmp_path: Path) -> None:
    reports = Reports(tmp_path)
    for expected in (True, True, False, True):
        await reports.keeper.enable(expected)
    assert reports.certificates == [certificate.read(tmp_path / FILE)]
    assert set(reports.faults) == {None}


async def test_one_that_is_due_is_renewed_by_a_look(tmp_path: Path) -> None:
    due = make(datetime.now(UTC) - timedelta(days=70), timedelta(days=90))
    good = make(datetime.now(UTC) - timedelta(days=50), timedelta(days=90))
    certificate.write(tmp_path / FILE, good)
    reports = Reports(tmp_path)
    await reports.keeper.enable(True)
    reports.keeper._certificate = due  # as if days had passed
    certificate.write(tmp_path / FILE, due)
    await reports.keeper.check()
    await reports.keeper.check()
    assert reports.certificates == [good, certificate.read(tmp_path / FILE)]
    assert reports.certificates[-1] not in {good, due}


async def test_a_fault_is_reported_until_a_later_check_succeeds(tmp_path: Path) -> None:
    """P4."""
    reports = Reports(tmp_path / "state")
    await reports.keeper.enable(True)
    assert reports.certificates == []
    assert reports.faults == [f"{tmp_path / 'state' / FILE}: cannot be written: No such file or directory"]
    (tmp_path / "state").mkdir()
    await reports.keeper.check()
    assert len(reports.certificates) == 1
    assert reports.faults[1:] == [None]


async def test_a_disk_that_hangs_is_a_fault_and_no_more_than_one_thread_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P4."""
    answers, asked = threading.Event(), 0

    def hangs(path: Path, now_utc: datetime) -> Kept:
        nonlocal asked
        asked += 1
        answers.wait(60)
        return keep(path, now_utc)

    monkeypatch.setattr(certificate, "keep", hangs)
    monkeypatch.setattr(certificate, "ANSWER_S", 0.01)
    reports = Reports(tmp_path)
    await reports.keeper.enable(True)
    await reports.keeper.check()
    assert reports.faults == [f"{tmp_path / FILE}: the disk has not answered for 0.01 s"] * 2
    assert asked == 1
    answers.set()
    monkeypatch.setattr(certificate, "ANSWER_S", 60.0)
    await reports.keeper.check()
    assert reports.faults[2:] == [None]
    assert reports.certificates == [certificate.read(tmp_path / FILE)]


# --- in a store of several replicas ----------------------------------------------------------------------------------


class InStore:
    """A place for one text, which fails with `failure` while there is one."""

    def __init__(self) -> None:
        self.certificate: str | None = None
        self.failure: StoreError | None = None

    async def save_certificate(self, text: str) -> None:
        if self.failure is not None:
            raise self.failure
        self.certificate = text


async def test_every_term_has_the_same_certificate_from_the_store() -> None:
    """Rule 63."""
    store = InStore()
    first = made(await StoredCertificate(store).current(NOW))
    assert await StoredCertificate(store).current(NOW + LIFE * 0.5) == Kept(first)
    renewed = made(await StoredCertificate(store).current(NOW + LIFE * 0.9))
    assert renewed != first
    assert await StoredCertificate(store).current(NOW + LIFE * 0.9) == Kept(renewed)


async def test_an_invalid_certificate_in_the_store_is_replaced() -> None:
    store = InStore()
    store.certificate = "no certificate"
    found = made(await StoredCertificate(store).current(NOW))
    assert store.certificate == found.cert_pem + found.key_pem


@pytest.mark.parametrize(
    ("failure", "fault"),
    [
        (StoreError("etcd: no space"), "the default certificate in the store: cannot be written: etcd: no space"),
        (LeadershipLost("another replica leads"), None),
    ],
)
async def test_one_that_the_store_does_not_take_is_not_served(failure: StoreError, fault: str | None) -> None:
    """P4, rule 63: the one before is served on."""
    store = InStore()
    before = made(await StoredCertificate(store).current(NOW))
    store.failure = failure
    assert await StoredCertificate(store).current(NOW + LIFE * 0.9) == Kept(before, fault)
