"""What goes wrong: how executions end that do not succeed, and what is recorded inside of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from arc_eval_db.dashboards.web.data.selections import Selection
from arc_eval_db.dashboards.web.data.spans import latest_span, rows_span
from arc_eval_db.database import Session
from arc_eval_db.sql import queries

KINDS_MAX = 100
PATTERNS_MAX = 50
LATEST_FAILURES = 20_000
"""Of these the patterns are counted: to count those of a month takes too long."""
_SAMPLE_MAX = 4 * LATEST_FAILURES


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """A kind of error, and how often it came."""

    status: str | None
    """How the execution ended; None for a failure inside of one."""
    kind: str | None
    """As the sandbox named it; None where it did not."""
    occurrences: int
    versions: int
    """Configuration versions in which it came."""


@dataclass(frozen=True, slots=True)
class Errors:
    """By kind, the most frequent first; at most `KINDS_MAX` of each."""

    outcomes: tuple[ErrorRow, ...]
    failures: tuple[ErrorRow, ...]


@dataclass(frozen=True, slots=True)
class PatternRow:
    """Failures that differ only in numbers, ids, paths and quoted values."""

    id: UUID
    kind: str
    signature: str
    example: str
    first_seen_at: datetime
    last_seen_at: datetime
    failures: int
    executions: int
    versions: int


@dataclass(frozen=True, slots=True)
class Patterns:
    """The most frequent patterns among the latest failures."""

    patterns: tuple[PatternRow, ...]
    since: datetime
    """From when the failures are."""


async def read_errors(session: Session, selection: Selection) -> Errors:
    """Errors of executions that ended in the window, and failures recorded in it. A scenario narrows nothing down."""
    statements, window = queries("dashboard_errors"), selection.window
    chosen = (selection.versions, selection.excluded, KINDS_MAX)
    if selection.simulation_id is not None:
        since, until = await rows_span(session, selection)
        simulation = (since, until, *chosen, selection.simulation_id)
        outcomes = await session.fetch(statements["errors_of_simulation"], *simulation)
        failures = await session.fetch(statements["failures_of_simulation"], *simulation)
    else:
        span = (window.since, window.until)
        outcomes = await session.fetch(statements[f"errors_{window.step}"], *span, *chosen)
        failures = await session.fetch(statements[f"failures_{window.step}"], *span, *chosen)
    return Errors(tuple(ErrorRow(**row) for row in outcomes), tuple(ErrorRow(**row) for row in failures))


async def read_patterns(session: Session, selection: Selection) -> Patterns:
    """The most frequent patterns among the latest failures of the window. A scenario narrows nothing down."""
    since, until = await latest_span(session, selection, "failures", LATEST_FAILURES)
    rows = await session.fetch(
        queries("dashboard_errors")["failure_patterns"],
        *(since, until, selection.versions, selection.excluded, _SAMPLE_MAX, selection.simulation_id, PATTERNS_MAX),
    )
    return Patterns(tuple(PatternRow(**row) for row in rows), since)
