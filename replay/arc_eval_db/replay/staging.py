"""Rows that were made of the log, in temporary tables."""

from __future__ import annotations

from collections.abc import Sequence

from arc_eval_db.database import RowRefusedError, Session
from arc_eval_db.writer.rows import COLUMNS, Row


def staged(table: str) -> str:
    """The temporary table for the rows of a table of events."""
    return f"replayed_{table}"


async def stage_rows(session: Session, table: str, rows: Sequence[Row]) -> list[Row]:
    """COPY rows into their temporary table, which is emptied first; returns those that no column can hold.

    The table has the types of the columns and none of the constraints, which may be newer than the rows.

    Args:
        session: in a transaction, at the end of which the temporary table is empty again.
    """
    name = staged(table)
    columns = ", ".join(f"{column} {kind}" for column, kind in COLUMNS[table].items())
    await session.execute(f"CREATE TEMP TABLE IF NOT EXISTS {name} ({columns}) ON COMMIT DELETE ROWS")
    # A join that expects one row goes through the table again for each: 10 s for 10,000, and without this 10 ms.
    await session.execute(f"CREATE UNIQUE INDEX IF NOT EXISTS {name}_key ON {name} (event_id, time)")
    await session.execute(f"TRUNCATE {name}")
    refused = await _copy(session, table, rows)
    # Nobody else does it for temporary tables, and the planner would take 200 different events for all there are.
    await session.execute(f"ANALYZE {name} (event_id, time)")
    return refused


async def _copy(session: Session, table: str, rows: Sequence[Row]) -> list[Row]:
    if not rows:
        return []
    try:
        async with session.savepoint():
            await session.copy(staged(table), tuple(COLUMNS[table]), rows)
    except RowRefusedError:
        if len(rows) == 1:
            return list(rows)
        middle = len(rows) // 2
        return [*await _copy(session, table, rows[:middle]), *await _copy(session, table, rows[middle:])]
    return []
