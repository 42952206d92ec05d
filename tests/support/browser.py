"""A real Chromium, driven over its own protocol by Playwright.

Playwright rather than Selenium: it needs no driver of the very version of the browser, waits for what it is told to act
on, and tells of every request, console line and exception of a page, which is what these tests are about. Its asyncio
API shares the tests' event loop.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from support.servers import missing

CHROMIUM_VARIABLE = "ARC_EVAL_TEST_CHROMIUM"
"""The browser's program, where it is not on the path."""

_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
TIMEOUT_MS = 15_000


def chromium_program() -> str:
    """Where Chromium is; skips where it is nowhere."""
    found = os.environ.get(CHROMIUM_VARIABLE) or next(filter(None, map(shutil.which, _NAMES)), None)
    if not found:
        missing("chromium", "there is no Chromium; apt-get install chromium, or name it in " + CHROMIUM_VARIABLE)
    assert found
    return found


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A browser."""
    program = chromium_program()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            await browser.close()


@dataclass(slots=True)
class Tab:
    """One page in a profile of its own, and everything that went wrong or away in it."""

    page: Page
    context: BrowserContext
    base_url: str
    requests: list[str] = field(default_factory=list)
    """Addresses that were asked for."""
    complaints: list[str] = field(default_factory=list)
    """Errors of scripts and of the browser itself, such as what the Content-Security-Policy forbade."""

    async def open(self, path: str) -> None:
        """Go to a page of the dashboard, and wait for its title."""
        await self.page.goto(self.base_url + path)
        await self.page.wait_for_selector("h1")
        # From here on it changes by itself, and hears keys and clicks.
        await self.page.wait_for_function("window.did_handshake === true")

    async def text(self, selector: str) -> str:
        """The text of the first element that matches, as it is seen."""
        return await self.page.locator(selector).first.inner_text()

    async def cells(self, caption: str, column: str) -> list[str]:
        """The texts of a column of the table with this caption."""
        table = self.page.locator("table.data").filter(has=self.page.locator("caption", has_text=caption)).first
        heads = [text.rstrip(" ↑↓") for text in await table.locator("thead th").all_inner_texts()]
        index = heads.index(column)
        return [text.strip() for text in await table.locator(f"tbody tr td:nth-child({index + 1})").all_inner_texts()]

    def foreign_requests(self) -> list[str]:
        """Requests that left the dashboard's host."""
        own = (self.base_url + "/", "data:", "blob:", self.base_url.replace("http", "ws", 1) + "/")
        return [url for url in self.requests if not url.startswith(own)]


@contextlib.asynccontextmanager
async def tab(browser: Browser, base_url: str, **options: Any) -> AsyncIterator[Tab]:
    """A page of a new profile.

    Args:
        options: of Playwright's `new_context`, such as `color_scheme`.
    """
    context = await browser.new_context(**options)
    context.set_default_timeout(TIMEOUT_MS)
    page = await context.new_page()
    opened = Tab(page, context, base_url)
    page.on("request", lambda request: opened.requests.append(request.url))
    page.on("websocket", lambda socket: opened.requests.append(socket.url))
    page.on("pageerror", lambda error: opened.complaints.append(str(error)))
    page.on("console", lambda line: opened.complaints.append(line.text) if line.type == "error" else None)
    try:
        yield opened
    finally:
        await context.close()
