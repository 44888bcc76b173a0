"""The desired state of the admin API: who may see it, what is answered, and what passes a follower (rule 62)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from provider.api.admin import admin_app
from provider.api.tokens import Scope, Token, digest
from provider.config import MAX_BYTES
from provider.controller.lasting import Lasting
from provider.controller.reload import Reload
from provider.controller.replica import Leader, Replica
from provider.model.document import text_key
from tests.support.applying import UNKNOWN, Applying, applying
from tests.support.running import listening, shop

PATH = "/api/v1/desired"
ONE, TWO = shop(active="blue"), shop(active="blue", more="    watch: 1h\n")
LONG = ONE + "#" + "\N{EURO SIGN}" * ((MAX_BYTES - len(ONE) - 1) // 3)


@asynccontextmanager
async def asking(term: Applying, *tokens: Token) -> AsyncIterator[aiohttp.ClientSession]:
    app = admin_app(term.daemon.replica, (lambda: tokens) if tokens else None)
    async with listening(app) as url, aiohttp.ClientSession(url) as client:
        yield client


async def put(client: aiohttp.ClientSession, text: str, **more: object) -> tuple[int, Any]:
    body = BytesIO(orjson.dumps({"text": text, "name": "edit.yaml", **more}))
    async with client.put(PATH, data=body, headers={"Content-Type": "application/json"}) as answer:
        return answer.status, await answer.json(content_type=None)


async def get(client: aiohttp.ClientSession) -> tuple[int, Any]:
    async with client.get(PATH) as answer:
        return answer.status, await answer.json(content_type=None)


async def test_what_was_applied_is_shown_with_its_hash(tmp_path: Path) -> None:
    """Rule 62."""
    async with applying(tmp_path) as term, asking(term) as client:
        assert await get(client) == (200, {"text": None, "sha256": None, "source": "store"})
        status, done = await put(client, ONE)
        assert (status, done["already"], done["sha256"], done["source"]) == (200, False, text_key(ONE), "store")
        assert await get(client) == (200, {"text": ONE, "sha256": text_key(ONE), "source": "store"})
        assert (await put(client, TWO, expect=text_key(ONE)))[1]["changes"] == [
            {"service": "shop", "change": "changed", "paths": ["watch"]}
        ]
        assert (await put(client, TWO))[1] == {
            "already": True,
            "sha256": text_key(TWO),
            "source": "store",
            "changes": [],
        }


async def test_a_dry_run_says_what_would_change(tmp_path: Path) -> None:
    async with applying(tmp_path) as term, asking(term) as client:
        await put(client, ONE)
        status, done = await put(client, TWO, dryRun=True)
        assert (status, len(done["changes"]), term.text) == (200, 1, ONE)


async def test_every_error_is_a_line_and_an_object(tmp_path: Path) -> None:
    """P11."""
    async with applying(tmp_path) as term, asking(term) as client:
        status, problem = await put(client, "environment: x\nservices: {a: {activ: blue}, b: 1}\n")
        assert (status, problem["code"], len(problem["problems"])) == (400, "invalid-desired-state", 3)
        assert problem["detail"].splitlines() == [
            f"{one['file']}:{one['line']}:{one['column']}: {one['path']}: {one['message']}"
            for one in problem["problems"]
        ]


async def test_conflicts_name_the_hash_that_is_there(tmp_path: Path) -> None:
    """Rule 62."""
    async with applying(tmp_path) as term, asking(term) as client:
        await put(client, ONE)
        for dry_run in (False, True):
            status, problem = await put(client, TWO, expect=text_key(TWO), dryRun=dry_run)
            assert (status, problem["code"]) == (409, "desired-changed")
            assert text_key(ONE) in problem["detail"]
        assert (await put(client, TWO, expect="abc"))[1]["code"] == "bad-request"


async def test_a_daemon_that_follows_a_file_compares_and_refuses(tmp_path: Path) -> None:
    """Rule 62: the way out is to edit the file."""
    file = tmp_path / "desired.yaml"
    async with applying(tmp_path / "state") as term, asking(term) as client:
        await put(client, ONE)
        term.daemon.controller.desired_source = Reload(file, term.desired._loader, term.daemon.controller.inputs)
        status, problem = await put(client, TWO)
        assert (status, problem["code"]) == (409, "follows-file")
        assert f"this daemon follows {file}: edit that file" in problem["detail"]
        assert (await put(client, TWO, dryRun=True))[1]["source"] == str(file)
        assert (await get(client))[1]["source"] == str(file)


async def test_it_needs_the_scope_operate_to_see_it_too(tmp_path: Path) -> None:
    """It may have keys and passwords."""
    tokens = [Token(scope, frozenset({scope}), digest(scope)) for scope in Scope]
    async with applying(tmp_path) as term, asking(term, *tokens) as client:
        for scope in Scope:
            client.headers["Authorization"] = f"Bearer {scope}"
            wanted = 200 if scope is Scope.OPERATE else 403
            assert ((await get(client))[0], (await put(client, ONE))[0]) == (wanted, wanted)


async def test_an_unknown_outcome_is_said(tmp_path: Path) -> None:
    """Rule 51."""
    async with applying(tmp_path) as term, asking(term) as client:
        term.store.failure = UNKNOWN
        status, problem = await put(client, ONE)
        assert (status, problem["code"]) == (503, "store-unknown")
        assert "bluegreen desired shows what is in force" in problem["detail"]


async def test_the_longest_text_passes_a_follower(tmp_path: Path) -> None:
    """Rules 60, 62: other bodies stay short."""
    follower = Replica(Lasting(), name="second")
    async with (
        applying(tmp_path) as term,
        listening(admin_app(term.daemon.replica)) as leader,
        listening(admin_app(follower)) as url,
        aiohttp.ClientSession(url) as client,
    ):
        follower.follow(Leader("first", leader))
        status, done = await put(client, LONG)
        assert (status, done["sha256"]) == (200, text_key(LONG))
        assert (await get(client))[1]["text"] == LONG
        too_long = {"reason": "#" * 70_000}
        async with client.post("/api/v1/services/shop/pause", json=too_long) as answer:
            assert (await answer.json(content_type=None))["detail"] == "the body is longer than 65536 bytes"


@pytest.mark.parametrize("body", [{}, {"text": 1}, {"text": ONE, "force": True}, {"text": ONE, "name": ""}])
async def test_a_body_that_is_none_is_refused(tmp_path: Path, body: dict[str, object]) -> None:
    async with applying(tmp_path) as term, asking(term) as client, client.put(PATH, json=body) as answer:
        assert (answer.status, (await answer.json(content_type=None))["code"]) == (400, "bad-request")
