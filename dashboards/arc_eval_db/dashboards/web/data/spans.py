"""Where in time rows are looked for: never in more than is needed."""

from __future__ import annotations

from datetime import datetime, timedelta

from arc_eval_db.dashboards.web.data.selections import Selection
from arc_eval_db.database import Session
from arc_eval_db.sql import queries

WORK_MEMORY_MB = 32
"""With the default of 4 the planner sorts a day's 110,000 outcomes on disk instead of adding them up in a hash table:
555 ms against 293, on a busy machine."""
_RECENT = timedelta(days=2)


async def rows_span(session: Session, selection: Selection) -> tuple[datetime, datetime]:
    """The window, or the simulation's part of it: its rows are looked for in few chunks of a hypertable."""
    if selection.simulation_id is None:
        return selection.window.since, selection.window.until
    statement = queries("dashboard_performance")["simulation_span"]
    span = (await session.fetch(statement, selection.simulation_id))[0]
    until = span["until"]
    # What an execution said last may have come a little after the last end that is known.
    return selection.window.within(span["since"], None if until is None else until + selection.window.step.duration)


async def latest_span(session: Session, selection: Selection, table: str, count: int) -> tuple[datetime, datetime]:
    """The end of the window, from the beginning of the hour since when a table has so many rows.

    Args:
        table: "outcomes", "tool_usage" or "failures".
    """
    if selection.simulation_id is not None:
        return await rows_span(session, selection)
    statement = queries("dashboard_performance" if table == "outcomes" else "dashboard_errors")[f"{table}_latest"]
    window = selection.window
    # Mostly the last two days have enough; without TimescaleDB, to count the hours of a month takes seconds.
    since = await session.fetch_value(statement, max(window.since, window.until - _RECENT), window.until, count)
    if since is None and window.since < window.until - _RECENT:
        since = await session.fetch_value(statement, window.since, window.until, count)
    return since or window.since, window.until


async def prepare(session: Session) -> None:
    """Have this session's queries planned for what they ask, with memory for their sums.

    A plan for any range whatever knows neither which chunks are not needed nor how many rows there are: from the sixth
    look on a month took 12 s instead of 2.4. The connection's next user has the usual again.
    """
    await session.execute(f"SET plan_cache_mode = force_custom_plan; SET work_mem = '{WORK_MEMORY_MB}MB'")
