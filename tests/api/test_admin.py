"""The admin listener."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from provider.api import admin, answers
from provider.api.admin import admin_app
from provider.api.tokens import Scope, Token, digest
from provider.model import ConditionCode, condition
from tests.support.running import Running, listening, running, shop, url
from tests.support.worlds import BLUE, EPOCH


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path) as made:
        yield made


@pytest.fixture
async def client(daemon: Running) -> AsyncIterator[aiohttp.ClientSession]:
    async with listening(admin_app(daemon.replica)) as base, aiohttp.ClientSession(base) as session:
        yield session


async def ask(client: aiohttp.ClientSession, path: str, method: str = "GET") -> tuple[int, str, Any]:
    async with client.request(method, path) as answer:
        return answer.status, answer.content_type, orjson.loads(await answer.read())


async def test_a_service_and_all_services_are_reported_alike(daemon: Running, client: aiohttp.ClientSession) -> None:
    daemon.load(shop())
    await daemon.judge(BLUE)
    await daemon.until_served(blue=[url("8081")])
    daemon.controller.conditions.put(condition(ConditionCode.DOCKER_AWAY, EPOCH, cause="refused"))
    status, kind, one = await ask(client, "/api/v1/services/shop")
    assert (status, kind) == (200, "application/json")
    assert (one["service"], one["active"], one["revision"]) == ("shop", "blue", 1)
    status, _, everything = await ask(client, "/api/v1/services")
    assert status == 200
    assert one.pop("explanation")
    assert one.pop("pollers") == everything["pollers"] == []
    assert everything["services"] == [one]
    assert everything["conditions"] == one["conditions"]
    assert (everything["environment"], everything["revision"]) == ("production", 1)


async def test_before_the_first_document_the_status_reports_why(daemon: Running, client: aiohttp.ClientSession) -> None:
    assert (await ask(client, "/api/v1/services"))[2]["services"] == []
    daemon.load(shop(green="8082"))
    _, _, one = await ask(client, "/api/v1/services/shop")
    assert (one["revision"], one["active"]) == (None, None)
    assert "name one: bluegreen switch shop blue|green" in one["blocking"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "detail"),
    [
        (
            *("GET", "/api/v1/services/sh%2Fop", 404, "unknown-service"),
            "the desired state has no service 'sh/op'; it has: shop",
        ),
        ("GET", "/api/v2", 404, "unknown-path", "there is nothing at /api/v2"),
        ("POST", "/api/v1/services", 405, "method-not-allowed", "/api/v1/services answers GET, HEAD, not POST"),
    ],
)
async def test_every_refusal_is_a_problem_with_a_stable_code(
    daemon: Running, client: aiohttp.ClientSession, method: str, path: str, status: int, code: str, detail: str
) -> None:
    """Section 6.3."""
    daemon.load(shop())
    assert await ask(client, path, method) == (
        status,
        "application/problem+json",
        {"type": "about:blank", "status": status, "code": code, "detail": detail},
    )


# --- who is let in ---------------------------------------------------------------------------------------------------


async def test_who_is_not_let_in_gets_a_problem_like_every_other_refusal(
    daemon: Running, client: aiohttp.ClientSession
) -> None:
    """What is refused, and to whom, is tested in test_access."""
    async with client.get("/api/v1/services", headers={"Host": "evil.example"}) as answer:
        assert (answer.status, answer.content_type) == (403, "application/problem+json")
        assert orjson.loads(await answer.read())["code"] == "cross-site"
    tokens = (Token("ann", frozenset({Scope.READ}), digest("secret")),)
    async with (
        listening(admin_app(daemon.replica, lambda: tokens)) as base,
        aiohttp.ClientSession(base) as session,
    ):
        async with session.get("/api/v1/services") as answer:
            assert (answer.status, answer.content_type) == (401, "application/problem+json")
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            assert orjson.loads(await answer.read())["code"] == "token-wanted"
        async with session.get("/api/v1/services", headers={"Authorization": "Bearer secret"}) as answer:
            assert answer.status == 200


async def test_who_reads_the_status_of_everything_without_end_is_let_go(
    daemon: Running, client: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def endless(*_: object) -> AsyncIterator[bytes]:
        while True:
            yield b" " * 65536

    monkeypatch.setattr(answers, "services", endless)
    monkeypatch.setattr(admin, "SERVICES_S", 0.2)
    async with client.get("/api/v1/services") as answer:
        assert answer.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()
