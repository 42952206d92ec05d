"""What comes out of the log."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from arc_eval_db.writer import TopicPartition

_TIMESTAMP_MS_MAX = 253_402_214_400_000
"""The last day of the year 9999."""


class LogRecord(NamedTuple):
    """One Kafka record, undecoded."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    """When it was produced, or appended, as the topic is set."""
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]

    @property
    def topic_partition(self) -> TopicPartition:
        """The partition it came from."""
        return TopicPartition(self.topic, self.partition)

    @property
    def timestamp(self) -> datetime:
        """`timestamp_ms` as a time; what is no time that can be expressed is the nearest that can."""
        return datetime.fromtimestamp(min(max(self.timestamp_ms, 0), _TIMESTAMP_MS_MAX) / 1000, UTC)
