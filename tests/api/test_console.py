"""What is served of the console, to whom, and what a browser is told about it."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from provider.api.admin import admin_app
from provider.api.console import page_files
from tests.support.running import listening, running


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """Ask an admin listener that wants tokens, without one."""
    async with (
        running(tmp_path) as daemon,
        listening(admin_app(daemon.replica, lambda: ())) as base,
        aiohttp.ClientSession(base) as session,
    ):
        yield session


@pytest.mark.parametrize("path", [file.path for file in page_files()])
async def test_the_page_is_for_everybody_and_runs_nothing_from_elsewhere(
    client: aiohttp.ClientSession, path: str
) -> None:
    async with client.get(path) as answer:
        assert answer.status == 200
        policy = answer.headers["Content-Security-Policy"].split("; ")
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert not re.search(r"unsafe|\*|https?:", " ".join(policy))
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        etag = answer.headers["ETag"]
    async with client.get(path, headers={"If-None-Match": etag}) as answer:
        assert (answer.status, await answer.read()) == (304, b"")
    async with client.get(path, headers={"If-None-Match": '"another"'}) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("path", ["services", "services/shop", "history", "events", "caller", "openapi.json"])
async def test_what_it_shows_wants_a_token(client: aiohttp.ClientSession, path: str) -> None:
    async with client.get(f"/api/v1/{path}") as answer:
        assert answer.status == 401


async def test_only_files_of_the_page_are_served(client: aiohttp.ClientSession) -> None:
    for path in ("/console/", "/console/..%2f__init__.py", "/console/__init__.py", "/index.html"):
        async with client.get(path) as answer:
            assert answer.status == 404


def test_the_page_names_only_files_that_are_served_and_holds_no_script() -> None:
    files = {file.path: file.body.decode() for file in page_files()}
    named = re.findall(r'(?:href|src)="(/[^"#]*)"', files["/"])
    assert set(named) <= files.keys()
    assert re.findall(r"<script[^>]*>(.)", files["/"]) == ["<"]
    assert not re.search(r"\son\w+=|\sstyle=", files["/"])
    for path, text in files.items():
        imported = re.findall(r'from "\./([^"]+)"', text)
        assert {f"/console/{name}" for name in imported} <= files.keys(), path
        assert "innerHTML" not in text
