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
from arc_eval_db.database.pool import PoolClosedError, PoolStatistics, SessionPool
from arc_eval_db.database.session import Session
from arc_eval_db.database.settings import DatabaseSettings, settings_error

__all__ = [
    "BatchTooLargeError",
    "DatabaseError",
    "DatabaseSettings",
    "DatabaseUnavailableError",
    "DuplicateRowError",
    "PoolClosedError",
    "PoolStatistics",
    "RowRefusedError",
    "SchemaMismatchError",
    "Session",
    "SessionPool",
    "TransactionConflictError",
    "error_for",
    "settings_error",
]
