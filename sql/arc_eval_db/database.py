"""The only module that knows asyncpg: connections, transactions, COPY, and what their errors mean.

Errors are told apart by SQLSTATE, never by text. What the caller does with each class is said in its docstring.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

import asyncpg
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from arc_eval_db.errors import ArcEvalError, FatalError, PoisonError, RetryableError, SettingsError
from arc_eval_db.settings import ENVIRONMENT_PREFIX

_CLOSE_TIMEOUT_S = 5.0


class DatabaseError(ArcEvalError):
    """The database reported an error."""

    sqlstate: str | None = None


class DatabaseUnavailableError(DatabaseError, RetryableError):
    """The database cannot be reached or refuses all writes. Wait and try the same again; the data is not to blame."""


class TransactionConflictError(DatabaseError, RetryableError):
    """A deadlock, a lock or statement time-out, or a statement made stale by a migration. Try the transaction again."""


class BatchTooLargeError(DatabaseError, RetryableError):
    """One transaction touched more than the server has locks or memory for. Try again with fewer rows."""


class DuplicateRowError(DatabaseError, PoisonError):
    """A row with this key exists already."""


class RowRefusedError(DatabaseError, PoisonError):
    """A value of one of the rows cannot be stored. The other rows may be fine."""


class SchemaMismatchError(DatabaseError, FatalError):
    """A table, column or right is missing; the data is fine. Run `arc-eval-db migrate up`, or mend the role."""


# https://www.postgresql.org/docs/current/errcodes-appendix.html. The longest prefix of a code decides.
_ERRORS_BY_SQLSTATE: Mapping[str, type[DatabaseError]] = {
    "08": DatabaseUnavailableError,
    "22": RowRefusedError,
    "23": RowRefusedError,
    "23505": DuplicateRowError,
    # Every column that must not be null comes from a field that an event must have: the schema is to blame.
    "23502": SchemaMismatchError,
    # A parent row is always written first; without it the schema or a person's deletion is to blame, not the event.
    "23503": TransactionConflictError,
    "25006": DatabaseUnavailableError,  # read-only: a standby, or a disk being rescued
    "25P03": DatabaseUnavailableError,  # idle-in-transaction time-out: the connection is gone
    "28": SchemaMismatchError,
    "3D": SchemaMismatchError,
    "3F": SchemaMismatchError,
    "40": TransactionConflictError,
    "42": SchemaMismatchError,
    "53": DatabaseUnavailableError,
    "53200": BatchTooLargeError,
    "53400": BatchTooLargeError,
    "54000": RowRefusedError,  # an index entry too large
    "54001": RowRefusedError,  # JSON nested too deep
    "55P03": TransactionConflictError,
    "57": DatabaseUnavailableError,
    "57014": TransactionConflictError,
    "58": DatabaseUnavailableError,
}


def error_for(sqlstate: str | None) -> type[DatabaseError]:
    """The error class for an SQLSTATE; what is not listed counts as an outage, which loses nothing."""
    for length in (5, 3, 2):
        if sqlstate is not None and (found := _ERRORS_BY_SQLSTATE.get(sqlstate[:length])):
            return found
    return DatabaseUnavailableError


def settings_error(error: ValidationError, prefix: str) -> SettingsError:
    """pydantic's error as one line that names the environment variables; values are left out, as they may be secret."""
    problems = [
        f"{prefix}{'_'.join(str(part) for part in detail['loc'])}".upper() + f": {detail['msg']}"
        for detail in error.errors(include_input=False, include_url=False)
    ]
    return SettingsError("; ".join(problems))


class DatabaseSettings(BaseSettings):
    """How to reach the database; the variables are `ARC_EVAL_` plus the field's name in capitals."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX, frozen=True, extra="ignore", hide_input_in_errors=True
    )

    database_url: SecretStr
    """postgresql://user:password@host:port/database?sslmode=verify-full"""
    database_connect_timeout_s: float = Field(default=10, gt=0)
    database_command_timeout_s: float = Field(default=60, gt=0)
    """Deadline of one statement or COPY on the client's side. Without one asyncpg waits for ever when cancelling."""
    database_statement_timeout_ms: int = Field(default=55_000, ge=0)
    database_lock_timeout_ms: int = Field(default=5_000, ge=0)
    database_idle_in_transaction_timeout_ms: int = Field(default=10_000, ge=0)
    """How long a frozen consumer can hold the locks of its transaction against the one that takes over."""

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """Read the environment.

        Raises:
            SettingsError: a value is missing or wrong; the message names the variable.
        """
        try:
            return cls(**overrides)
        except ValidationError as error:
            if any(detail["loc"] == ("database_url",) and detail["type"] == "missing" for detail in error.errors()):
                raise SettingsError(
                    "ARC_EVAL_DATABASE_URL is not set; "
                    'for a local database: arc-eval-db local up, then eval "$(arc-eval-db local env)"'
                ) from None
            raise settings_error(error, ENVIRONMENT_PREFIX) from None

    def with_database(self, name: str) -> Self:
        """The same server, another database."""
        url = self.database_url.get_secret_value()
        head, _, query = url.partition("?")
        server = head.rpartition("/")[0]
        return self.model_copy(update={"database_url": SecretStr(f"{server}/{name}" + (f"?{query}" if query else ""))})


