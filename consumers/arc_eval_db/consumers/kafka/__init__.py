"""Everything that knows aiokafka on the reading side. Its types and exceptions do not leave this package."""

from __future__ import annotations

from arc_eval_db.consumers.kafka.admin import TopicsAdmin, TopicState
from arc_eval_db.consumers.kafka.errors import KafkaUnavailableError, MissingTopicsError, OffsetOutOfRangeError
from arc_eval_db.consumers.kafka.log_reader import LogBounds, LogReader
from arc_eval_db.consumers.kafka.log_writer import LogWriter
from arc_eval_db.consumers.kafka.source import GroupSource

__all__ = [
    "GroupSource",
    "KafkaUnavailableError",
    "LogBounds",
    "LogReader",
    "LogWriter",
    "MissingTopicsError",
    "OffsetOutOfRangeError",
    "TopicState",
    "TopicsAdmin",
]
