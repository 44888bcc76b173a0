"""How Docker Compose is found and called; what it starts is tested in integration/."""

import os
import re
import signal
from pathlib import Path

import pytest

from provider.cli.client.compose import ComposeError, Project, find_command
from provider.model import Colour


def program(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def project(command: str, **tags: str) -> Project:
    return Project((command,), "shop-green", (Path("compose.yaml"), Path("more.yaml")), Colour.GREEN, tags)


def test_the_plugin_is_taken_where_it_works_else_docker_compose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ComposeError, match=r"neither `docker compose` nor `docker-compose` is installed"):
        find_command()
    program(tmp_path, "docker", "exit 1")
    program(tmp_path, "docker-compose", "exit 0")
    assert find_command() == ("docker-compose",)
    program(tmp_path, "docker", '[ "$1 $2" = "compose version" ]')
    assert find_command() == ("docker", "compose")


def test_compose_gets_project_files_colour_and_tags_and_these_win_over_the_callers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BLUEGREEN_COLOUR", "red")
    monkeypatch.setenv("TAG", "0")
    program(tmp_path, "compose", 'echo "$@" "$BLUEGREEN_COLOUR" "$TAG"')
    project(str(tmp_path / "compose"), TAG="1.4.2").up(lambda: None)
    assert capfd.readouterr().out == "-p shop-green -f compose.yaml -f more.yaml up -d green 1.4.2\n"
    assert os.environ["TAG"] == "0"


def test_a_command_is_printed_as_a_shell_takes_it() -> None:
    message = project("docker-compose", NOTE="it's new").line("up", "-d")
    assert message == (
        "NOTE='it'\"'\"'s new' BLUEGREEN_COLOUR=green docker-compose -p shop-green -f compose.yaml -f more.yaml up -d"
    )


def test_the_containers_are_reported_by_the_ids_that_status_shows(tmp_path: Path) -> None:
    program(tmp_path, "compose", f"echo warning: old; echo {'a' * 64}; echo; echo {'b' * 64}")
    assert project(str(tmp_path / "compose")).containers() == {"a" * 12, "b" * 12}
    program(tmp_path, "compose", "echo no engine >&2; exit 1")
    with pytest.raises(ComposeError, match=r"ps -q: no engine"):
        project(str(tmp_path / "compose")).containers()


@pytest.mark.parametrize(
    ("said", "names"),
    [
        ("services:\n  web: {image: a}\nversion: '3.7'\n", ["web"]),
        ("WARNING: The PW variable is not set. Defaulting to a blank string.\nservices:\n  web: {image: a}\n", ["web"]),
        ('time="2026-01-01" level=warning msg="a: b"\n\n  indented: too\nname: x\nservices:\n  web: {}\n', ["web"]),
        ("services:\n  web:\n    command: |\n      WARNING: kept\n\n      x\nDone.\n  really\nnetworks: {}\n", ["web"]),
        ("\x1b[33mWARN\x1b[0m[0000] obsolete: yes\nservices: {}\n", []),
    ],
    ids=["plain", "warning", "logfmt", "behind", "coloured"],
)
def test_what_compose_prints_around_its_yaml_is_left_out(tmp_path: Path, said: str, names: list[str]) -> None:
    (tmp_path / "said").write_text(said)
    program(tmp_path, "compose", f"cat {tmp_path / 'said'}")
    services = project(str(tmp_path / "compose")).rendered()["services"]
    assert isinstance(services, dict)
    assert list(services) == names


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("", "did not print a compose file: nothing"),
        ("no such option: config\n", "did not print a compose file: no such option: config"),
        ("services: [web]\n", "did not print a compose file: services: [web]"),
        ("services:\n  web: {image: a\n", "did not print YAML: "),
        ("services: {web: {x: 2026-02-31}}\n", "did not print YAML: "),
    ],
    ids=["empty", "words", "list", "cut", "date"],
)
def test_a_compose_that_renders_no_compose_file_says_so(tmp_path: Path, said: str, message: str) -> None:
    (tmp_path / "said").write_text(said)
    program(tmp_path, "compose", f"cat {tmp_path / 'said'}")
    with pytest.raises(ComposeError, match=re.escape(message)):
        project(str(tmp_path / "compose")).rendered()


def test_a_compose_that_fails_or_is_not_there_says_so(tmp_path: Path) -> None:
    program(tmp_path, "compose", "exit 7")
    with pytest.raises(ComposeError, match=r"compose failed with exit code 7, and nothing was switched"):
        project(str(tmp_path / "compose")).up(lambda: None)
    with pytest.raises(ComposeError, match=r"none cannot run, and nothing was started"):
        project(str(tmp_path / "none")).up(lambda: None)


def test_a_compose_that_ignores_interrupts_as_we_do_is_stopped_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deployment in the background of a script, which a shell starts with SIGINT ignored."""
    ended = tmp_path / "ended"
    program(tmp_path, "compose", f"trap 'touch {ended}; exit 1' TERM; while :; do sleep 0.05; done")

    def check() -> None:
        raise LookupError("rolled back")

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with pytest.raises(LookupError, match="rolled back"):
            project(str(tmp_path / "compose")).up(check)
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended.exists()


def test_a_check_that_raises_stops_compose(tmp_path: Path) -> None:
    ended = tmp_path / "ended"
    program(tmp_path, "compose", f"trap 'touch {ended}; exit 1' INT; while :; do sleep 0.05; done")

    def check() -> None:
        raise LookupError("rolled back")

    with pytest.raises(LookupError, match="rolled back"):
        project(str(tmp_path / "compose")).up(check)
    assert ended.exists()
