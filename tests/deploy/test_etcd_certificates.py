"""`deploy/replicas/etcd-certificates`: what it makes, keeps and renews (rule 63)."""

import ssl
import subprocess
from pathlib import Path

import pytest

from tests.support.components import program
from tests.support.paths import ROOT

SCRIPT = ROOT / "deploy" / "replicas" / "etcd-certificates"
AUTHORITIES = ("ca", "client-ca")


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    program("openssl", "openssl")
    return subprocess.run(["sh", SCRIPT, *map(str, arguments)], capture_output=True, text=True, check=False)


def does(*arguments: object) -> str:
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def openssl(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program("openssl", "openssl"), *map(str, arguments)], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with all that there is; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("certificates") / "secrets"
    does("ca", folder)
    does("node", folder, "node1", "node1", "node1.example.com", "192.0.2.1")
    does("client", folder, "bluegreen")
    return folder


def test_keys_are_for_their_owner_alone_and_certificates_for_all(made: Path) -> None:
    modes = {file.name: file.stat().st_mode & 0o777 for file in made.iterdir()}
    names = (*AUTHORITIES, "node1", "client-bluegreen")
    assert modes == {f"{name}.key": 0o600 for name in names} | {f"{name}.crt": 0o644 for name in (*names, "clients")}
    assert made.stat().st_mode & 0o777 == 0o700


def test_a_member_is_known_by_its_names_and_by_loopback(made: Path) -> None:
    names = openssl("x509", "-in", made / "node1.crt", "-noout", "-ext", "subjectAltName").stdout
    for name in ("DNS:localhost", "IP Address:127.0.0.1", "DNS:node1", "DNS:node1.example.com", "IP Address:192.0.2.1"):
        assert name in names


@pytest.mark.parametrize(
    ("name", "authority", "purpose", "holds"),
    [
        ("node1", "ca", "sslserver", True),
        ("node1", "ca", "sslclient", True),
        ("client-bluegreen", "client-ca", "sslclient", True),
        ("client-bluegreen", "client-ca", "sslserver", False),
        ("client-bluegreen", "ca", "sslclient", False),
        ("client-bluegreen", "clients", "sslclient", True),
        ("node1", "clients", "sslclient", True),
    ],
)
def test_a_client_cannot_pose_as_a_member(made: Path, name: str, authority: str, purpose: str, holds: bool) -> None:
    said = openssl("verify", "-purpose", purpose, "-CAfile", made / f"{authority}.crt", made / f"{name}.crt")
    assert (said.returncode == 0) is holds, said.stdout + said.stderr


def test_a_client_has_no_common_name_for_etcd_would_take_it_for_a_user(made: Path) -> None:
    assert (
        openssl("x509", "-in", made / "client-bluegreen.crt", "-noout", "-subject").stdout == "subject=O = bluegreen\n"
    )


def test_what_is_there_is_never_replaced(made: Path) -> None:
    before = {file: file.read_bytes() for file in made.iterdir()}
    assert "is there" in does("ca", made)
    assert "is there" in does("node", made, "node1", "node1", "node1.example.com", "192.0.2.1")
    assert "is there" in does("client", made, "bluegreen")
    refused = run("node", made, "node1", "another")
    assert refused.returncode == 1
    assert "has other names" in refused.stderr
    assert {file: file.read_bytes() for file in made.iterdir()} == before


def test_a_renewed_certificate_keeps_its_key_and_names_and_a_renewed_authority_what_it_signed(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    does("ca", folder)
    does("node", folder, "node1", "node1")
    key, cert = (folder / "node1.key").read_bytes(), (folder / "node1.crt").read_bytes()
    does("renew", folder, "node1")
    assert (folder / "node1.key").read_bytes() == key
    assert (folder / "node1.crt").read_bytes() != cert
    assert "DNS:node1" in openssl("x509", "-in", folder / "node1.crt", "-noout", "-ext", "subjectAltName").stdout
    does("renew", folder, "ca")
    assert openssl("verify", "-CAfile", folder / "ca.crt", folder / "node1.crt").returncode == 0
    does("renew", folder, "node1", "node1", "elsewhere")
    assert "DNS:elsewhere" in openssl("x509", "-in", folder / "node1.crt", "-noout", "-ext", "subjectAltName").stdout
    ssl.create_default_context(cafile=str(folder / "clients.crt")).load_cert_chain(
        folder / "node1.crt", folder / "node1.key"
    )


def test_check_tells_what_ends_soon(made: Path) -> None:
    assert "renew it" not in does("check", made)
    soon = run("check", made, 400)
    assert soon.returncode == 1
    late = [line for line in soon.stdout.splitlines() if line.endswith("renew it")]
    assert len(late) == 2, "the authorities last longer"


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        ((), 2, "usage"),
        (("node", "DIR", "node2"), 2, "usage"),
        (("node", "DIR", "../node2", "node2"), 1, "is no name"),
        (("node", "DIR", "ca", "node2"), 1, "another file"),
        (("node", "DIR", "node2", "node2,DNS:evil"), 1, "neither a name nor an address"),
        (("renew", "DIR", "node2"), 1, "is not there"),
        (("node", "/nowhere/at/all", "node2", "node2"), 1, "etcd-certificates ca"),
    ],
)
def test_what_makes_no_sense_is_refused(made: Path, arguments: tuple[str, ...], status: int, says: str) -> None:
    before = sorted(made.iterdir())
    done = run(*(str(made) if word == "DIR" else word for word in arguments))
    assert (done.returncode, says in done.stderr) == (status, True), done.stderr
    assert sorted(made.iterdir()) == before
