"""Who is let in, asked over real connections and as clients and browsers send their requests."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from provider.api import access
from provider.api.problems import denied
from provider.api.tokens import FORCE, LEASE, NEEDS, Scope, Token, digest
from provider.model import Verb
from provider.runtime.log_limit import LogLimit
from tests.support.running import listening

JSON = {"Content-Type": "application/json"}
TOKENS = tuple(Token(f"{scope}er", frozenset({scope}), digest(f"secret of {scope}")) for scope in Scope)
BOTH = Token("both", frozenset({Scope.DEPLOY, Scope.APPROVE}), digest("secret of both"))
ALLOWED: dict[Scope, set[str]] = {
    Scope.READ: set(),
    Scope.DEPLOY: {Verb.SWITCH, Verb.PROMOTE, Verb.ABORT, LEASE},
    Scope.APPROVE: {Verb.APPROVE, Verb.ABORT},
    Scope.OPERATE: {*Verb, LEASE, FORCE},
}


def guarded(tokens: Callable[[], tuple[Token, ...]] | None = None) -> web.Application:
    """An application with routes as the admin listener has them, that answers who asked."""

    async def who(request: web.Request) -> web.Response:
        if (await request.text()) == '{"force": true}':
            access.require(request, FORCE)
        found = request.get(access.CALLER)
        return web.json_response({"actor": found.actor, "scopes": sorted(found.scopes)} if found else {"actor": None})

    @web.middleware
    async def problems(request: web.Request, handler: Any) -> web.StreamResponse:
        try:
            return await handler(request)  # type: ignore[no-any-return]
        except access.Denied as denial:
            return denied(denial)

    app = web.Application(middlewares=[problems, access.guard(tokens)])
    app.router.add_get("/", who)
    app.router.add_get("/api/v1/services", who)
    app.router.add_post("/api/v1/services/{name}/lease", who)
    app.router.add_delete("/api/v1/services/{name}/lease", who)
    app.router.add_post("/api/v1/services/{name}/reload", who)
    app.router.add_post("/api/v1/services/{name}/{verb}", who)
    app.router.add_post("/", who)
    return app


class Asker:
    """Asks over one session."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def __call__(
        self,
        path: str = "/api/v1/services",
        *,
        method: str = "GET",
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: str | None = None,
    ) -> tuple[int, dict[str, Any]]:
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        no_default = ["Content-Type"]
        async with self._session.request(method, path, headers=sent, data=body, skip_auto_headers=no_default) as answer:
            return answer.status, orjson.loads(await answer.read() or b"{}")


@asynccontextmanager
async def asking(tokens: tuple[Token, ...] | None = None, unix: Path | None = None) -> AsyncIterator[Asker]:
    app = guarded((lambda: tokens) if tokens is not None else None)
    async with listening(app, unix) as address:
        connector = aiohttp.UnixConnector(str(unix)) if unix else None
        base = "http://anything" if unix else address
        async with aiohttp.ClientSession(base, connector=connector) as session:
            yield Asker(session)


@pytest.fixture
async def ask() -> AsyncIterator[Asker]:
    """Ask on loopback, where there are no tokens."""
    async with asking() as asker:
        yield asker


@pytest.fixture
async def ask_with() -> AsyncIterator[Asker]:
    """Ask where one token for each scope is known, and one with two."""
    async with asking((*TOKENS, BOTH)) as asker:
        yield asker


# --- tokens and scopes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", Scope)
async def test_a_token_can_do_what_its_scope_is_for_and_nothing_else(ask_with: Asker, scope: Scope) -> None:
    token = f"secret of {scope}"
    assert await ask_with(token=token) == (200, {"actor": f"{scope}er", "scopes": [scope]})
    done: set[str] = {verb for verb in Verb if (await post(ask_with, verb, token))[0] == 200}
    for method in ("POST", "DELETE"):
        status, _ = await ask_with("/api/v1/services/shop/lease", method=method, token=token, headers=JSON)
        done |= {LEASE} if status == 200 else set()
    if (await post(ask_with, Verb.SWITCH, token, '{"force": true}'))[0] == 200:
        done.add(FORCE)
    assert done == ALLOWED[scope]


async def post(ask: Asker, verb: str, token: str, body: str = "{}") -> tuple[int, dict[str, Any]]:
    return await ask(f"/api/v1/services/shop/{verb}", method="POST", token=token, headers=JSON, body=body)


async def test_a_pipelines_token_cannot_approve_itself_and_learns_why(ask_with: Asker) -> None:
    assert await post(ask_with, "approve", "secret of deploy") == (
        403,
        {
            "type": "about:blank",
            "status": 403,
            "code": "scope",
            "detail": "token deployer has the scope deploy; approve needs approve or operate",
        },
    )
    assert (await post(ask_with, "switch", "secret of deploy", '{"force": true}'))[1]["detail"] == (
        "token deployer has the scope deploy; force needs operate"
    )


