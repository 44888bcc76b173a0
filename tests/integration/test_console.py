"""The web console as an operator uses it: in a real Chromium, on a real daemon."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Locator, Page, Route, expect

from provider.api.tokens import Scope, make_token
from tests.support.answers import POLLERS, REPLICAS
from tests.support.console import CONTRASTS, LIMIT_MS, chromium, console
from tests.support.daemon import FAST_CHECKS, Daemon, StartDaemon
from tests.support.traefik import Backend, StartBackend, StartTraefik
from tests.support.waiting import eventually

expect.set_options(timeout=LIMIT_MS)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as found:
        yield found


def shop(blue: Backend, green: Backend | None, *, name: str = "shop", more: str = "") -> str:
    colours = "".join(
        f"      {colour}: {{urls: ['{backend.url}'], version: '{version}'}}\n"
        for colour, backend, version in (("blue", blue, "1.4.1"), ("green", green, "1.4.2"))
        if backend is not None
    )
    return f"""\
  {name}:
    router: {{rule: "Host(`{name}.example.com`)", entryPoints: [web]}}
    settle: 100ms
    healthCheck: {FAST_CHECKS}
    servers:
{colours}{more}"""


def file(*services: str) -> str:
    return "environment: production\nservices:\n" + "".join(services)


GATES = """\
    approval: manual
    smokeTests: [{name: home, path: /, status: 200}]
    deadlines: {confirming: 200ms}
    watch: 10m
