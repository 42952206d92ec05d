"""One connection: statements, transactions, COPY."""

from __future__ import annotations

import asyncio
import contextlib
import operator
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, Self

import asyncpg

from arc_eval_db.database.connecting import connecting, connection_arguments
from arc_eval_db.database.errors import DatabaseUnavailableError, RowRefusedError, is_closed, translated_errors
from arc_eval_db.database.settings import DatabaseSettings
from arc_eval_db.errors import ArcEvalError, PoisonError

_CLOSE_TIMEOUT_S = 5.0


class Session:
    """One connection to the database, alone or lent by a `SessionPool`. Used by one task at a time."""

    def __init__(self, connection: asyncpg.Connection, command_timeout_s: float) -> None:
        self._connection = connection
        self._command_timeout_s = command_timeout_s

    @classmethod
    async def connect(cls, settings: DatabaseSettings, *, application_name: str) -> Self:
        """Open a connection.

        Raises:
            SettingsError: the URL cannot be used.
            DatabaseUnavailableError: the server cannot be reached; the message names neither user nor password.
            SchemaMismatchError: the server refuses the login, or the database does not exist.
        """
        with connecting():
            connection = await asyncpg.connect(**connection_arguments(settings, application_name=application_name))
        return cls(connection, settings.database_command_timeout_s)

    @property
    def is_closed(self) -> bool:
        """Whether the connection is gone, by whoever's doing."""
        return is_closed(self._connection)

    def terminate(self) -> None:
        """Drop the connection at once, without asking the server."""
        with contextlib.suppress(asyncpg.InterfaceError):  # lost before, and back in its pool
            self._connection.terminate()

    async def close(self) -> None:
        """Say good-bye to the server, or drop the connection when it does not answer."""
        try:
            await self._connection.close(timeout=_CLOSE_TIMEOUT_S)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            self.terminate()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def execute(self, statement: str, *arguments: Any) -> str:
        """Run a statement (or, without arguments, several) and return its command tag, such as "INSERT 0 5"."""
        with translated_errors(self._connection):
            return str(await self._connection.execute(statement, *arguments))

    async def fetch(self, statement: str, *arguments: Any) -> list[Mapping[str, Any]]:
        """Run a query and return all its rows."""
        with translated_errors(self._connection):
            rows: list[Mapping[str, Any]] = await self._connection.fetch(statement, *arguments)
            return rows

    async def fetch_value(self, statement: str, *arguments: Any) -> Any:
        """Run a query and return the first column of its first row; None when there is no row."""
        with translated_errors(self._connection):
            return await self._connection.fetchval(statement, *arguments)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """Commit at the end, roll back on an error.

        Where the database did not answer, or the error is not ours or a cancellation, the connection is dropped
        instead: asyncpg can hang, or replace the error by one of its own, while it rolls back on a dead connection.
        """
        with translated_errors(self._connection):
            transaction = self._connection.transaction()
            await transaction.start()
        try:
            yield
            with translated_errors(self._connection):
                await transaction.commit()
        except BaseException as error:
            if isinstance(error, ArcEvalError) and not isinstance(error, DatabaseUnavailableError):
                await self._roll_back(transaction)
            else:
                self.terminate()
            raise

    @contextlib.asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """Inside a transaction: undo only this part when the data is refused; other errors end the transaction."""
        with translated_errors(self._connection):
            savepoint = self._connection.transaction()
            await savepoint.start()
        try:
            yield
        except PoisonError:
            with translated_errors(self._connection):
                await savepoint.rollback()
            raise
        with translated_errors(self._connection):
            await savepoint.commit()

    async def copy(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> int:
        """Write rows with binary COPY and return how many.

        asyncpg 0.32 waits for ever in a COPY whose connection is lost while the socket is full, and its own time-out is
        not enforced there. So the COPY is a task of its own, which ends when the connection does or the time is over.
        """
        taken = iter(rows)
        copy = asyncio.create_task(self._copy(table, columns, taken))

        def end(_: object) -> None:
            copy.cancel()

        self._connection.add_termination_listener(end)
        try:
            await asyncio.wait({copy}, timeout=self._command_timeout_s)
            if copy.done() and not copy.cancelled():
                with translated_errors(self._connection):
                    return copy.result()
            raise DatabaseUnavailableError(f"COPY into {table}: the connection was lost, or did not answer in time")
        except RowRefusedError as error:
            if error.sqlstate is None:
                # Not the server but asyncpg could not take it: the row that it had reached.
                error.table, error.line = table, len(rows) - operator.length_hint(taken)
            raise
        finally:
            with contextlib.suppress(asyncpg.InterfaceError):  # already closed: no listener is left to remove
                self._connection.remove_termination_listener(end)
            if not copy.done():
                self.terminate()
                copy.cancel()

    async def _copy(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
        tag = await self._connection.copy_records_to_table(table, records=rows, columns=columns)
        return int(tag.rpartition(" ")[2])

    async def _roll_back(self, transaction: Any) -> None:
        try:
            await transaction.rollback()
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            self.terminate()
