"""Connections that are shared: lent for one use, taken back, and replaced when they break."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Self

import asyncpg

from arc_eval_db.database.connecting import connecting, connection_arguments
from arc_eval_db.database.errors import DatabaseUnavailableError
from arc_eval_db.database.session import Session
from arc_eval_db.database.settings import DatabaseSettings
from arc_eval_db.errors import ArcEvalError, FatalError

_RELEASE_TIMEOUT_S = 5.0


class PoolClosedError(FatalError):
    """The pool is closed: nothing can be asked of the database through it any more."""


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    """What a pool's connections are doing."""

    size: int
    """Connections that are open."""
    idle: int
    """Those of them that nobody uses."""
    in_use: int
    """Sessions that are lent at the moment."""
    size_max: int


class SessionPool:
    """Lends connections to one database, to many tasks of one event loop. Use with `async with`.

    A connection on which something went wrong that is not the data's fault is dropped, and opened anew when it is
    needed. The pool itself tries nothing again.
    """

    def __init__(self, settings: DatabaseSettings, pool: Any) -> None:
        self._settings = settings
        self._pool = pool
        self._in_use = 0
        self._is_closing = False

    @classmethod
    async def open(cls, settings: DatabaseSettings, *, application_name: str) -> Self:
        """Open the pool and `database_pool_size_min` connections.

        Raises:
            SettingsError, DatabaseUnavailableError, SchemaMismatchError: as `Session.connect` does.
        """
        with connecting():
            pool = await asyncpg.create_pool(
                min_size=min(settings.database_pool_size_min, settings.database_pool_size_max),
                max_size=settings.database_pool_size_max,
                **connection_arguments(settings, application_name=application_name),
            )
        return cls(settings, pool)

    @property
    def settings(self) -> DatabaseSettings:
        """What the pool was opened with."""
        return self._settings

    @property
    def statistics(self) -> PoolStatistics:
        """How many connections there are, and how many are in use."""
        return PoolStatistics(
            self._pool.get_size(), self._pool.get_idle_size(), self._in_use, self._pool.get_max_size()
        )

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """Lend a connection for the block.

        It is dropped when the block ends with an error that may have left a statement running: a lost connection, a
        time-out, a cancellation, anything that is not ours.

        Raises:
            DatabaseUnavailableError: no connection within `database_pool_acquire_timeout_s`.
            PoolClosedError: the pool is closed or about to be.
        """
        connection = await self._acquire()
        session = Session(connection, self._settings.database_command_timeout_s)
        self._in_use += 1
        try:
            yield session
        except BaseException as error:
            if not isinstance(error, ArcEvalError) or isinstance(error, DatabaseUnavailableError):
                session.terminate()
            raise
        finally:
            self._in_use -= 1
            await self._release(connection)

    async def close(self, timeout_s: float = 10.0) -> None:
        """Wait for the sessions in use, then close all connections; when the time is over, drop them.

        Whoever still uses a session then gets `DatabaseUnavailableError` from it.
        """
        self._is_closing = True
        try:
            # asyncpg drops every connection by itself when it is interrupted here.
            await asyncio.wait_for(self._pool.close(), timeout_s)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            self._pool.terminate()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _acquire(self) -> Any:
        if self._is_closing:
            raise PoolClosedError
        timeout_s = self._settings.database_pool_acquire_timeout_s
        try:
            with connecting():
                return await self._pool.acquire(timeout=timeout_s)
        except DatabaseUnavailableError as error:
            if self._is_closing:
                raise PoolClosedError from error
            # With fewer connections than it may have, the pool was opening one, and the server is to blame.
            size_max = self._pool.get_max_size()
            if not isinstance(error.__cause__, TimeoutError) or self._pool.get_size() < size_max:
                raise
            raise DatabaseUnavailableError(
                f"the pool is exhausted: none of its {size_max} connections became free within {timeout_s:g} s; "
                "use fewer at once, or raise ARC_EVAL_DATABASE_POOL_SIZE_MAX "
                "or ARC_EVAL_DATABASE_POOL_ACQUIRE_TIMEOUT_S"
            ) from error

    async def _release(self, connection: Any) -> None:
        # A connection that cannot be made ready for the next user is dropped by asyncpg, which then reports why; by now
        # that is nobody's error: the work is done, or has failed with an error of its own.
        with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            await self._pool.release(connection, timeout=_RELEASE_TIMEOUT_S)
