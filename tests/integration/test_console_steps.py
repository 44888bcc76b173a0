"""A release in steps as an operator sees it, in a real Chromium and by the command line, on a real Traefik."""

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aiohttp
import pytest
from playwright.async_api import Browser, Locator, Page, expect

from tests.support.console import CONTRASTS, LIMIT_MS, chromium, console
from tests.support.daemon import FAST_CHECKS, Daemon, StartDaemon
from tests.support.traefik import FileTraefik, StartBackend, StartTraefik
from tests.support.waiting import eventually

expect.set_options(timeout=LIMIT_MS)
HOST = "shop.example.com"
ANALYSIS = "{every: 1s, warmup: 0s, minRequests: 20, errors: {worseThanActive: 0.99, max: 50%}}"
STEPS = "[{weight: 20, for: 1h}, {weight: 50, for: 1ms, approval: manual}, {weight: 70, for: 1h}]"


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as found:
        yield found


def file(traefik: FileTraefik, blue: str, green: str | None, steps: str = STEPS) -> str:
    colours = f"blue: {{urls: ['{blue}'], version: '1.4.1'}}"
    colours += f", green: {{urls: ['{green}'], version: '1.4.2'}}" if green else ""
    return (
        f"environment: production\ntraefik: {{api: ['{traefik.api}']}}\nservices:\n"
        f"  shop:\n    router: {{rule: 'Host(`{HOST}`)', entryPoints: [web]}}\n    watch: 10m\n    settle: 100ms\n"
        f"    healthCheck: {FAST_CHECKS}\n    deadlines: {{confirming: 5s}}\n"
        f"    servers: {{{colours}}}\n    canary: {{steps: {steps}}}\n    analysis: {ANALYSIS}\n"
    )


@asynccontextmanager
async def visited(traefik: FileTraefik) -> AsyncIterator[None]:
    """Send requests all the while, one after the other."""

    async def send() -> None:
        async with aiohttp.ClientSession(headers={"Host": HOST}) as session:
            while True:
                async with session.get(traefik.url("web")) as answer:
                    await answer.read()
                await asyncio.sleep(0.01)

    task = asyncio.create_task(send())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def bluegreen(daemon: Daemon, *arguments: str) -> tuple[int, str, str]:
    """Run the command line, beside the daemon."""
    environment = {**os.environ, "BLUEGREEN_ADMIN": daemon.admin_url, "LOGNAME": "ann"}
    command = (sys.executable, "-m", "provider", *arguments)
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE, env=environment)
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


def command(page: Page, verb: str) -> Locator:
    return page.locator(f'.actions [data-verb="{verb}"]')


async def confirm(page: Page, verb: str, words: str) -> None:
    """Press a command, read what it will do, and confirm it."""
    await command(page, verb).click()
    await expect(page.locator("dialog")).to_contain_text(words)
    await page.locator(f'[data-confirm="{verb}"]').click()
    await expect(page.locator("dialog")).to_have_count(0)


