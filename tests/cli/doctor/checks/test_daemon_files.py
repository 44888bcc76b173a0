"""What the doctor says of a daemon's files."""

import pytest

from provider.cli.doctor.checks.daemon_files import File, check
from provider.cli.doctor.findings import Code


def codes(file: File, uid: int | None = 0) -> list[Code]:
    return [one.code for one in check([file], uid)]


def test_daemon_files_in_good_order_are_no_finding() -> None:
    assert codes(File("desired-state", "/etc/b.yaml", 0o644, directory_mode=0o755)) == []
    assert codes(File("tokens-file", "/etc/tokens", 0o640, directory_mode=0o755)) == []
    assert codes(File("state-dir", "/var/lib/b", 0o700, file_system="ext4", free_bytes=1 << 30)) == []


@pytest.mark.parametrize("role", ["tokens-file", "provider-token-file", "tls-key"])
def test_a_secret_that_everybody_can_read_is_found(role: str) -> None:
    assert codes(File(role, "/etc/secret", 0o644)) == [Code.SECRET_READABLE]
    assert codes(File("tls-cert", "/etc/cert", 0o644)) == [], "that is shown to everybody anyway"


def test_a_file_that_everybody_can_change_or_replace_is_found() -> None:
    assert codes(File("desired-state", "/etc/b.yaml", 0o666)) == [Code.FILE_WRITABLE]
    assert codes(File("desired-state", "/x/b.yaml", 0o644, directory_mode=0o777)) == [Code.FILE_WRITABLE]
    assert codes(File("desired-state", "/tmp/b.yaml", 0o644, directory_mode=0o1777)) == [], "only its owner may"
    assert codes(File("desired-state", "/etc/b.yaml", 0o664)) == [], "a group that edits it together"


def test_a_file_that_is_gone_is_found() -> None:
    assert codes(File("desired-state", "/etc/b.yaml")) == [Code.FILE_MISSING]
    assert codes(File("write-file", "/etc/traefik/b.yaml")) == [], "it comes with the first document"


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (File("state-dir", "/s", 0o750), [Code.SECRET_READABLE]),
        (File("state-dir", "/s", 0o700, uid=1000), [Code.STATE_DIR_OWNER]),
        (File("state-dir", "/s", 0o700, file_system="nfs4", is_network=True), [Code.STATE_DIR_NETWORK]),
        (File("state-dir", "/s", 0o700, free_bytes=1 << 20), [Code.DISK_SHORT]),
    ],
    ids=lambda value: value[0].value if isinstance(value, list) else "",
)
def test_a_state_directory_is_private_the_daemons_own_local_and_has_room(file: File, expected: list[Code]) -> None:
    """Rule 13."""
    assert codes(file) == expected


def test_whose_a_state_directory_should_be_is_not_guessed() -> None:
    assert codes(File("state-dir", "/s", 0o700, uid=1000), uid=None) == []
