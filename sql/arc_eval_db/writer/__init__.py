"""The one way rows get into the database: a batch of events becomes rows, each once."""

from __future__ import annotations

from arc_eval_db.writer.batch_writer import BatchReport, BatchWriter, RefusedEvent, RefusedRow, RowReport, WriteReport
from arc_eval_db.writer.dead_letters import DeadLetter, count_dead_letters, insert_dead_letters
from arc_eval_db.writer.known_parents import KnownParents
from arc_eval_db.writer.offsets import (
    Anchor,
    FencedError,
    GapReason,
    OffsetRange,
    OffsetStore,
    StoredPosition,
    TopicPartition,
)
from arc_eval_db.writer.repeated_ids import LatestIds, RepeatedIds
from arc_eval_db.writer.row_batch import Place, RowBatch
from arc_eval_db.writer.rows import TABLE_OF_TYPE, EventRow, LoggedEvent, event_row, plain_row

__all__ = [
    "TABLE_OF_TYPE",
    "Anchor",
    "BatchReport",
    "BatchWriter",
    "DeadLetter",
    "EventRow",
    "FencedError",
    "GapReason",
    "KnownParents",
    "LatestIds",
    "LoggedEvent",
    "OffsetRange",
    "OffsetStore",
    "Place",
    "RefusedEvent",
    "RefusedRow",
    "RepeatedIds",
    "RowBatch",
    "RowReport",
    "StoredPosition",
    "TopicPartition",
    "WriteReport",
    "count_dead_letters",
    "event_row",
    "insert_dead_letters",
    "plain_row",
]
