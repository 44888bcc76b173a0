"""Completion in a shell: click's protocol as a shell speaks it, and a real bash."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from provider.api.admin import admin_app
from tests.support.components import program
from tests.support.running import listening, running, shop
from tests.support.waiting import eventually

BLUEGREEN = Path(sys.executable).with_name("bluegreen")
TWO = shop(more="  shop-api: {router: {rule: 'Host(`api.example.com`)'}}\n")


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[str]:
    async with running(tmp_path / "state") as daemon, listening(admin_app(daemon.replica)) as address:
        daemon.load(TWO)
        await eventually(lambda: len(daemon.controller.state.services) == 2)
        yield address


async def run(*command: object, **environment: str) -> tuple[str, str]:
    done = await asyncio.to_thread(
        subprocess.run,
        [str(one) for one in command],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout, done.stderr


async def complete(line: str, **environment: str) -> list[str]:
    """Return what is offered for the last word of a line; nothing may be said beside it."""
    words = line.split(" ")
    asked = {"_BLUEGREEN_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    out, err = await run(BLUEGREEN, **asked, **environment)
    assert err == ""
    return out.split()


async def test_verbs_options_colours_and_files_are_completed_without_a_daemon() -> None:
    assert await complete("bluegreen roll") == ["plain,rollback"]
    assert await complete("bluegreen wait shop --un") == ["plain,--until"]
    assert await complete("bluegreen wait shop --until ") == ["plain,confirmed", "plain,steady", "plain,step:"]
    assert await complete("bluegreen switch shop g") == ["plain,green"]
    assert await complete("bluegreen doctor --ignore volume-s") == ["plain,volume-shared"]
    assert await complete("bluegreen completion z") == ["plain,zsh"]
    assert await complete("bluegreen validate conf") == ["file,conf"]


async def test_services_are_asked_from_the_daemon_that_the_line_or_the_environment_names(admin: str) -> None:
    both = ["plain,shop", "plain,shop-api"]
    for verb in ("status", "explain", "history", "wait", "approve", "abort", "rollback", "switch", "deploy"):
        assert await complete(f"bluegreen {verb} sh", BLUEGREEN_ADMIN=admin) == both, verb
    assert await complete(f"bluegreen status --admin {admin} shop-") == ["plain,shop-api"]
    assert await complete("bluegreen status x", BLUEGREEN_ADMIN=admin) == []


async def test_without_a_daemon_nothing_is_offered_and_nothing_is_said(tmp_path: Path) -> None:
    assert await complete("bluegreen status sh", BLUEGREEN_ADMIN=f"unix:{tmp_path / 'none'}") == []


async def test_a_daemon_that_does_not_answer_keeps_nobody_waiting_for_long() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        host, port = deaf.getsockname()
        assert await complete("bluegreen status sh", BLUEGREEN_ADMIN=f"http://{host}:{port}") == []


async def test_a_real_bash_completes_with_the_script_that_is_printed(admin: str, tmp_path: Path) -> None:
    bash = program("bash", "bash")
    script = (
        f'PATH="{BLUEGREEN.parent}:$PATH"\n'
        'eval "$(bluegreen completion bash)"\n'
        "complete -p bluegreen\n"
        "COMP_WORDS=(bluegreen rollback shop-) COMP_CWORD=2\n"
        '_bluegreen_completion bluegreen\necho "${COMPREPLY[@]}"\n'
    )
    out, err = await run(bash, "--norc", "-c", script, BLUEGREEN_ADMIN=admin)
    registered, reply = out.splitlines()
    assert (registered, reply, err) == ("complete -o nosort -F _bluegreen_completion bluegreen", "shop-api", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_the_script_for_each_shell_asks_the_program_by_its_name(shell: str) -> None:
    out, _ = await run(BLUEGREEN, "completion", shell)
    assert f"_BLUEGREEN_COMPLETE={shell}_complete" in out
