"""The admin API beside the pages, with its own tokens and checks, from when its database can be used."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Self

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from arc_eval_db.dashboards.api.app import create_app
from arc_eval_db.dashboards.api.database import ApiDatabase
from arc_eval_db.dashboards.api.failures import unavailable
from arc_eval_db.dashboards.api.settings import ApiSettings
from arc_eval_db.database import DatabaseSettings
from arc_eval_db.errors import ArcEvalError
from arc_eval_db.retries import Backoff

log: structlog.stdlib.BoundLogger = structlog.get_logger("arc_eval_db.dashboards.web")

API_PREFIX = "/v1/"
API_PATHS = frozenset({"/v1", "/openapi.json"})

_BACKOFF_S_MIN = 0.5
_BACKOFF_S_MAX = 10.0


class ApiPart:
    """An ASGI application. Use with `async with`: the pages are served whether the API can be or not.

    It needs the rights of `arc_eval_admin`, which the pages do not.
    """

    def __init__(self, settings: ApiSettings, database: DatabaseSettings) -> None:
        self._database = ApiDatabase(database)
        self._app: ASGIApp = create_app(settings, self._database)
        self._is_open = False
        self._opening: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._opening = asyncio.create_task(self._open(), name="open the API")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._opening is not None:
            self._opening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._opening
        await self._database.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._is_open:
            await self._app(scope, receive, send)
            return
        problem = unavailable("the API is not open; the server's log says why", int(_BACKOFF_S_MAX))
        await problem.response()(scope, receive, send)

    async def _open(self) -> None:
        backoff = Backoff(_BACKOFF_S_MIN, _BACKOFF_S_MAX, share_min=1.0)
        while not self._is_open:
            try:
                await self._database.open()
                self._is_open = True
            except ArcEvalError as error:
                log.warning("dashboard_api_not_open", cause=type(error).__name__, error=str(error))
                await asyncio.sleep(backoff.next())


def is_for_api(scope: Scope) -> bool:
    """Whether a request is for the API, which checks it by itself."""
    return scope["type"] == "http" and (scope["path"] in API_PATHS or scope["path"].startswith(API_PREFIX))
