"""The application: pages behind their gate, and the API beside them behind its own."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from fastapi import FastAPI
from nicegui import ui
from prometheus_client import CollectorRegistry
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import HTTPConnection
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from arc_eval_db.dashboards.monitoring import router as monitoring_router
from arc_eval_db.dashboards.web.api_part import is_for_api
from arc_eval_db.dashboards.web.assets import serve_asset
from arc_eval_db.dashboards.web.dashboard import Dashboard
from arc_eval_db.dashboards.web.frame import register_pages, theme, theme_of
from arc_eval_db.dashboards.web.gate import LOGIN_PATH, Gate
from arc_eval_db.dashboards.web.headers import SecureHeaders
from arc_eval_db.dashboards.web.login import LoginRoutes
from arc_eval_db.dashboards.web.sessions import Sessions

_FAVICON = Path(__file__).parent / "static" / "favicon.svg"
_GZIP_BYTES_MIN = 1000
# Files are compressed anew for each browser that has not kept them: 9 costs four times as much for 3 % less.
_GZIP_LEVEL = 4
_RECONNECT_S = 10.0


def create_dashboard(dashboard: Dashboard, sessions: Sessions, api: ASGIApp, registry: CollectorRegistry) -> ASGIApp:
    """The ASGI application. The framework's pages belong to the process: one application in each.

    Args:
        api: answers under /v1.
        registry: what /metrics shows.
    """
    import_module("arc_eval_db.dashboards.web.pages")
    register_pages(dashboard)
    login = LoginRoutes(dashboard.access, sessions)
    app = FastAPI(
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        routes=[
            Route(LOGIN_PATH, login.show, methods=["GET"]),
            Route(LOGIN_PATH, login.log_in, methods=["POST"]),
            Route("/logout", login.log_out, methods=["POST"]),
            Route("/static/{name}", serve_asset, methods=["GET"]),
        ],
    )
    app.include_router(monitoring_router(dashboard.monitor, [registry]))
    ui.run_with(
        app,
        title="arc-eval-db",
        favicon=_FAVICON,
        dark=None,
        language="en-US",
        reconnect_timeout=_RECONNECT_S,
        binding_refresh_interval=None,
        # Pages are whole before they are compressed: see `headers.py`.
        gzip_middleware_factory=None,
        tailwind=False,
        show_welcome_message=False,
    )
    gate = Gate(app, dashboard.settings.api(), dashboard.access, sessions)
    return GZipMiddleware(SecureHeaders(_Front(gate, api)), minimum_size=_GZIP_BYTES_MIN, compresslevel=_GZIP_LEVEL)


class _Front:
    """Sends each request where it belongs, and knows the visitor's theme."""

    def __init__(self, app: ASGIApp, api: ASGIApp) -> None:
        self.app, self._api = app, api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if is_for_api(scope):
            await self._api(scope, receive, send)
            return
        if scope["type"] == "http":
            theme.set(theme_of(HTTPConnection(scope).cookies))
        await self.app(scope, receive, send)
