"""The admin API within the test's process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx

from arc_eval_db.configurations.bounded import Bounded
from arc_eval_db.dashboards.api.app import create_app
from arc_eval_db.dashboards.api.database import ApiDatabase
from arc_eval_db.dashboards.api.openapi import operations
from arc_eval_db.dashboards.api.settings import ApiSettings
from arc_eval_db.dashboards.api.tokens import Scope, create_token
from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.retries import RetryPolicy

LOOPBACK = "http://localhost"
ANY = {"If-Match": "*"}
QUICK = RetryPolicy(attempts_max=3, deadline_s=10, backoff_s_min=0, backoff_s_max=0.05)


def small(settings: DatabaseSettings) -> DatabaseSettings:
    """Pools of few connections."""
    return settings.model_copy(update={"database_pool_size_min": 1, "database_pool_size_max": 8})


@contextlib.asynccontextmanager
async def serving(
    settings: DatabaseSettings,
    api_settings: ApiSettings | None = None,
    *,
    retries: RetryPolicy = QUICK,
    bounded: Bounded | None = None,
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application of its own, on loopback unless the settings say otherwise."""
    async with ApiDatabase(small(settings), retries=retries, bounded=bounded) as database:
        app = create_app(api_settings or ApiSettings(), database)
        transport = httpx.ASGITransport(app, raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url=LOOPBACK) as client:
            yield client


async def make_token(
    session: Session, scope: Scope = Scope.ADMIN, *, name: str = "ci", lifetime: timedelta | None = None
) -> str:
    """A token's text."""
    return (await create_token(session, name=name, scope=scope, by="ann", lifetime=lifetime))[1]


@contextlib.asynccontextmanager
async def serving_process(settings: DatabaseSettings) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """`arc-eval-db api serve` on any port of loopback, and its address; killed where the block has not ended it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "arc_eval_db.cli", "api", "serve", "--port", "0"),
        env={**os.environ, "ARC_EVAL_DATABASE_URL": settings.database_url.get_secret_value()},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stderr is not None
        line = (await asyncio.wait_for(process.stderr.readline(), 60)).decode()
        assert line.startswith("listening on http://127.0.0.1:"), line
        yield process, line.removeprefix("listening on ").strip()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


def bearer(token: str) -> dict[str, str]:
    """The header."""
    return {"Authorization": f"Bearer {token}"}


def answer(response: httpx.Response, status: int = 200) -> Any:
    """The JSON of an answer that has this status."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    return response.json()


def problem(response: httpx.Response, status: int, kind: str) -> Any:
    """The problem of an answer that is one, of this kind."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    found = response.json()
    assert (found["status"], found["type"]) == (status, f"urn:arc-eval-db:problem:{kind}"), found
    assert found["title"]
    assert found["detail"]
    return found


def addresses() -> list[tuple[str, str]]:
    """Method and address of every operation, and of what is not in the document."""
    nowhere = ApiDatabase(DatabaseSettings.load(database_url="postgresql://localhost/none"))
    values = {"{name}": "careful", "{label}": "production", "{selector}": "1", "{reference}": "careful@1"}
    found = [("GET", "/openapi.json"), ("GET", "/docs"), ("GET", "/"), ("POST", "/v1/nothing"), ("TRACE", "/v1/audit")]
    for method, path in operations(create_app(ApiSettings(), nowhere).openapi()):
        pieces = (values.get(piece, piece) for piece in path.split("/"))
        found.append((method, "/".join(pieces)))
    return found
