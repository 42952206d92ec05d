"""Dead letters for tests, set aside as live consumption does it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from arc_eval_db.consumers.handler import ExecutionEventHandler
from arc_eval_db.consumers.records import LogRecord
from arc_eval_db.database import Session
from arc_eval_db.schemas.refusals import RefusalReason
from arc_eval_db.schemas.topics import TopicNames
from arc_eval_db.writer import BatchWriter, DeadLetter, insert_dead_letters

LONG_AGO = datetime(2020, 1, 2, tzinfo=UTC)
"""As the present, a moment at which no event of today can be."""


async def set_aside(session: Session, records: Sequence[LogRecord], *, now: datetime | None = None) -> list[int]:
    """Consume records; those that are refused are dead letters, whose ids are returned."""
    async with session.transaction():
        batch = ExecutionEventHandler(TopicNames()).handle(records, now)
        report = await BatchWriter().write_batch(session, batch.rows)
        before = await session.fetch_value("SELECT COALESCE(max(id), 0) FROM dead_letters")
        await insert_dead_letters(
            session, batch.dead_letters + batch.refused(report.refused), group="g", version="0.0.1"
        )
        return [
            row["id"] for row in await session.fetch("SELECT id FROM dead_letters WHERE id > $1 ORDER BY id", before)
        ]


async def set_aside_as(session: Session, reason: RefusalReason, records: Sequence[LogRecord]) -> None:
    """What another release refused, for this reason."""
    letters = [
        DeadLetter(
            *(record.topic_partition, record.offset, record.timestamp, reason, "EventRefusedError", "said by another"),
            *(record.key, record.value, record.headers),
        )
        for record in records
    ]
    async with session.transaction():
        await insert_dead_letters(session, letters, group="g", version="0.0.1")


async def marks(session: Session, *columns: str) -> list[tuple[Any, ...]]:
    """These columns of all letters, in the order of their offsets."""
    rows = await session.fetch(f"SELECT {', '.join(columns)} FROM dead_letters ORDER BY log_offset, id")
    return [tuple(row.values()) for row in rows]
