"""Everything that knows aiokafka on the reading side. Its types and exceptions do not leave this package."""

from __future__ import annotations

from arc_eval_db.consumers.kafka.admin import TopicsAdmin, TopicState
from arc_eval_db.consumers.kafka.errors import KafkaUnavailableError, MissingTopicsError, OffsetOutOfRangeError
from arc_eval_db.consumers.kafka.group_reader import CommittedOffset, GroupReader, GroupStanding
from arc_eval_db.consumers.kafka.log_reader import FirstRecord, LogBounds, LogReader
from arc_eval_db.consumers.kafka.log_writer import LogWriter
from arc_eval_db.consumers.kafka.source import GroupSource

__all__ = [
    "CommittedOffset",
    "FirstRecord",
    "GroupReader",
    "GroupSource",
    "GroupStanding",
    "KafkaUnavailableError",
    "LogBounds",
    "LogReader",
    "LogWriter",
    "MissingTopicsError",
    "OffsetOutOfRangeError",
    "TopicState",
    "TopicsAdmin",
]
