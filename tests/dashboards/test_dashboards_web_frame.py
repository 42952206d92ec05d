"""What every page has: navigation, theme, keyboard, headers; in a real browser."""

from __future__ import annotations

import httpx
import pytest

from support.browser import Tab
from support.dashboards import ServedDashboard

pytestmark = [pytest.mark.kafka, pytest.mark.database]


async def test_the_first_page_shows_the_state_of_the_group_and_says_so_by_itself(page: Tab) -> None:
    await page.open("/")
    await page.page.wait_for_selector("[data-figure=state]:has-text('ok')")
    await page.page.wait_for_selector("[data-status=pipeline]:has-text('Pipeline: ok')")
    assert await page.text("[data-figure=messages]") == "0"
    assert len(await page.cells("Partitions", "partition")) == 6


async def test_pages_are_reached_by_keyboard_alone(page: Tab) -> None:
    await page.open("/")
    await page.page.keyboard.press("Tab")
    assert await page.page.evaluate("document.activeElement.textContent") == "Skip to the content"
    await page.page.keyboard.press("g")
    await page.page.keyboard.press("h")
    await page.page.wait_for_url("**/health")
    await page.page.wait_for_function("window.did_handshake === true")
    await page.page.keyboard.press("?")
    await page.page.wait_for_selector("#keyboard-help[open]")
    await page.page.keyboard.press("Escape")
    await page.page.wait_for_selector("#keyboard-help[open]", state="detached")


async def test_the_theme_is_the_systems_until_another_is_chosen_and_then_kept(page: Tab) -> None:
    await page.page.emulate_media(color_scheme="dark")
    await page.open("/")
    await page.page.wait_for_selector("body.body--dark")
    await page.page.keyboard.press("t")
    await page.page.wait_for_selector("body.body--light")
    await page.open("/health")
    assert await page.page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "light"
    await page.page.wait_for_selector("body.body--light")
    assert await page.text("[data-theme-switch]") == "Theme: light"


async def test_every_answer_tells_the_browser_what_to_refuse(dashboard: ServedDashboard) -> None:
    async with httpx.AsyncClient(base_url=dashboard.url) as client:
        for path in ("/", "/login", "/healthz", "/nowhere", "/v1/configurations", "/static/dashboard.css"):
            headers = (await client.get(path, headers={"Accept": "text/html"})).headers
            assert headers["x-content-type-options"] == "nosniff", path
            assert "frame-ancestors 'none'" in headers["content-security-policy"], path
            assert "script-src 'self' 'unsafe-inline'" not in headers["content-security-policy"], path
