"""The web console in a real Chromium."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.async_api import Browser, Page, async_playwright

from tests.support.components import program

FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
LIMIT_MS = 30_000


@dataclass
class Console:
    """A page of the console; `complaints` are errors it logged, `elsewhere` what it asked other hosts for."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)

    async def open(self, url: str) -> None:
        await self.page.goto(url)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Run Debian's Chromium, or another one on PATH; skip or fail where there is none."""
    path = shutil.which("chromium-browser") or program("chromium", "chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def console(
    browser: Browser, url: str, *, width: int = 1440, height: int = 900, scheme: str = "light"
) -> AsyncIterator[Console]:
    """Open the console as a browser with no history does."""
    context = await browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if scheme == "dark" else "light"
    )
    context.set_default_timeout(LIMIT_MS)
    page = await context.new_page()
    opened = Console(page)
    host = urlsplit(url).netloc
    page.on("console", lambda message: opened.complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: opened.complaints.append(str(error)))
    page.on("request", lambda asked: opened.elsewhere.append(asked.url) if urlsplit(asked.url).netloc != host else None)
    try:
        await opened.open(url)
        yield opened
    finally:
        await context.close()
