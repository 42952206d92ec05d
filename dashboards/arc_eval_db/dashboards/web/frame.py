"""What is around every page: header, navigation, theme; and how pages are declared.

@page("/health", "Health", key="h")
async def health(view: View) -> None:
    view.panel("Checks", health_source(view.dashboard.monitor), build)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass

from nicegui import Client, ui
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from arc_eval_db.dashboards.web.assets import asset_url
from arc_eval_db.dashboards.web.dashboard import Dashboard
from arc_eval_db.dashboards.web.elements import tag
from arc_eval_db.dashboards.web.status import status_chips
from arc_eval_db.dashboards.web.view import View

THEME_COOKIE = "arc_eval_theme"
_THEMES = {"dark": True, "light": False}

theme: ContextVar[bool | None] = ContextVar("theme", default=None)
"""Whether the page that is asked for is to be dark; None: as the browser's system is."""

# The first looks of a page are waited for a moment, so that most pages are whole at once.
_READY_S = 0.5
_RESPONSE_TIMEOUT_S = 15.0
_TOO_MANY = "too many pages are open; close some, or raise ARC_EVAL_DASHBOARD_PAGES_MAX\n"

PageFunction = Callable[[View], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class PageSpec:
    """One page."""

    path: str
    title: str
    build: PageFunction
    key: str | None
    """The letter that goes there after g; None: it is not in the navigation."""
    order: int
    under: str | None
    """The path of the page in the navigation that this one belongs to."""


PAGES: dict[str, PageSpec] = {}
"""All pages, by path; a module of `pages/` adds its own when it is imported."""


def page(
    path: str, title: str, *, key: str | None = None, order: int = 100, under: str | None = None
) -> Callable[[PageFunction], PageFunction]:
    """Declare a page.

    Args:
        path: may hold parameters, such as `/executions/{execution_id}`; they are in `view.request.path_params`.
        key: with one it is in the navigation, and `g` and this letter go there.
        order: its place there.
    """

    def declare(build: PageFunction) -> PageFunction:
        PAGES[path] = PageSpec(path, title, build, key, order, under)
        return build

    return declare


class _Page(ui.page):
    """A page whose theme is the visitor's."""

    def resolve_dark(self) -> bool | None:
        return theme.get()


def theme_of(cookies: dict[str, str]) -> bool | None:
    """Whether the visitor has chosen dark (True) or light (False)."""
    return _THEMES.get(cookies.get(THEME_COOKIE, ""))


def register_pages(dashboard: Dashboard) -> None:
    """Let the framework serve all pages that are declared."""
    for spec in PAGES.values():
        _register(spec, dashboard)


def _register(spec: PageSpec, dashboard: Dashboard) -> None:
    async def build(request: Request, client: Client) -> Response | None:
        if len(Client.instances) > dashboard.settings.pages_max:
            client.delete()
            return PlainTextResponse(_TOO_MANY, 503, {"Retry-After": "60"})
        view = View(dashboard, client, request)
        _head(theme_of(request.cookies))
        _frame(spec, view)
        await spec.build(view)
        await view.ready(_READY_S)
        return None

    title = f"{spec.title} · arc-eval-db"
    _Page(spec.path, title=title, response_timeout=_RESPONSE_TIMEOUT_S, language="en-US")(build)


def _head(is_dark: bool | None) -> None:
    ui.add_head_html(
        f'<link rel="stylesheet" href="{asset_url("dashboard.css")}">'
        f'<script defer src="{asset_url("shell.js")}"></script>'
    )
    if is_dark is not None:
        # Before any script runs: no flash of the other theme.
        ui.add_head_html(f"<style>:root {{ color-scheme: {'dark' if is_dark else 'light'} }}</style>")


def _frame(spec: PageSpec, view: View) -> None:
    with ui.header(fixed=False, wrap=False, add_scroll_padding=False):
        tag("a", "arc-eval-db", "brand", href="/", aria_label="arc-eval-db, first page")
        with tag("nav", classes="nav", aria_label="Pages"):
            for each in sorted(PAGES.values(), key=lambda one: one.order):
                if each.key is not None:
                    current = {"aria_current": "page"} if each.path in (spec.path, spec.under) else {}
                    tag("a", each.title, href=each.path, data_key=each.key, **current)
        with tag("div", classes="tools"):
            status_chips(view)
            tag("button", "Theme", "small", type="button", data_theme_switch="")
            tag("button", "?", "small", type="button", data_keyboard_help="", aria_label="Keyboard help")
            if view.login is not None:
                tag("span", view.actor.by, "who")
                with tag("form", method="post", action="/logout"):
                    tag("button", "Log out", "small", type="submit")
    # After the header, which would put itself before it.
    ui.skip_link("Skip to the content", target=view.client.content)
