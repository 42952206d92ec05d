"""What comes out of the log."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from arc_eval_db.writer import TopicPartition


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
        """`timestamp_ms` as a time; a record without one (-1) counts as of 1970."""
        return datetime.fromtimestamp(max(self.timestamp_ms, 0) / 1000, UTC)