@pytest.mark.takes(30)
async def test_steps_are_seen_promoted_approved_and_taken_back(
    browser: Browser, start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend
) -> None:
    """Rules 19, 20 and 23d: each command is of the step that was shown, and ends as Traefik shows it."""
    blue, green = await start_backend("one"), await start_backend("two")
    daemon = await start_daemon("environment: production\nservices: {}\n")
    traefik = await start_traefik(daemon.endpoint)
    daemon.write(file(traefik, blue.url, None))
    await daemon.until("shop", active="blue", phase="steady", confirmed=True)
    daemon.write(file(traefik, blue.url, green.url))
    code, _, err = await bluegreen(daemon, "wait", "shop", "--until", "step:1", "--timeout", "30s")
    assert (code, err) == (0, "")
    async with visited(traefik), console(browser, f"{daemon.admin_url}/#/shop") as opened:
        page = opened.page
        detail, row = page.locator("#detail"), page.locator('.row[data-service="shop"]')
        await expect(row).to_contain_text("shifting 1/3")
        await expect(row.locator(".cell.green .chip")).to_contain_text("20 %")
        await expect(detail.locator(".steps .now")).to_have_text("20 %")
        await expect(detail.locator(".steps .ahead")).to_have_text(["50 %", "70 %", "100 %"])
        await expect(detail.locator(".canary .clock .countdown")).to_contain_text("59 min")
        await expect(detail.locator(".analysis .meter").first).to_have_attribute(
            "aria-label", "Requests of the candidate: 100 % of its limit"
        )
        await expect(detail.locator(".analysis tbody th")).to_have_text(["errors over-active", "errors max"])
        await expect(detail.locator(".chart polyline.green").first).to_have_attribute(
            "points", re.compile(r"^0\.0,.* 300\.0,")
        )
        for scheme in ("dark", "light"):
            await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            assert await page.evaluate(CONTRASTS) == []
        await page.set_viewport_size({"width": 360, "height": 700})
        assert await page.evaluate("document.documentElement.scrollWidth") == 360, "nothing is wider than the page"
        await page.set_viewport_size({"width": 1440, "height": 900})
        await confirm(page, "promote", "The time of step 1 of 3 ends now.")
        await expect(detail.locator(".steps .now")).to_have_text("50 %")
        await expect(command(page, "approve")).to_have_text("Approve step 2")
        await expect(page.locator('[data-view="approval"] b')).to_have_text("1")
        await confirm(page, "approve", "Step 2 of 3 of 1.4.2")
        await expect(detail.locator(".steps .done")).to_have_text(["✓ 20 %", "✓ 50 %"])
        code, out, err = await bluegreen(daemon, "promote", "shop", "--step", "2")
        assert (code, err) == (0, "")
        assert out.startswith("shop: nothing to do: step 2 is over; ")
        await expect(command(page, "rollback")).to_be_enabled()
        assert opened.complaints == []
        assert opened.elsewhere == []
        code, out, err = await bluegreen(daemon, "rollback", "shop", "--reason", "errors in the log")
        assert (code, out, err) == (0, "shop: rollout r1 is aborted\nshop: applied by 1 of 1 Traefiks\n", "")
        await expect(detail.locator(".steps")).to_have_count(0)
    approved = await daemon.history("shop", "approval-given")
    assert [one["detail"] for one in approved] == ["step 2"]


@pytest.mark.takes(25)
async def test_a_step_without_requests_is_told_of_passed_by_force_and_the_next_one_fails_with_its_reason(
    start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend
) -> None:
    """Rules 19c and 19d: what fails a step is said by who follows it, and stands in the history."""
    blue, green = await start_backend("one"), await start_backend("two")
    daemon = await start_daemon("environment: production\nservices: {}\n")
    traefik = await start_traefik(daemon.endpoint)
    steps = "[{weight: 20, for: 1ms}, {weight: 50, for: 1h}]"
    daemon.write(file(traefik, blue.url, None, steps))
    await daemon.until("shop", active="blue", phase="steady", confirmed=True)
    daemon.write(file(traefik, blue.url, green.url, steps))

    async def is_told() -> bool:
        return "too-few-requests" in [one["code"] for one in (await daemon.status("shop"))["conditions"]]

    await eventually(is_told)
    assert await daemon.metric("bluegreen_step", service="shop") == 1
    assert await daemon.metric("bluegreen_weight", service="shop", colour="green") == 20
    code, out, err = await bluegreen(daemon, "promote", "shop")
    assert (code, err) == (0, "")
    assert "20 more requests of the candidate (minRequests)" in out.splitlines()[-1]
    code, out, err = await bluegreen(daemon, "promote", "shop", "--force", "--reason", "it is night")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "shop: applied by 1 of 1 Traefiks"
    following = asyncio.create_task(bluegreen(daemon, "wait", "shop"))
    green.status = 500
    async with visited(traefik):
        code, out, err = await following
    assert code == 4
    (failed,) = await daemon.history("shop", "gates-failed")
    ended = f"rollout r1 of release {failed['release']} in green ended as aborted"
    assert err.startswith(f"bluegreen: shop: {ended}: gate analysis of shop: errors ")
    assert failed["evidence"]
    assert await daemon.metric("bluegreen_step", service="shop") == 0
    assert daemon.words().count("too-few-requests") == 2, "it is logged as it comes and as it goes"
