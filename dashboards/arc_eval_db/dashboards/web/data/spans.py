"""Where in time rows are looked for: never in more than is needed."""

from __future__ import annotations

from datetime import datetime

from arc_eval_db.dashboards.web.data.selections import Selection
from arc_eval_db.database import Session
from arc_eval_db.sql import queries


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
    file = "dashboard_performance" if table == "outcomes" else "dashboard_errors"
    window = selection.window
    since = await session.fetch_value(queries(file)[f"{table}_latest"], window.since, window.until, count)
    return since, window.until
