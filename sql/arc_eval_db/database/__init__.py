"""The only package that knows asyncpg: connections, transactions, COPY, and what their errors mean."""

from __future__ import annotations

from arc_eval_db.database.errors import (
    BatchTooLargeError,
    DatabaseError,
    DatabaseUnavailableError,
    DuplicateRowError,
    RowRefusedError,
    SchemaMismatchError,
    TransactionConflictError,
    error_for,
)
from arc_eval_db.database.session import Session
from arc_eval_db.database.settings import DatabaseSettings, settings_error

__all__ = [
    "BatchTooLargeError",
    "DatabaseError",
    "DatabaseSettings",
    "DatabaseUnavailableError",
    "DuplicateRowError",
    "RowRefusedError",
    "SchemaMismatchError",
    "Session",
    "TransactionConflictError",
    "error_for",
    "settings_error",
]
