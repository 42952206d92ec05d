"""The one way rows get into the database: a batch of events becomes rows, each once."""

from __future__ import annotations

from arc_eval_db.writer.batch_writer import BatchWriter, RefusedEvent, RefusedRow, RowReport, WriteReport
from arc_eval_db.writer.dead_letters import DeadLetter, count_dead_letters, insert_dead_letters
from arc_eval_db.writer.offsets import (
    Anchor,
    FencedError,
    GapReason,
    OffsetRange,
    OffsetStore,
    StoredPosition,
    TopicPartition,
)
from arc_eval_db.writer.rows import EventRow, LoggedEvent, event_row, row_of

__all__ = [
    "Anchor",
    "BatchWriter",
    "DeadLetter",
    "EventRow",
    "FencedError",
    "GapReason",
    "LoggedEvent",
    "OffsetRange",
    "OffsetStore",
    "RefusedEvent",
    "RefusedRow",
    "RowReport",
    "StoredPosition",
    "TopicPartition",
    "WriteReport",
    "count_dead_letters",
    "event_row",
    "insert_dead_letters",
    "row_of",
]
