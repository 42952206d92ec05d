"""What pages read the database through: few connections, short deadlines, and open also while the database is away."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Self, TypeVar

from arc_eval_db.dashboards.web.settings import DashboardSettings
from arc_eval_db.database import DatabaseSettings, Session, SessionPool

T = TypeVar("T")

_NAME = "arc-eval-db dashboard"
_WAIT_S = 5.0
# What a person has asked for may take longer than what a page shows by itself.
_CHANGE_TIMEOUT_S = 55.0


class WebDatabase:
    """Reads for pages. The rights of `arc_eval_reader` suffice. Use with `async with`."""

    def __init__(self, settings: DatabaseSettings, limits: DashboardSettings) -> None:
        self.settings = settings
        self._reading = settings.model_copy(
            update={
                # None is opened before it is needed: a server that starts while the database is away says so on pages.
                "database_pool_size_min": 0,
                "database_pool_size_max": limits.queries_max,
                "database_pool_acquire_timeout_s": _WAIT_S,
                "database_connect_timeout_s": min(_WAIT_S, settings.database_connect_timeout_s),
                "database_statement_timeout_ms": int(limits.query_timeout_s * 1000),
                # The server says it better than the client, so it goes first.
                "database_command_timeout_s": limits.query_timeout_s + 2,
            }
        )
        self._pool: SessionPool | None = None

    async def __aenter__(self) -> Self:
        self._pool = await SessionPool.open(self._reading, application_name=_NAME)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._pool is not None:
            await self._pool.close(timeout_s=_WAIT_S)

    async def read(self, load: Callable[[Session], Awaitable[T]]) -> T:
        """Run a read on a connection of the pool; at most `queries_max` run at once, and the others wait.

        Raises:
            RetryableError: the database is away, or too busy.
            FatalError: the login or the schema does not fit.
        """
        assert self._pool is not None, "the database is used with `async with`"
        async with self._pool.session() as session:
            return await load(session)

    @contextlib.asynccontextmanager
    async def change(self) -> AsyncIterator[Session]:
        """A connection of its own for what a person has asked for."""
        settings = self.settings.model_copy(
            update={
                "database_statement_timeout_ms": int(_CHANGE_TIMEOUT_S * 1000),
                "database_command_timeout_s": _CHANGE_TIMEOUT_S + 2,
            }
        )
        async with await Session.connect(settings, application_name=f"{_NAME} change") as session:
            yield session
