"""Which tools agents use, which of them fail, and how long they take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from arc_eval_db.dashboards.web.data.selections import Selection
from arc_eval_db.dashboards.web.data.spans import latest_span, rows_span
from arc_eval_db.database import Session
from arc_eval_db.sql import queries

TOOLS_MAX = 500
LATEST_CALLS = 20_000
"""Of these the percentiles are: the rollups do not hold what percentiles are made of."""
_SAMPLE_MAX = 4 * LATEST_CALLS


@dataclass(frozen=True, slots=True)
class Calls:
    """How often something was called, and how often that failed."""

    calls: int
    errors: int

    @property
    def error_rate(self) -> float | None:
        """None without calls."""
        return self.errors / self.calls if self.calls else None


@dataclass(frozen=True, slots=True)
class ToolRow:
    """A tool."""

    tool: str
    calls: int
    errors: int
    duration_ms: float | None
    """The mean."""
    duration_ms_max: float | None
    result_bytes: int | None
    p50_ms: float | None
    """Like the next of the latest calls of all tools; None where it is not among them."""
    p95_ms: float | None

    @property
    def error_rate(self) -> float:
        """Of its calls."""
        return self.errors / self.calls


@dataclass(frozen=True, slots=True)
class Tools:
    """Tools in the window, the most used first, and calls by configuration version."""

    tools: tuple[ToolRow, ...]
    """At most `TOOLS_MAX`."""
    tools_all: int
    total: Calls
    versions: Mapping[UUID, Calls]
    percentiles_since: datetime | None
    """From when the calls are whose percentiles are shown."""


async def read_tools(session: Session, selection: Selection, *, percentiles: bool = True) -> Tools:
    """Tools that were used in the window. A scenario narrows nothing down.

    Args:
        percentiles: read them too, which takes longer than all else.
    """
    statements, window = queries("dashboard_errors"), selection.window
    chosen = (selection.versions, selection.excluded)
    if selection.simulation_id is not None:
        since, until = await rows_span(session, selection)
        rows = await session.fetch(statements["tools_of_simulation"], since, until, *chosen, selection.simulation_id)
    else:
        rows = await session.fetch(statements[f"tools_{window.step}"], window.since, window.until, *chosen)
    tools = [row for row in rows if row["level"] == "tool"]
    total = next((row for row in rows if row["level"] == "total" and row["calls"]), None)
    durations, since_or_none = await _durations(session, selection) if tools and percentiles else ({}, None)
    return Tools(
        tools=tuple(
            ToolRow(
                **{key: row[key] for key in ("tool", "calls", "errors", "duration_ms", "duration_ms_max")},
                result_bytes=row["result_bytes"],
                p50_ms=durations.get(row["tool"], (None, None))[0],
                p95_ms=durations.get(row["tool"], (None, None))[1],
            )
            for row in tools[:TOOLS_MAX]
        ),
        tools_all=len(tools),
        total=Calls(total["calls"], total["errors"]) if total else Calls(0, 0),
        versions={
            row["configuration_version_id"]: Calls(row["calls"], row["errors"])
            for row in rows
            if row["level"] == "version"
        },
        percentiles_since=since_or_none,
    )


async def _durations(
    session: Session, selection: Selection
) -> tuple[dict[str, tuple[float | None, float | None]], datetime]:
    since, until = await latest_span(session, selection, "tool_usage", LATEST_CALLS)
    rows = await session.fetch(
        queries("dashboard_errors")["tool_durations"],
        *(since, until, selection.versions, selection.excluded, _SAMPLE_MAX, selection.simulation_id),
    )
    return {row["tool"]: (row["p50_ms"], row["p95_ms"]) for row in rows}, since
