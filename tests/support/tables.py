"""What the tables hold, as one value that changes with every row."""

from __future__ import annotations

from typing import Any

import pytest

from arc_eval_db.database import Session

EVENT_TABLES = ("outcomes", "tool_usage", "failures", "execution_events")
TABLES = (
    *EVENT_TABLES,
    "executions",
    "scenarios",
    "simulations",
    "configurations",
    "configuration_versions",
    "failure_patterns",
    "dead_letters",
)
# A pattern's example is the message that was met first, whichever that was.
_COLUMNS_OF_ITS_OWN = {"dead_letters": ("id", "dead_lettered_at", "consumer_group"), "failure_patterns": ("example",)}
_VIEWS = ("performance_daily", "error_rates", "tool_reliability")


async def contents(session: Session, tables: tuple[str, ...] = TABLES) -> dict[str, tuple[int, str]]:
    """Of each table how many rows it has, and a sum of their hashes; without what says only when it was written."""
    found = {}
    for table in tables:
        names = (*_COLUMNS_OF_ITS_OWN.get(table, ()), "created_at", "updated_at")
        left_out = "".join(f" - '{name}'" for name in names)
        (row,) = await session.fetch(
            "SELECT count(*) AS rows,"
            f" COALESCE(sum(hashtextextended((to_jsonb(each){left_out})::text, 0)), 0)::text AS sum"
            f" FROM {table} AS each"
        )
        found[table] = (row["rows"], row["sum"])
    return found


async def view_values(session: Session) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of views that are computed from them."""
    found = {}
    for view in _VIEWS:
        rows = [tuple(row.values()) for row in await session.fetch(f"SELECT * FROM {view}")]
        found[view] = sorted(rows, key=lambda row: str([value for value in row if not isinstance(value, float)]))
    return found


async def expected_views(session: Session) -> dict[str, list[tuple[Any, ...]]]:
    """The same, to compare later ones with: the last digits of a sum depend on its order."""
    found = await view_values(session)
    return {
        view: [
            tuple(pytest.approx(value, rel=1e-9) if isinstance(value, float) else value for value in row)
            for row in rows
        ]
        for view, rows in found.items()
    }


async def empty(session: Session) -> None:
    """Delete all rows that came from the log; offsets stay."""
    await session.execute(f"TRUNCATE {', '.join(TABLES)} CASCADE")