async def test_a_token_with_two_scopes_can_do_what_either_is_for(ask_with: Asker) -> None:
    done = {verb for verb in Verb if (await post(ask_with, verb, "secret of both"))[0] == 200}
    assert done == {Verb.SWITCH, Verb.PROMOTE, Verb.ABORT, Verb.APPROVE}
    _, refusal = await post(ask_with, "pause", "secret of both")
    assert refusal["detail"] == "token both has the scope approve, deploy; pause needs operate"


@pytest.mark.parametrize(
    "path", ["/api/v1/services/shop/reload", "/api/v1/services/switch/explode", "/api/v1/services/x/switch%2Fx", "/"]
)
async def test_what_nobody_gave_a_scope_to_needs_operate(ask_with: Asker, path: str) -> None:
    for scope in Scope:
        status, _ = await ask_with(path, method="POST", token=f"secret of {scope}", headers=JSON)
        assert status == (200 if scope is Scope.OPERATE else 403)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic c2VjcmV0OnJlYWQ=",
        "secret of read",
        "Bearer secret of read2",
        "Bearer secret of rea",
        "Bearer sécret",
        f"Bearer sha256:{TOKENS[0].digest.hex()}",
    ],
)
async def test_without_a_known_token_nothing_is_reported(ask_with: Asker, header: str | None) -> None:
    headers = {"Authorization": header} if header is not None else {}
    for method, path in (("GET", "/api/v1/services"), ("GET", "/api/v1/nothing"), ("POST", "/"), ("POST", "/nothing")):
        status, refusal = await ask_with(path, method=method, headers=headers | JSON)
        assert (status, refusal["code"]) == (401, "token-wanted")
        assert refusal["detail"].startswith(f"{path} requires a token")
        assert "secret" not in refusal["detail"]


async def test_the_word_bearer_may_be_written_in_any_case(ask_with: Asker) -> None:
    assert (await ask_with(headers={"Authorization": "bEARER  secret of read "}))[1]["actor"] == "reader"


async def test_a_browser_may_open_the_console_before_it_has_a_token(ask_with: Asker) -> None:
    assert await ask_with("/") == (200, {"actor": None})


async def test_every_known_token_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(one)
        return one == other

    monkeypatch.setattr("provider.api.access.hmac.compare_digest", compare)
    async with asking(TOKENS) as ask:
        for token in ("secret of read", "secret of operate", "none of them"):
            compared.clear()
            await ask(token=token)
            assert compared == [one.digest for one in TOKENS]


async def test_a_token_that_is_taken_away_is_refused_at_the_next_request() -> None:
    known = list(TOKENS)
    async with listening(guarded(lambda: tuple(known))) as base, aiohttp.ClientSession(base) as session:
        ask = Asker(session)
        assert (await ask(token="secret of read"))[0] == 200
        known.remove(TOKENS[0])
        assert (await ask(token="secret of read"))[0] == 401


# --- the actor -------------------------------------------------------------------------------------------------------


async def test_the_name_of_the_token_is_the_actor_whatever_the_client_says(ask_with: Asker) -> None:
    told = await ask_with(token="secret of read", headers={"X-Bluegreen-Actor": "root"})
    assert told[1]["actor"] == "reader"


@pytest.mark.parametrize(
    ("said", "actor"),
    [
        (None, "local"),
        ("", "local"),
        ("ann", "ann"),
        ("Ann Müller", "Ann Müller"),
        ("ann\t\x9b31m\u202eb", "ann31mb"),
        ("a" * 100, "a" * 64),
        ("\u200b", "local"),
    ],
)
async def test_without_tokens_the_actor_is_who_the_client_says_in_printable_words(
    ask: Asker, said: str | None, actor: str
) -> None:
    headers = {"X-Bluegreen-Actor": said} if said is not None else {}
    assert await ask(headers=headers) == (200, {"actor": actor, "scopes": sorted(Scope)})


# --- what browsers send ----------------------------------------------------------------------------------------------


