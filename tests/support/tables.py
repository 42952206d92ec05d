"""What the tables hold, as one value that changes with every row."""

from __future__ import annotations

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


async def view_contents(session: Session) -> dict[str, list[str]]:
    """The rows of views that are computed from them; sums of floats depend on their order in the last digits."""
    found = {}
    for view in _VIEWS:
        rows = await session.fetch(f"SELECT * FROM {view}")
        found[view] = sorted(
            str([f"{value:.9g}" if isinstance(value, float) else value for value in row.values()]) for row in rows
        )
    return found


async def empty(session: Session) -> None:
    """Delete all rows that came from the log; offsets stay."""
    await session.execute(f"TRUNCATE {', '.join(TABLES)} CASCADE")
