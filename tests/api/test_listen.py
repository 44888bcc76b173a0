"""Addresses to listen on, and sockets of other daemons."""

import socket
import stat
from pathlib import Path

import pytest

from provider.model.errors import ListenError
from provider.traefik.process import free_ports
from tests.support.listening import answers, listener


async def test_it_listens_on_ipv4_ipv6_and_every_address() -> None:
    port, every = free_ports(2)
    async with listener(f"127.0.0.1:{port}"), listener(f":{every}"):
        assert await answers(f"http://127.0.0.1:{port}")
        assert await answers(f"http://127.0.0.1:{every}")
    with socket.socket(socket.AF_INET6) as six:
        try:
            six.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6 loopback")
    async with listener(f"[::1]:{port}"):
        assert await answers(f"http://[::1]:{port}")


async def test_an_address_in_use_is_named_with_the_way_out() -> None:
    (port,) = free_ports(1)
    async with listener(f"127.0.0.1:{port}"):
        with pytest.raises(ListenError) as refused:
            async with listener(f"127.0.0.1:{port}"):
                pass
    assert str(refused.value) == (
        f"cannot listen on 127.0.0.1:{port}: Address already in use; stop what listens there or name another address "
        "(--listen, --admin-listen)"
    )


async def test_an_address_of_another_machine_is_not_in_use_there() -> None:
    with pytest.raises(ListenError, match=r"203\.0\.113\.1:80: Cannot assign requested address; name another address"):
        async with listener("203.0.113.1:80"):
            pass


async def test_a_unix_socket_is_for_its_owner_and_group(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    async with listener(f"unix:{path}"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert await answers("http://admin/", path)


async def test_the_socket_that_a_killed_daemon_left_behind_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with listener(f"unix:{path}"):
        assert await answers("http://admin/", path)


async def test_the_socket_of_a_live_daemon_and_what_is_no_socket_are_left_alone(tmp_path: Path) -> None:
    path, text = tmp_path / "admin.sock", tmp_path / "notes.txt"
    text.write_text("mine")
    async with listener(f"unix:{path}"):
        for taken in (path, text):
            with pytest.raises(ListenError, match="Address already in use; stop what listens there"):
                async with listener(f"unix:{taken}"):
                    pass
        assert await answers("http://admin/", path)
    assert text.read_text() == "mine"


async def test_a_unix_socket_in_a_missing_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ListenError, match="No such file or directory; name another address"):
        async with listener(f"unix:{tmp_path / 'none' / 'admin.sock'}"):
            pass