class Session:
    """One connection to the database. Used by one task at a time; never pooled, so that its owner can kill it."""

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
        try:
            with translated_errors():
                connection = await asyncpg.connect(
                    settings.database_url.get_secret_value(),
                    timeout=settings.database_connect_timeout_s,
                    command_timeout=settings.database_command_timeout_s,
                    server_settings={
                        "application_name": application_name,
                        "timezone": "UTC",
                        "statement_timeout": str(settings.database_statement_timeout_ms),
                        "lock_timeout": str(settings.database_lock_timeout_ms),
                        "idle_in_transaction_session_timeout": str(settings.database_idle_in_transaction_timeout_ms),
                    },
                )
        except RowRefusedError as error:
            # asyncpg checks the URL with the same kinds of exceptions as values; none was sent yet.
            raise SettingsError(
                "ARC_EVAL_DATABASE_URL: cannot be used; it must look like "
                "postgresql://user:password@host:port/database?sslmode=verify-full"
            ) from error.__cause__
        return cls(connection, settings.database_command_timeout_s)

    @property
    def is_closed(self) -> bool:
        """Whether the connection is gone, by whoever's doing."""
        return bool(self._connection.is_closed())

    def terminate(self) -> None:
        """Drop the connection at once, without asking the server."""
        self._connection.terminate()

    async def close(self) -> None:
        """Say good-bye to the server, or drop the connection when it does not answer."""
        try:
            await self._connection.close(timeout=_CLOSE_TIMEOUT_S)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            self._connection.terminate()

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
                self._connection.terminate()
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

    async def copy(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
        """Write rows with binary COPY and return how many.

        asyncpg 0.32 waits for ever in a COPY whose connection is lost while the socket is full, and its own time-out is
        not enforced there. So the COPY is a task of its own, which ends when the connection does or the time is over.
        """
        copy = asyncio.create_task(self._copy(table, columns, rows))

        def end(_: object) -> None:
            copy.cancel()

        self._connection.add_termination_listener(end)
        try:
            await asyncio.wait({copy}, timeout=self._command_timeout_s)
            if copy.done() and not copy.cancelled():
                with translated_errors(self._connection):
                    return copy.result()
            raise DatabaseUnavailableError(f"COPY into {table}: the connection was lost, or did not answer in time")
        finally:
            with contextlib.suppress(asyncpg.InterfaceError):  # already closed: no listener is left to remove
                self._connection.remove_termination_listener(end)
            if not copy.done():
                self._connection.terminate()
                copy.cancel()

    async def _copy(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
        tag = await self._connection.copy_records_to_table(table, records=rows, columns=columns)
        return int(tag.rpartition(" ")[2])

    async def _roll_back(self, transaction: Any) -> None:
        try:
            await transaction.rollback()
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            self._connection.terminate()


# What asyncpg's encoders raise for a value that the column's type cannot hold. They carry no SQLSTATE.
_ENCODING_ERRORS = (OverflowError, TypeError, ValueError, UnicodeError, IndexError)

_LOST_CONNECTION_ERRORS = (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)

_QUOTED = re.compile(r'"[^"]*"')


@contextlib.contextmanager
def translated_errors(connection: asyncpg.Connection | None = None) -> Iterator[None]:
    """Raise this project's errors in place of asyncpg's, the original kept as the cause.

    A lost connection is looked at first: it surfaces as all kinds of exceptions.
    """
    try:
        yield
    except (asyncpg.PostgresError, *_LOST_CONNECTION_ERRORS, *_ENCODING_ERRORS) as error:
        raise _translated(error, is_closed=connection is not None and connection.is_closed()) from error


def _translated(error: BaseException, *, is_closed: bool) -> DatabaseError:
    sqlstate: str | None = getattr(error, "sqlstate", None)
    if isinstance(error, asyncpg.InvalidCachedStatementError):
        kind: type[DatabaseError] = TransactionConflictError
    elif isinstance(error, asyncpg.PostgresError) and not is_closed:
        kind = error_for(sqlstate)
    elif isinstance(error, asyncpg.PostgresError):
        # The server's last words before it hung up, such as a refused password, say more than that it hung up.
        kind = error_for(sqlstate)
        kind = kind if issubclass(kind, FatalError | RetryableError) else DatabaseUnavailableError
    elif is_closed or isinstance(error, OSError | TimeoutError):
        kind = DatabaseUnavailableError
    elif isinstance(error, _ENCODING_ERRORS):
        kind = RowRefusedError
    else:
        kind = DatabaseUnavailableError
    translated = kind(_message(error, sqlstate))
    translated.sqlstate = sqlstate
    return translated


def _message(error: BaseException, sqlstate: str | None) -> str:
    """The error's class and first line. DETAIL and CONTEXT are left out: they quote the rows."""
    name = type(error).__name__
    if isinstance(error, _ENCODING_ERRORS) and not isinstance(error, OSError | TimeoutError):
        return f"{name}: a value does not fit its column"
    if isinstance(error, asyncpg.PostgresError):
        text = (error.args[0] if error.args else "").partition("\n")[0]
        if sqlstate is not None and sqlstate.startswith(("22", "23")):
            # Such messages quote the offending value: invalid input syntax for type uuid: "…".
            text = _QUOTED.sub("…", text)
        return f"{name} ({sqlstate}): {text}"
    if isinstance(error, OSError) and error.strerror:
        return f"{name}: {error.strerror}"
    if isinstance(error, OSError | TimeoutError):
        return f"{name}: the connection failed"
    return f"{name}: {str(error).partition(chr(10))[0]}"
