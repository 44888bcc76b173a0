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
CONTRASTS = """\
() => {
  const luminance = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const parts = (text) => text.match(/[\\d.]+/g).map(Number);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const found = parts(getComputedStyle(at).backgroundColor);
      if (found.length === 3 || found[3] > 0) return found;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const element of document.querySelectorAll("body *")) {
    const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!hasText || !element.checkVisibility() || element.closest("noscript, :disabled")) continue;
    const [a, b] = [luminance(parts(getComputedStyle(element).color)), luminance(ground(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) poor.push(`${element.className || element.tagName} ${element.textContent.trim().slice(0, 30)}: ${ratio.toFixed(2)}`);
  }
  return poor;
}"""  # noqa: E501
"""A function that returns each text whose contrast is below that of WCAG 2.2, 1.4.3: 4.5 to 1."""


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
