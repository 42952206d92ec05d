"""The one way rows get into the database: a batch of events becomes rows, each once."""

from __future__ import annotations

from arc_eval_db.writer.batch_writer import BatchWriter, RefusedEvent, WriteReport
from arc_eval_db.writer.dead_letters import DeadLetter, insert_dead_letters
from arc_eval_db.writer.offsets import FencedError, OffsetRange, OffsetStore, TopicPartition
from arc_eval_db.writer.rows import LoggedEvent

__all__ = [
    "BatchWriter",
    "DeadLetter",
    "FencedError",
    "LoggedEvent",
    "OffsetRange",
    "OffsetStore",
    "RefusedEvent",
    "TopicPartition",
    "WriteReport",
    "insert_dead_letters",
]
