"""What an engine is asked; the questions are asked for real in tests/integration/test_containers.py."""

import signal

import pytest

from provider.docker.inspected import signal_number
from provider.docker.listing import own_ids


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("SIGWINCH", signal.SIGWINCH),
        ("winch", signal.SIGWINCH),
        ("28", 28),
        (15, signal.SIGTERM),
        ("SIGRTMIN+3", signal.SIGRTMIN + 3),
        ("rtmax-2", signal.SIGRTMAX - 2),
        (None, None),
        ("", None),
        ("SIGNONSENSE", None),
        ("TERM+", None),
        ("²", None),
        ("9" * 5000, None),
        ([], None),
    ],
)
def test_a_signal_is_understood_as_images_and_engines_write_it(written: object, number: int | None) -> None:
    """Whatever an engine says: a number that cannot be read must not end the reading of its events."""
    assert signal_number(written) == number


IN_DOCKER = """\
22 21 8:1 /var/lib/docker/containers/{id}/hostname /etc/hostname rw,relatime - ext4 /dev/sda1 rw
23 21 8:1 /var/lib/docker/containers/{id}/hosts /etc/hosts rw,relatime - ext4 /dev/sda1 rw
"""
IN_PODMAN = "22 21 0:9 /containers/overlay-containers/{id}/userdata/hostname /etc/hostname rw - tmpfs tmpfs rw\n"
ON_THE_HOST = "22 21 0:9 / /var/lib/docker/containers/{id}/mounts/shm rw - tmpfs shm rw\n"


@pytest.mark.parametrize(
    ("mounts", "host_name", "is_found"),
    [(IN_DOCKER, "web", True), (IN_PODMAN, "web", True), (ON_THE_HOST, "web", False), ("", "web", False)],
    ids=["Docker", "Podman", "a host with containers", "nothing"],
)
def test_the_daemons_own_container_is_known_by_the_files_that_an_engine_mounts(
    mounts: str, host_name: str, is_found: bool
) -> None:
    """Rule 38. A host sees the mounts of all its containers, and is in none of them."""
    id_ = "ab" * 32
    assert own_ids(mounts.format(id=id_), host_name) == ((id_,) if is_found else ())
    assert own_ids("", "0123456789ab") == ("0123456789ab",)
