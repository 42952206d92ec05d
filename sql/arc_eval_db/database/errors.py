"""What a database's errors mean, by SQLSTATE and never by text. What to do with each class is in its docstring."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping

import asyncpg

from arc_eval_db.errors import ArcEvalError, FatalError, PoisonError, RetryableError


class DatabaseError(ArcEvalError):
    """The database reported an error."""

    sqlstate: str | None = None


class DatabaseUnavailableError(DatabaseError, RetryableError):
    """The database cannot be reached or refuses all writes. Wait and try the same again; the data is not to blame."""


class TransactionConflictError(DatabaseError, RetryableError):
    """A deadlock, a lock or statement time-out, or a statement made stale by a migration. Try the transaction again."""


class BatchTooLargeError(DatabaseError, RetryableError):
    """One transaction needed more locks, memory or time than the server gives it. Try again with fewer rows."""


class DuplicateRowError(DatabaseError, PoisonError):
    """A row with this key exists already."""


class RowRefusedError(DatabaseError, PoisonError):
    """A value of one of the rows cannot be stored. The other rows may be fine."""

    table: str | None = None
    """The table of the COPY that was refused, where the server says so."""
    line: int | None = None
    """Which of the COPY's rows the server was at, counted from 1: a suspect, and no more than that."""


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
    "2B": SchemaMismatchError,  # something of the user's own depends on what a migration replaces
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
    "57014": BatchTooLargeError,  # the statement time-out
    "58": DatabaseUnavailableError,
}


def error_for(sqlstate: str | None) -> type[DatabaseError]:
    """The error class for an SQLSTATE; what is not listed counts as an outage, which loses nothing."""
    for length in (5, 3, 2):
        if sqlstate is not None and (found := _ERRORS_BY_SQLSTATE.get(sqlstate[:length])):
            return found
    return DatabaseUnavailableError


# What asyncpg's encoders raise for a value that the column's type cannot hold. They carry no SQLSTATE.
_ENCODING_ERRORS = (OverflowError, TypeError, ValueError, UnicodeError, IndexError)

_LOST_CONNECTION_ERRORS = (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)

# An undefined table, column or function: mostly a release that is newer than the schema.
_NEXT_STEPS = dict.fromkeys(("42P01", "42703", "42883"), "; if the schema is older: arc-eval-db migrate up")

_QUOTED = re.compile(r'"[^"]*"')


@contextlib.contextmanager
def translated_errors(connection: asyncpg.Connection | None = None) -> Iterator[None]:
    """Raise this project's errors in place of asyncpg's, the original kept as the cause.

    A lost connection is looked at first: it surfaces as all kinds of exceptions.
    """
    try:
        yield
    except (asyncpg.PostgresError, *_LOST_CONNECTION_ERRORS, *_ENCODING_ERRORS) as error:
        raise _translated(error, is_closed=connection is not None and is_closed(connection)) from error
    except (RuntimeError, AttributeError) as error:
        # What uvloop, and asyncpg on asyncio's own loop, say where a COPY is to stop and the connection is gone.
        if connection is None or not is_closed(connection):
            raise
        raise _translated(error, is_closed=True) from error


def is_closed(connection: asyncpg.Connection) -> bool:
    """Whether a connection is gone. One of a pool goes back there when it is lost, and then says no more for itself."""
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:
        return True


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
    if isinstance(translated, RowRefusedError):
        translated.table, translated.line = copy_place(getattr(error, "context", None))
    return translated


# "COPY outcomes, line 5, column metadata". The words are translated, their order is not. What stands on the lines above
# was called from the COPY, and may quote a row.
_COPY_PLACE = re.compile(r"COPY (\w+)\b\D*(\d+)")


def copy_place(context: str | None) -> tuple[str | None, int | None]:
    """The table and the line that an error's context names; nothing of the context itself is kept: it quotes rows.

    >>> copy_place("COPY outcomes, line 5, column metadata")
    ('outcomes', 5)
    """
    found = _COPY_PLACE.match(context.rpartition("\n")[2]) if context else None
    return (found[1], int(found[2])) if found else (None, None)


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
        return f"{name} ({sqlstate}): {text}{_NEXT_STEPS.get(sqlstate or '', '')}"
    if isinstance(error, OSError) and error.strerror:
        return f"{name}: {error.strerror}"
    if isinstance(error, OSError | TimeoutError):
        return f"{name}: the connection failed"
    return f"{name}: {str(error).partition(chr(10))[0]}"