"""


def command(page: Page, verb: str) -> Locator:
    return page.locator(f'.actions [data-verb="{verb}"]')


async def do(page: Page, verb: str, reason: str = "") -> None:
    """Press a command, read what it will do, give the reason, and confirm."""
    await command(page, verb).click()
    if reason:
        await page.locator("#reason").fill(reason)
    await page.locator(f'[data-confirm="{verb}"]').click()


async def test_a_rollout_is_seen_approved_and_rolled_back(
    browser: Browser, start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend
) -> None:
    """P1, P7: with what each command will do, and for the release that was looked at."""
    blue, green = await start_backend("one"), await start_backend("two")
    daemon = await start_daemon(file(shop(blue, None, more=GATES)))
    await start_traefik(daemon.endpoint)
    await daemon.until("shop", active="blue", phase="steady")
    async with console(browser, daemon.admin_url) as opened:
        page = opened.page
        row = page.locator('.row[data-service="shop"]')
        await expect(row).to_contain_text("steady")
        await expect(page.locator("#count")).to_have_text("1 service")
        await expect(page.locator("#environment")).to_have_text("production")
        await expect(page.locator("#pollers-summary")).to_contain_text("1 of 1 pollers current")
        daemon.write(file(shop(blue, green, more=GATES)))
        await expect(row).to_contain_text("approval")
        await expect(row).to_contain_text("waits for approval")
        await row.locator("a").click()
        detail = page.locator("#detail")
        await expect(detail.locator(".phases .now")).to_contain_text("approval")
        await expect(detail.locator(".phases .now .countdown")).to_contain_text("left")
        await expect(detail.locator(".gates")).to_contain_text("1 server healthy")
        await expect(detail.locator(".card.green")).to_contain_text(green.url)
        await command(page, "approve").click()
        release = (await daemon.status("shop"))["rollout"]["release"]
        await expect(page.locator("dialog")).to_contain_text(f"1.4.2 (release {release}) in green is approved")
        await page.locator('[data-confirm="approve"]').click()
        await expect(detail.locator("header")).to_contain_text("green active")
        await expect(detail.locator(".timeline")).to_contain_text("shifted")
        await expect(detail.locator(".phases .now")).to_contain_text("watching")
        await command(page, "rollback").click()
        before = (await daemon.status("shop"))["rollback"]["release"]
        await expect(page.locator("dialog")).to_contain_text(f"shop goes back to 1.4.1 (release {before}) in blue")
        await page.keyboard.press("Escape")
        await do(page, "rollback", "errors after the switch")
        await expect(detail.locator("header")).to_contain_text("blue active")
        await expect(detail.locator(".timeline")).to_contain_text("errors after the switch")
        await expect(detail.locator(".facts")).to_contain_text("Quarantined")
        await expect(command(page, "rollback")).to_be_disabled()
        assert opened.complaints == []
        assert opened.elsewhere == []
    (left,) = await daemon.history("shop", "rolled-back")
    assert left["detail"] == "errors after the switch"


async def awaiting_approval(start_daemon: StartDaemon, start_backend: StartBackend) -> Daemon:
    """Start a daemon whose shop awaits approval of its second release."""
    blue, green = await start_backend("one"), await start_backend("two")
    daemon = await start_daemon(file(shop(blue, None, more=GATES)))
    await daemon.until("shop", active="blue", phase="steady")
    daemon.write(file(shop(blue, green, more=GATES)))
    await daemon.until("shop", phase="approval")
    return daemon


async def test_a_refused_command_says_why_and_stays_open(
    browser: Browser, start_daemon: StartDaemon, start_backend: StartBackend
) -> None:
    """P1: an approval of a release that is not the candidate any more does not go through."""
    daemon = await awaiting_approval(start_daemon, start_backend)
    async with console(browser, f"{daemon.admin_url}/#/shop") as opened:
        page = opened.page
        await command(page, "approve").click()
        await expect(page.locator("dialog")).to_be_visible()
        assert (await daemon.command("shop", "abort"))[0] == 200
        await page.locator('[data-confirm="approve"]').click()
        await expect(page.locator(".refusal")).to_contain_text("no rollout of shop waits for an approval")
        await expect(page.locator("dialog")).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(page.locator("dialog")).to_have_count(0)


async def test_a_reason_that_is_typed_confirms_nothing(
    browser: Browser, start_daemon: StartDaemon, start_backend: StartBackend
) -> None:
    """A space presses the button that has the focus: production was switched by the first one of a reason."""
    daemon = await awaiting_approval(start_daemon, start_backend)
    async with console(browser, f"{daemon.admin_url}/#/shop") as opened:
        page = opened.page
        for verb in ("approve", "pause"):
            await command(page, verb).click()
            await page.keyboard.type("because it is friday")
            await expect(page.locator("#reason")).to_have_value("because it is friday")
            await page.keyboard.press("Escape")
        await command(page, "abort").click()
        await expect(page.locator("dialog .buttons .quiet")).to_be_focused()
        await page.keyboard.type("no reason")
        await expect(page.locator("dialog")).to_have_count(0)
        assert (await daemon.status("shop"))["phase"] == "approval"
        assert await daemon.history("shop", "aborted") == []


async def test_a_daemon_that_hangs_is_not_shown_as_live(
    browser: Browser, start_daemon: StartDaemon, start_backend: StartBackend
) -> None:
    daemon = await start_daemon(file(shop(await start_backend("one"), None)))
    await daemon.until("shop", active="blue")
    async with console(browser, daemon.admin_url) as opened:
        await expect(opened.page.locator("#link")).to_contain_text("live")
        with daemon.frozen():
            await expect(opened.page.locator("#link")).to_have_text("✕ lost")
        await expect(opened.page.locator("#link")).to_contain_text("live")


async def test_a_daemon_that_is_lost_is_reported_and_regained(
    browser: Browser, start_daemon: StartDaemon, start_backend: StartBackend
) -> None:
    """What is shown is not passed off as how things stand now."""
    daemon = await start_daemon(file(shop(await start_backend("one"), None)))
    await daemon.until("shop", active="blue")
    async with console(browser, f"{daemon.admin_url}/#/shop") as opened:
        page = opened.page
        await expect(command(page, "pause")).to_be_enabled()
        await daemon.kill()
        await expect(page.locator("#banner")).to_contain_text("The daemon does not answer")
        await expect(page.locator("#link")).to_have_text("✕ lost")
        await expect(command(page, "pause")).to_be_disabled()
        await expect(page.locator('.row[data-service="shop"]')).to_have_count(1)
        await daemon.start()
        await expect(page.locator("#link")).to_contain_text("live")
        await expect(page.locator("#banner")).to_be_hidden()
        await do(page, "pause", "lunch")
        await expect(page.locator(".row")).to_contain_text("paused")


async def test_one_answer_that_fails_leaves_nothing_lost(
    browser: Browser, start_daemon: StartDaemon, start_backend: StartBackend
) -> None:
    """The stream of events is still there then, so it cannot be what brings the page back."""
    daemon = await start_daemon(file(shop(await start_backend("one"), None)))
    await daemon.until("shop", active="blue")
    async with console(browser, daemon.admin_url) as opened:
        page = opened.page
        await expect(page.locator("#link")).to_contain_text("live")
        await page.route("**/api/v1/services", lambda route: route.fulfill(status=500, body="{}"), times=1)
        await expect(page.locator("#banner")).to_contain_text("the daemon answers 500")
        await expect(page.locator("#link")).to_contain_text("live")
        await expect(page.locator("#banner")).to_be_hidden()


async def test_a_store_that_fails_takes_the_history_away_and_nothing_else(
    browser: Browser, start_daemon: StartDaemon, start_backend: StartBackend
) -> None:
    """P4: what an operator looks at then is how things stand."""
    daemon = await start_daemon(file(shop(await start_backend("one"), None)))
    await daemon.until("shop", active="blue")
    async with console(browser, daemon.admin_url) as opened:
        page = opened.page
        told = '{"status": 503, "code": "store-failing", "detail": "the disk is full"}'
        await page.route("**/api/v1/history*", lambda route: route.fulfill(status=503, body=told))
        await opened.open(f"{daemon.admin_url}/#/shop")
        await expect(page.locator(".history")).to_contain_text("The history cannot be read: the disk is full")
        await expect(page.locator("#detail .card.blue")).to_contain_text("healthy")
        await expect(page.locator("#link")).to_contain_text("live")


async def test_what_somebody_is_about_to_copy_is_not_taken_away_by_seconds_that_pass(
    browser: Browser, start_daemon: StartDaemon, start_backend: StartBackend
) -> None:
    blue, green = await start_backend("one"), await start_backend("two")
    daemon = await start_daemon(file(shop(blue, None, more=GATES)))
    await daemon.until("shop", active="blue")
    daemon.write(file(shop(blue, green, more=GATES)))
    await daemon.until("shop", phase="approval")
    async with console(browser, f"{daemon.admin_url}/#/shop") as opened:
        page = opened.page
        await expect(page.locator(".timeline")).to_be_visible()
        before = await page.locator(".explanation").text_content()
        await page.evaluate("getSelection().selectAllChildren(document.querySelector('.card.green dd.code'))")
        selected = await page.evaluate("String(getSelection())")
        assert selected == (await daemon.status("shop"))["colours"]["green"]["release"]
        async with page.expect_response("**/api/v1/history*"):
            await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        await page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert await page.evaluate("String(getSelection())") == selected
        await page.evaluate("getSelection().removeAllRanges()")
        await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        await expect(page.locator(".explanation")).not_to_have_text(before or "")


async def with_tokens(start_daemon: StartDaemon, folder: Path, text: str) -> tuple[Daemon, dict[str, str]]:
    made = {scope.value: make_token(f"{scope}er", frozenset({scope})) for scope in (Scope.READ, Scope.OPERATE)}
    tokens = folder / "tokens"
    tokens.write_text("".join(f"{token.line}\n" for _, token in made.values()))
    tokens.chmod(0o600)
    daemon = await start_daemon(text, "--tokens-file", str(tokens))
    return daemon, {scope: shown for scope, (shown, _) in made.items()}


async def test_a_token_is_asked_for_and_one_that_only_reads_sees_why_it_may_do_nothing(
    browser: Browser, start_daemon: StartDaemon, start_backend: StartBackend, tmp_path: Path
) -> None:
    backend = await start_backend("one")
    daemon, tokens = await with_tokens(start_daemon, tmp_path, file(shop(backend, None)))
    async with console(browser, f"{daemon.admin_url}/#/shop") as opened:
        page = opened.page
        await expect(page.locator("dialog")).to_contain_text("This daemon requires a token")
        await page.locator("#token").fill("bg_nonsense")
        await page.keyboard.press("Enter")
        await expect(page.locator("dialog")).to_contain_text("does not accept this token")
        await page.locator("#token").fill(tokens["read"])
        await page.keyboard.press("Enter")
        await expect(page.locator("#who")).to_have_text("reader (read)")
        await expect(command(page, "pause")).to_be_disabled()
        assert await command(page, "pause").get_attribute("title") == (
            "the token reader has the scope read and may not pause"
        )
        await page.locator("#who").click()
        await page.locator("#token").fill(tokens["operate"])
        await page.keyboard.press("Enter")
        await expect(command(page, "pause")).to_be_enabled()
        await do(page, "pause", "lunch")
        await expect(page.locator(".timeline")).to_contain_text("by operateer")
        assert not await page.evaluate("localStorage.length")


async def test_five_hundred_services_are_filtered_and_walked_through_by_keyboard(
    browser: Browser, start_daemon: StartDaemon, start_backend: StartBackend
) -> None:
    backend = await start_backend("one")
    names = [f"service-{number:03}" for number in range(500)]
    calm = "healthCheck: {mode: tcp, interval: 1m}"
    services = [shop(backend, None, name=name).replace(f"healthCheck: {FAST_CHECKS}", calm) for name in names]
    daemon = await start_daemon(file(*services))
    await daemon.until("service-499", active="blue")
    async with console(browser, daemon.admin_url) as opened:
        page = opened.page
        await expect(page.locator(".row")).to_have_count(500)
        await page.keyboard.press("/")
        await page.keyboard.type("service-12")
        await expect(page.locator("#count")).to_have_text("10 of 500 services")
        await page.keyboard.press("Enter")
        await page.keyboard.press("j")
        await page.keyboard.press("Enter")
        await expect(page.locator("#detail h2")).to_have_text("service-121")
        await page.keyboard.press("k")
        await page.keyboard.press("Escape")
        await expect(page.locator("#detail")).to_be_hidden()
        await page.keyboard.press("4")
        await expect(page.locator('[data-view="attention"]')).to_have_attribute("aria-pressed", "true")
        assert opened.complaints == []


async def test_a_phone_shows_everything_without_scrolling_sideways(
    browser: Browser, start_daemon: StartDaemon, start_backend: StartBackend
) -> None:
    blue, green = await start_backend("one"), await start_backend("two")
    daemon = await start_daemon(file(shop(blue, None, more=GATES)))
    await daemon.until("shop", active="blue")
    daemon.write(file(shop(blue, green, more=GATES)))
    await daemon.until("shop", phase="approval")
    async with console(browser, daemon.admin_url, width=360, height=740) as opened:
        page = opened.page
        for place in ("", "#/shop"):
            await opened.open(f"{daemon.admin_url}/{place}")
            await expect(page.locator("#detail .timeline" if place else ".row")).to_be_visible()
            assert await page.evaluate("document.documentElement.scrollWidth") == 360


async def test_a_name_is_text_and_never_markup(
    browser: Browser, start_daemon: StartDaemon, start_backend: StartBackend
) -> None:
    """What a container is labelled with comes from whoever built it."""
    backend = await start_backend("one")
    evil = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    daemon = await start_daemon(file(shop(backend, None).replace("1.4.1", evil)))
    await daemon.until("shop", active="blue")
    async with console(browser, f"{daemon.admin_url}/#/shop") as opened:
        await expect(opened.page.locator("#detail .card.blue")).to_contain_text(evil)
        assert await opened.page.locator("img[src=x]").count() == 0
        assert opened.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_text_has_the_contrast_of_wcag_aa(
    browser: Browser, start_daemon: StartDaemon, start_backend: StartBackend, scheme: str
) -> None:
    """WCAG 2.2, 1.4.3: 4.5 to 1."""
    blue, green = await start_backend("one"), await start_backend("two")
    smoke = "    smokeTests: [{name: home, path: /, status: 418}]\n"
    moving, failing = shop(blue, None, more=GATES), shop(blue, None, name="search", more=smoke)
    daemon = await start_daemon(file(moving, failing))
    await daemon.until("search", active="blue")
    daemon.write(file(shop(blue, green, more=GATES), shop(blue, green, name="search", more=smoke)))
    await daemon.until("shop", phase="approval")
    await daemon.until_event("search", "gates-failed")
    async with console(browser, daemon.admin_url, scheme=scheme) as opened:
        page = opened.page
        for service in ("shop", "search"):
            await opened.open(f"{daemon.admin_url}/#/{service}")
            await expect(page.locator("#detail h2")).to_have_text(service)
            await expect(page.locator(".timeline")).to_be_visible()
            assert await page.evaluate(CONTRASTS) == []
        for hovered in await page.locator("button:not(:disabled):visible").all():
            await hovered.hover()
            assert await page.evaluate(CONTRASTS) == []
        await command(page, "pause").click()
        assert await page.evaluate(CONTRASTS) == []


async def test_a_change_without_a_decision_is_seen_at_once(
    browser: Browser, start_daemon: StartDaemon, start_backend: StartBackend
) -> None:
    """A server that fails shows before the list is asked for again."""
    backend = await start_backend("one")
    daemon = await start_daemon(file(shop(backend, None)))
    await daemon.until("shop", active="blue")
    async with console(browser, daemon.admin_url) as opened:
        page = opened.page
        await expect(page.locator(".row")).to_contain_text("healthy 1 of 1")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        await backend.stop()
        await expect(page.locator(".row")).to_contain_text("unhealthy 0 of 1")
        await eventually(lambda: any(url.endswith("/services/shop") for url in asked))


async def test_of_several_replicas_it_shows_who_leads_and_who_is_away(
    browser: Browser, start_daemon: StartDaemon, start_backend: StartBackend
) -> None:
    """Rule 59; a daemon alone has nothing of it."""
    blue = await start_backend("one")
    daemon = await start_daemon(file(shop(blue, None)))
    await daemon.until("shop", active="blue")

    async def with_replicas(route: Route) -> None:
        answer = await route.fetch()
        away = {**REPLICAS[2], "away": True, "behind": 1}
        polls = {**POLLERS[0], "replica": "node-2"}
        await route.fulfill(json={**await answer.json(), "replicas": [*REPLICAS[:2], away], "pollers": [polls]})

    async with console(browser, daemon.admin_url) as opened:
        page = opened.page
        await expect(page.locator('.row[data-service="shop"]')).to_be_visible()
        await expect(page.locator("#replicas")).to_be_hidden()
        await page.route("**/api/v1/services", with_replicas)
        await page.reload()
        await expect(page.locator("#replicas-summary")).to_have_text("! node-1 leads, 2 of 3 replicas current")
        await page.locator("#replicas-summary").click()
        rows = page.locator("#replicas-list tbody tr")
        await expect(rows.nth(0)).to_contain_text("leads")
        await expect(rows.nth(2)).to_contain_text("away")
        await expect(rows.nth(2)).to_contain_text("1, 1 behind")
        await page.locator("#pollers-summary").click()
        await expect(page.locator("#pollers-list")).to_contain_text("edge-1 at replica node-2")
        assert opened.complaints == []
