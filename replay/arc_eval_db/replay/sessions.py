"""Connections for work that takes long: patient with statements, and made anew when they are lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Self, TypeVar

import structlog

from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.errors import RetryableError
from arc_eval_db.retries import RetryPolicy, retry

APPLICATION_NAME = "arc-eval-db replay"

PATIENCE = RetryPolicy(attempts_max=1_000, deadline_s=300.0, backoff_s_min=0.25, backoff_s_max=10.0)
"""Longer than a database takes to restart or to fail over; after that a job can be resumed."""

LAST_WORD = RetryPolicy(attempts_max=20, deadline_s=10.0, backoff_s_min=0.1, backoff_s_max=1.0)
"""Whoever interrupts a replay, or has waited for a database in vain, does not wait for long."""

Result = TypeVar("Result")

log: structlog.stdlib.BoundLogger = structlog.get_logger("arc_eval_db.replay")


def patient(settings: DatabaseSettings, seconds: float) -> DatabaseSettings:
    """The settings, but that a statement may take so long."""
    return settings.model_copy(
        update={"database_command_timeout_s": seconds, "database_statement_timeout_ms": int(seconds * 1000)}
    )


class RenewedSession:
    """A connection, and another when that one is lost. Used by one task at a time. Use with `async with`."""

    def __init__(self, settings: DatabaseSettings, patience: RetryPolicy = PATIENCE) -> None:
        self.patience = patience
        self._settings = settings
        self._session: Session | None = None
        self._on_connect: Callable[[Session], Awaitable[None]] | None = None

    async def __aenter__(self) -> Self:
        """
        Raises:
            DatabaseUnavailableError: there is no database; at the beginning it is not waited for.
        """
        await self.connected()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    def on_connect(self, call: Callable[[Session], Awaitable[None]]) -> None:
        """Have `call` called for every connection to come, before anything else is done with it."""
        self._on_connect = call

    async def connected(self) -> Session:
        """The connection."""
        if self._session is None or self._session.is_closed:
            self._session = await Session.connect(self._settings, application_name=APPLICATION_NAME)
            if self._on_connect is not None:
                await self._on_connect(self._session)
        return self._session

    async def run(
        self, operation: Callable[[Session], Awaitable[Result]], patience: RetryPolicy | None = None
    ) -> Result:
        """Call `operation` until it succeeds; it must do no harm when it is repeated.

        Args:
            patience: by default this session's.

        Raises:
            RetryableError: the database was away for too long.
        """

        async def attempt() -> Result:
            return await operation(await self.connected())

        def report(error: RetryableError, _number: int, pause_s: float) -> None:
            log.warning("attempt_failed", cause=type(error).__name__, error=str(error), retry_in_s=round(pause_s, 2))

        return await retry(attempt, patience or self.patience, on_retry=report)
