"""What a daemon tells of itself."""

import os
from pathlib import Path

import pytest

from provider.api.about import About
from provider.runtime.clock import clock
from provider.runtime.files import file_id
from tests.support.running import running, shop


def test_a_file_that_was_replaced_is_at_another_place_and_a_missing_one_at_none(tmp_path: Path) -> None:
    file, link, new = tmp_path / "file", tmp_path / "link", tmp_path / "new"
    file.touch()
    os.link(file, link)
    new.touch()
    before = file_id(file)
    assert before == file_id(link)
    new.replace(file)
    assert file_id(file) != before
    assert file_id(tmp_path / "none") is None


async def test_a_daemon_reports_where_its_files_are_and_nothing_of_what_is_in_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://me:secret@10.0.0.1:2376")
    tokens = tmp_path / "tokens"
    tokens.write_text("ann read sha256:0123\n")
    about = About(docker_enabled=True, files={"tokens-file": tokens, "tls-key": tmp_path / "none"})
    async with running(tmp_path / "state") as daemon:
        daemon.load(shop())
        told = await about.answer(daemon.controller.state, clock())
    assert told["files"] == [
        {"role": "tokens-file", "path": str(tokens), "place": file_id(tokens)},
        {"role": "tls-key", "path": str(tmp_path / "none"), "place": None},
    ]
    assert told["docker"] == {"enabled": True, "url": "tcp://10.0.0.1:2376", "host_address": None}
    assert told["services"] == ["shop"]
    assert "secret" not in str(told)
    assert "0123" not in str(told)
