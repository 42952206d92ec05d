"""One execution: what it was, what it did, what became of its events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from arc_eval_db.dashboards.web.data.names import VersionName
from arc_eval_db.dashboards.web.data.timelines import Gaps, TimelineEvent, event_of, find_gaps
from arc_eval_db.database import Session
from arc_eval_db.schemas.limits import TIME_AHEAD_MAX, TIME_MIN
from arc_eval_db.schemas.topics import TOPIC_OF_TYPE, TopicNames
from arc_eval_db.sql import queries

EVENTS_MAX = 500
"""Of a timeline at once; the others come on further pages."""
SEQUENCES_MAX = 100_000
"""Numbers that are read to find what is missing."""
_ACCOUNTED = timedelta(days=3)
"""How far back the database accounts for each execution's events."""
_SLACK = timedelta(days=1)
"""Clocks differ, and what an execution's launcher adds may come before its start."""
_SILENT = timedelta(days=32)
"""Further after its start, nothing is looked for of an execution without an end: events are kept for 30 days."""

_NO_EVENT = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Accounting:
    """emitted = stored + dead_lettered + dropped + outstanding."""

    emitted: int
    stored: int
    dead_lettered: int
    dropped: int
    outstanding: int
    is_complete: bool


@dataclass(frozen=True, slots=True)
class ExecutionHead:
    """What an execution is."""

    id: UUID
    version: VersionName
    scenario_id: UUID
    scenario: str
    simulation_id: UUID | None
    simulation: str | None
    started_at: datetime | None
    ended_at: datetime | None
    attempt: int
    source: str | None
    metadata: str | None
    """JSON as text."""
    is_running: bool


@dataclass(frozen=True, slots=True)
class After:
    """Behind which event a page of the timeline begins."""

    time: datetime
    sequence: int
    event_id: UUID


@dataclass(frozen=True, slots=True)
class ExecutionStory:
    """An execution and its events."""

    head: ExecutionHead
    outcome: TimelineEvent | None
    """Its end, where there is one: the last, where it was recorded as ended twice."""
    events: tuple[TimelineEvent, ...]
    """In the order of time; at most `EVENTS_MAX`."""
    next: After | None
    """Behind this event there are more."""
    gaps: Gaps
    gaps_are_whole: bool
    """False: it has so many events that only its first were looked at."""
    accounting: Accounting | None
    """None: it ended more than three days ago, or does not number its events, or runs."""


async def read_execution(
    session: Session, execution_id: UUID, names: TopicNames, *, after: After | None = None
) -> ExecutionStory | None:
    """The execution and a page of its timeline; None where the database does not know it.

    What says it happened more than a day before its start or after its end is left out.

    Args:
        names: the topics that the events came by.
    """
    statements = queries("dashboard_executions")
    rows = await session.fetch(statements["execution"], execution_id)
    if not rows:
        return None
    head = _head(rows[0])
    since, until = _times(head)
    begin = after or After(TIME_MIN, -1, _NO_EVENT)
    found = await session.fetch(
        statements["timeline"],
        *(execution_id, since, until, EVENTS_MAX + 1, begin.time, begin.sequence, begin.event_id),
    )
    events = tuple(event_of(row, _topic(row["type"], names)) for row in found[:EVENTS_MAX])
    last = events[-1] if len(found) > EVENTS_MAX else None
    outcome = await _outcome(session, head, names)
    sequences = await session.fetch(statements["sequences"], execution_id, since, until, SEQUENCES_MAX + 1)
    is_whole = len(sequences) <= SEQUENCES_MAX
    return ExecutionStory(
        head=head,
        outcome=outcome,
        events=events,
        next=After(last.time, last.sequence, last.event_id) if last else None,
        gaps=find_gaps(
            (row["sequence"] for row in sequences[:SEQUENCES_MAX]),
            outcome.last_sequence if outcome is not None and is_whole else None,
        ),
        gaps_are_whole=is_whole,
        accounting=await _accounting(session, head),
    )


async def _outcome(session: Session, head: ExecutionHead, names: TopicNames) -> TimelineEvent | None:
    if head.ended_at is None:
        return None
    rows = await session.fetch(queries("dashboard_executions")["end"], head.id, head.ended_at)
    return event_of(rows[0], _topic(rows[0]["type"], names)) if rows else None


async def _accounting(session: Session, head: ExecutionHead) -> Accounting | None:
    began = head.started_at or head.ended_at
    if head.is_running or began is None or began < datetime.now(UTC) - _ACCOUNTED:
        return None
    rows = await session.fetch(queries("dashboard_executions")["accounting"], head.id)
    return Accounting(**rows[0]) if rows else None


def _head(row: Mapping[str, Any]) -> ExecutionHead:
    simulation_id = row["simulation_id"]
    unnamed = None if simulation_id is None else f"simulation {str(simulation_id)[:8]}"
    return ExecutionHead(
        id=row["id"],
        version=VersionName(row["configuration_version_id"], row["configuration"], row["number"]),
        scenario_id=row["scenario_id"],
        scenario=row["scenario"] or f"scenario {str(row['scenario_id'])[:8]}",
        simulation_id=simulation_id,
        simulation=row["simulation"] or unnamed,
        **{key: row[key] for key in ("started_at", "ended_at", "attempt", "source", "metadata", "is_running")},
    )


def _times(head: ExecutionHead) -> tuple[datetime, datetime]:
    latest = datetime.now(UTC) + TIME_AHEAD_MAX
    if head.ended_at is not None:
        since = head.started_at or head.ended_at - _SILENT
        return since - _SLACK, head.ended_at + _SLACK
    if head.started_at is None:
        return TIME_MIN, latest
    return head.started_at - _SLACK, min(latest, head.started_at + _SILENT)


def _topic(event_type: str, names: TopicNames) -> str | None:
    return names.of_type(event_type) if event_type in TOPIC_OF_TYPE else None
