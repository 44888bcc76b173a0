from pathlib import Path

import pytest

from provider.model.errors import AddressError
from provider.runtime.files import FileRefused
from provider.store.etcd.address import (
    Credentials,
    EtcdAddress,
    check_protected,
    parse_address,
    read_context,
    read_credentials,
)
from tests.support.certificates import Authority, locked


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("etcd://h1", EtcdAddress(("http://h1:2379",), "/bluegreen")),
        ("etcd://h1:1,h2,h1:1/a/b/", EtcdAddress(("http://h1:1", "http://h2:2379"), "/a/b")),
        ("etcd://[::1]:1,[fe80::2]/x", EtcdAddress(("http://[::1]:1", "http://[fe80::2]:2379"), "/x")),
        ("etcd://h/x%20y?ca=/a%2Cb", EtcdAddress(("https://h:2379",), "/x y", Path("/a,b"))),
        (
            "etcd://h/x?ca=ca&cert=c&key=k",
            EtcdAddress(("https://h:2379",), "/x", Path("ca"), Path("c"), Path("k")),
        ),
    ],
)
def test_an_address_names_members_prefix_and_certificates(text: str, address: EtcdAddress) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("sqlite:/x", "no address of etcd"),
        ("etcd://", "no HOST:PORT"),
        ("etcd://h:0", "no HOST:PORT"),
        ("etcd://h:70000", "no HOST:PORT"),
        ("etcd://h,,i", "no HOST:PORT"),
        ("etcd://a b", "no HOST:PORT"),
        ("etcd://user:secret@h/x", "--store-credentials FILE"),
        ("etcd://h/x?ca=", "ca= is not understood"),
        ("etcd://h/x?tls=1", "tls=1 is not understood"),
        ("etcd://h/x?ca=a&ca=b", "not understood"),
        ("etcd://h/x?cert=a", "name ca=FILE"),
        ("etcd://h/x?ca=a&key=a", "name cert=FILE"),
        ("etcd://h/x#y", "means nothing"),
        ("etcd://h/x//y", "a prefix"),
        ("etcd://h/%00", "a prefix"),
        (f"etcd://{','.join(f'h{number}' for number in range(17))}", "more than 16"),
    ],
)
def test_what_is_no_address_is_refused_with_the_rule(text: str, why: str) -> None:
    with pytest.raises(AddressError, match=why) as refusal:
        parse_address(text)
    assert "secret" not in str(refusal.value)


def test_environments_that_share_a_prefix_have_keys_of_their_own() -> None:
    """Section 3 of the replicas' rules: `/bluegreen/ENV/`."""
    assert parse_address("etcd://h").of_environment("staging") == parse_address("etcd://h/bluegreen/staging")
    assert [parse_address(f"etcd://h{path}").is_of_several for path in ("", "/bluegreen", "/bluegreen/staging")] == [
        True,
        True,
        False,
    ]
    for wrong in (None, "", " ", "a/b", "\0", "x" * 255):
        with pytest.raises(
            AddressError, match=r"name it there: etcd://.*/bluegreen/ENVIRONMENT|a prefix is some names"
        ):
            parse_address("etcd://h").of_environment(wrong)


def test_members_off_this_machine_take_tls_and_a_password() -> None:
    """Rule 63."""
    here, there, safe = map(parse_address, ("etcd://127.0.0.1,[::1]", "etcd://127.0.0.1,h2", "etcd://h2?ca=a"))
    check_protected(here, None)
    check_protected(safe, Path("credentials"))
    with pytest.raises(AddressError, match=r"http://h2:2379 is not on this machine.*ca=FILE"):
        check_protected(there, Path("credentials"))
    with pytest.raises(AddressError, match="--store-credentials FILE"):
        check_protected(safe, None)


def test_credentials_are_one_line(tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    file.write_text("# etcd\n\n  bluegreen:a:b \n")
    file.chmod(0o600)
    read = read_credentials(file)
    assert read == Credentials("bluegreen", "a:b", str(file))
    assert "a:b" not in repr(read)
    for text in ("", "bluegreen", ":x", "x:", "a:b\nc:d"):
        file.write_text(text)
        with pytest.raises(FileRefused, match="one line USER:PASSWORD"):
            read_credentials(file)


def test_credentials_that_others_can_read_are_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "credentials"
    file.write_text("bluegreen:secret\n")
    file.chmod(0o644)
    read_credentials(file)
    assert "others can read or change this file" in (out := capsys.readouterr().out)
    assert "secret" not in out


def test_certificates_that_cannot_be_used_are_refused_by_name(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    cert, key = authority.issue("client")
    assert read_context(parse_address("etcd://h")) is None
    assert read_context(parse_address(f"etcd://h?ca={authority.ca}&cert={cert}&key={key}")) is not None
    for ca, its_key, why in (
        (tmp_path / "none", key, "none: cannot be used as the CA of etcd"),
        (key, key, "client.key: cannot be used as the CA of etcd"),
        (authority.ca, locked(key), "is encrypted with a passphrase"),
        (authority.ca, tmp_path / "none", "cannot be used as certificate and key"),
    ):
        with pytest.raises(FileRefused, match=why):
            read_context(parse_address(f"etcd://h?ca={ca}&cert={cert}&key={its_key}"))
