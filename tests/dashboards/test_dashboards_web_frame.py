"""What every page has: navigation, theme, keyboard, headers; in a real browser."""

from __future__ import annotations

import re

import httpx
import pytest

from arc_eval_db.dashboards.web.assets import read_asset
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


# What is wrong with a page for who does not see it, or sees it on a phone.
_FAULTS = """() => {
    const faults = [];
    const all = (selector) => [...document.querySelectorAll(selector)];
    if (all("main").length !== 1) faults.push(`${all("main").length} main landmarks`);
    if (all("h1").length !== 1) faults.push(`${all("h1").length} titles`);
    if (document.documentElement.lang !== "en-US") faults.push("no language");
    for (const field of all("input, select, textarea"))
        if (!field.labels?.length && !field.ariaLabel) faults.push(`no label: ${field.outerHTML}`);
    for (const one of all("button, a[href]"))
        if (!(one.ariaLabel || one.textContent.trim())) faults.push(`no name: ${one.outerHTML}`);
    for (const one of all("nav, section, [role=region]"))
        if (!one.ariaLabel) faults.push(`no name: ${one.outerHTML.slice(0, 80)}`);
    for (const head of all("table.data th")) if (head.scope !== "col") faults.push("a head without scope");
    const ids = all("[id]").map((one) => one.id);
    if (new Set(ids).size !== ids.length) faults.push("an id stands twice");
    const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
    if (wide > 0) faults.push(`${wide} pixels too wide`);
    return faults;
}"""


async def test_every_page_is_named_and_labelled_and_fits_a_phone(page: Tab) -> None:
    await page.page.set_viewport_size({"width": 390, "height": 800})
    await page.open("/")
    paths = await page.page.locator("nav[aria-label=Pages] a").evaluate_all("all => all.map((one) => one.pathname)")
    assert "/dead-letters" in paths
    for path in [*paths, "/dead-letters/1", "/dead-letters/none"]:
        await page.open(path)
        await page.page.wait_for_selector("section .stamp time, [role=alert], section .notice:visible")
        assert await page.page.evaluate(_FAULTS) == [], path


def _luminance(colour: str) -> float:
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_texts_stand_out_from_what_is_behind_them(theme: str) -> None:
    """WCAG 2.2, 1.4.3: 4.5 to 1."""
    sheet = read_asset("dashboard.css").decode()
    pairs = re.findall(r"--([a-z0-9-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);", sheet)
    colours = {name: light if theme == "light" else dark for name, light, dark in pairs}
    texts = ["ink", "ink-soft", "accent", "ok", "info", "warn", "critical"]
    wanted = [(text, ground) for text in texts for ground in ("panel", "ground")]
    wanted += [("ink", f"{tone}-ground") for tone in ("ok", "info", "warn", "critical", "unknown")]
    wanted += [("ink-soft", "unknown-ground"), ("accent-ink", "accent")]
    for text, ground in wanted:
        lighter, darker = sorted((_luminance(colours[text]), _luminance(colours[ground])), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, f"{text} on {ground}"