async def test_a_name_that_was_made_to_point_here_is_refused(ask: Asker) -> None:
    """DNS rebinding: for the browser the page and we are one site, and Host alone tells."""
    rebound = {"Host": "evil.example:8901", "Origin": "http://evil.example:8901", "Sec-Fetch-Site": "same-origin"}
    for method in ("GET", "POST"):
        status, refusal = await ask("/", method=method, headers=rebound | JSON)
        assert (status, refusal["code"]) == (403, "cross-site")
    assert refusal["detail"] == (
        "Host 'evil.example:8901' is not the loopback name or address of this machine: ask for 127.0.0.1 or localhost, "
        "or start the daemon with --tokens-file"
    )


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8901", 200),
        ("LOCALHOST", 200),
        ("127.0.0.1:9001", 200),  # as through ssh -L 9001:127.0.0.1:8901
        ("127.1.2.3", 200),
        ("[::1]:8901", 200),
        ("localhost.evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("evil.example", 403),
        ("203.0.113.1:8901", 403),
        ("[::2]", 403),
        ("[::1", 403),
        ("localhost:http", 403),
        ("", 403),
    ],
)
async def test_only_this_machines_own_names_are_taken_for_host(ask: Asker, host: str, status: int) -> None:
    assert (await ask(headers={"Host": host}))[0] == status


async def test_on_a_unix_socket_which_no_browser_reaches_any_host_will_do(tmp_path: Path) -> None:
    async with asking(unix=tmp_path / "socket") as ask:
        assert (await ask(headers={"Host": "evil.example"}))[0] == 200
        assert (await ask(headers={"Host": "evil.example", "Origin": "https://other.example"}))[0] == 403


async def test_with_tokens_which_no_page_knows_any_host_will_do(ask_with: Asker) -> None:
    assert (await ask_with(token="secret of read", headers={"Host": "bluegreen.example.com"}))[0] == 200


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://127.0.0.1:3000", "null", "http://[::1", "", "file://"]
)
async def test_a_page_elsewhere_cannot_post(ask: Asker, ask_with: Asker, origin: str) -> None:
    """Also one on another port of this machine, and also with a token."""
    for asker in (ask, ask_with):
        status, refusal = await asker(
            "/", method="POST", headers={"Origin": origin, **JSON}, token="secret of operate", body="{}"
        )
        assert (status, refusal["code"]) == (403, "cross-site")
        assert repr(origin) in refusal["detail"]


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost:8901", "http://localhost:8901"),
        ("localhost", "http://localhost"),
        ("127.0.0.1:443", "https://127.0.0.1"),
        ("[::1]:8901", "http://[::1]:8901"),
    ],
)
async def test_our_own_page_can_post(ask: Asker, host: str, origin: str) -> None:
    sent = {"Host": host, "Origin": origin, "Sec-Fetch-Site": "same-origin", **JSON}
    assert (await ask("/", method="POST", headers=sent, body="{}"))[0] == 200


async def test_our_own_page_can_post_through_a_proxy_that_ends_tls(ask_with: Asker) -> None:
    sent = {"Host": "bluegreen.example.com", "Origin": "https://bluegreen.example.com", **JSON}
    assert (await ask_with("/", method="POST", headers=sent, token="secret of operate"))[0] == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_a_page_elsewhere_cannot_embed_or_fetch_what_is_here(ask: Asker, site: str) -> None:
    for mode, dest in (("no-cors", "image"), ("navigate", "iframe"), ("cors", "empty")):
        sent = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest}
        status, refusal = await ask(headers=sent)
        assert (status, refusal["code"]) == (403, "cross-site")
    form = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert (await ask("/", method="POST", headers=form | JSON))[0] == 403


@pytest.mark.parametrize("site", ["none", "cross-site"])
async def test_the_console_opens_from_the_address_bar_and_from_a_link_in_a_chat(ask: Asker, site: str) -> None:
    sent = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert (await ask("/", headers=sent))[0] == 200


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
async def test_what_changes_something_is_sent_as_json_which_no_form_can_send(
    ask: Asker, ask_with: Asker, kind: str | None
) -> None:
    headers = {"Content-Type": kind} if kind else {}
    for asker in (ask, ask_with):
        for method in ("POST", "DELETE"):
            status, refusal = await asker(
                "/api/v1/services/shop/lease", method=method, headers=headers, token="secret of operate", body="{}"
            )
            assert (status, refusal["code"]) == (415, "json-wanted")
            assert refusal["detail"] == f"{method} requires the header Content-Type: application/json"


async def test_json_may_name_its_charset(ask: Asker) -> None:
    sent = {"Content-Type": "application/json; charset=utf-8"}
    assert (await ask("/", method="POST", headers=sent, body="{}"))[0] == 200


def test_the_table_of_needs_is_what_the_scopes_say() -> None:
    for action, needed in NEEDS.items():
        assert needed == {scope for scope, actions in ALLOWED.items() if action in actions}


async def test_a_token_that_is_used_again_and_again_for_what_it_is_not_for_does_not_fill_the_log(
    ask_with: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "_scope_warnings", LogLimit())
    with capture_logs() as logged:
        for _ in range(50):
            assert (await post(ask_with, Verb.ROLLBACK, "secret of read"))[0] == 403
    assert [(line["event"], line["actor"]) for line in logged] == [
        ("a token was used for what it is not for", "reader")
    ]
