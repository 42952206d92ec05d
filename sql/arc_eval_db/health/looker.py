"""The one connection of a look, and the deadlines on it."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from arc_eval_db.database import DatabaseError, DatabaseSettings, Session
from arc_eval_db.errors import ArcEvalError, RetryableError
from arc_eval_db.health.check import Check, Context, Rows
from arc_eval_db.health.settings import HealthSettings

_ANSWER_S = 1.0
"""How much longer than its statement a check may take: for the server's answer that it took too long."""


class CheckTimeoutError(RetryableError):
    """A check was given up because its time was over."""


class NoTimeLeftError(CheckTimeoutError):
    """A check was not begun: those before it have taken all the time."""


class Looker:
    """Looks through a connection of its own, which a failed check may cost: the next one opens another.

    Never through the client's pool: that it is exhausted is one of the things to be seen.
    """

    def __init__(self, database: DatabaseSettings, settings: HealthSettings) -> None:
        self._settings = settings
        timeout_s = settings.check_timeout_s
        self._database = database.model_copy(
            update={
                "database_statement_timeout_ms": max(1, int(timeout_s * 1000)),
                "database_lock_timeout_ms": max(1, int(timeout_s * 1000)),
                "database_command_timeout_s": timeout_s + _ANSWER_S,
                "database_connect_timeout_s": min(database.database_connect_timeout_s, timeout_s),
            }
        )
        self._until = asyncio.get_running_loop().time() + settings.timeout_s
        self._session: Session | None = None
        self._away: ArcEvalError | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        if self._session is None:
            return
        if error is None:
            await self._session.close()
        else:
            self._session.terminate()

    async def look(self, check: Check, context: Context) -> Rows:
        """What a check sees.

        Raises:
            ArcEvalError: it sees nothing. Once no connection can be had, every look says so at once.
        """
        left_s = self._until - asyncio.get_running_loop().time()
        if left_s <= 0:
            raise NoTimeLeftError(f"no time was left, of {self._settings.timeout_s:g} s for all checks")
        session = await self._connected(left_s)
        try:
            async with asyncio.timeout(min(left_s, self._settings.check_timeout_s + _ANSWER_S)):
                return await check.see(session, context)
        except TimeoutError as error:
            session.terminate()
            raise CheckTimeoutError(f"no answer within {self._settings.check_timeout_s:g} s") from error
        finally:
            if session.is_closed:
                self._session = None

    async def _connected(self, left_s: float) -> Session:
        if self._away is not None:
            raise self._away
        if self._session is None:
            try:
                async with asyncio.timeout(min(left_s, self._settings.check_timeout_s)):
                    self._session = await Session.connect(self._database, application_name="arc-eval-db health")
            except TimeoutError:
                self._away = CheckTimeoutError(f"no connection within {self._settings.check_timeout_s:g} s")
                raise self._away from None
            except DatabaseError as error:
                self._away = error
                raise
        return self._session
