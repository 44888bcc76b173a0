"""What the edges of the doctor make of answers that are not what they should be."""

import io
import tarfile
from datetime import timedelta
from pathlib import Path

import pytest

from provider.cli.doctor.checks.traefik import Static
from provider.cli.doctor.facts import daemon_files, traefik
from tests.support.certificates import Authority


def dump(name: str, content: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return file.getvalue()


def test_settings_are_read_from_the_dump_and_those_that_are_not_there_are_not_made_up() -> None:
    http = '{"pollInterval": "100ms", "pollTimeout": "5s"}'
    written = f'{{"providers": {{"providersThrottleDuration": "1m0.5s", "http": {http}}}}}'.encode()
    assert traefik.static_settings(dump("static-config.json", written)) == Static(frozenset(), 60.5, 0.1, 5.0)
    assert traefik.static_settings(dump("static-config.json", b"{}")) == Static()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no archive",
        dump("other.json", b"{}"),
        dump("static-config.json", b"no JSON"),
        dump("static-config.json", b'{"providers": []}'),
    ],
    ids=len,
)
def test_a_dump_that_is_none_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        traefik.static_settings(body)


@pytest.mark.parametrize(
    ("address", "port"),
    [(":443", 443), ("10.0.0.1:8443/tcp", 8443), ("[::1]:443", 443), (":443/udp", None), ("", None)],
)
def test_the_port_of_an_entry_point_is_that_of_tcp(address: str, port: int | None) -> None:
    assert traefik.port_of(address) == port


async def test_an_url_whose_name_is_not_resolved_is_a_finding() -> None:
    seen = await traefik.gather("http://traefik.invalid:8080")
    assert seen.traefiks == ()
    assert "its name does not resolve here" in seen.findings[0].what


def test_a_file_is_read_from_outside_and_what_is_not_there_has_no_mode(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.touch(mode=0o640)
    tmp_path.chmod(0o750)
    seen = daemon_files.gather("tokens-file", file)
    assert (seen.mode, seen.directory_mode) == (0o640, 0o750)
    assert daemon_files.gather("tokens-file", tmp_path / "none").mode is None
    state = daemon_files.gather("state-dir", tmp_path)
    assert state.file_system
    assert state.free_bytes


def test_the_first_certificate_of_a_file_counts_and_none_is_none(tmp_path: Path) -> None:
    cert, key = Authority(tmp_path).issue("ann", days=3)
    found = daemon_files.certificate(cert)
    assert found is not None
    assert (found.name, found.until - found.since) == ("CN=ann", timedelta(days=3))
    assert daemon_files.certificate(key) is None
    assert daemon_files.certificate(tmp_path / "none") is None


@pytest.mark.parametrize(
    ("address", "is_local"),
    [
        ("127.0.0.1:80", True),
        ("127.8.0.1:80/tcp", True),
        ("[::1]:80", True),
        ("localhost:80", True),
        (":80", False),
        ("0.0.0.0:80", False),
        ("10.0.0.1:80", False),
        ("[::]:443/udp", False),
        ("", False),
        ("\0:[[", False),
    ],
)
def test_an_entry_point_is_local_where_only_this_machine_reaches_it(address: str, is_local: bool) -> None:
    """Rule 24."""
    assert traefik.is_local(address) is is_local


def test_an_entry_point_that_believes_a_proxy_is_known_from_its_settings() -> None:
    """Rule 21; as Traefik 3.7.15 answers. With the PROXY protocol it sees the client's own address."""
    answer = b"""[
        {"name": "plain", "address": ":80", "forwardedHeaders": {}, "http": {"sanitizePath": true}},
        {"name": "trusting", "address": ":81", "forwardedHeaders": {"trustedIPs": ["10.0.0.0/8"]}, "http": {}},
        {"name": "insecure", "address": ":82", "forwardedHeaders": {"insecure": true}, "http": {}},
        {"name": "protocol", "address": ":83", "proxyProtocol": {"trustedIPs": ["10.0.0.0/8"]},
         "forwardedHeaders": {"insecure": true}, "http": {}}
    ]"""
    found = {one.name for one in traefik.ENTRY_POINTS.validate_json(answer) if one.is_forwarded}
    assert found == {"trusting", "insecure"}
