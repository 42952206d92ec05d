"""What comes out of the log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

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

    @property
    def size_bytes(self) -> int:
        """Of key, value and headers."""
        size = len(self.key or b"") + len(self.value or b"")
        for name, value in self.headers:
            size += len(name) + len(value or b"")
        return size


class NativeRecord(Protocol):
    """A record as the Kafka client hands it out."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


def log_record(partition: TopicPartition, native: NativeRecord | LogRecord) -> LogRecord:
    """A record of this partition as ours."""
    if isinstance(native, LogRecord):
        return native
    return LogRecord(*partition, native.offset, native.timestamp, native.key, native.value, tuple(native.headers))


class PartitionRecords:
    """Records of one partition, in the order of their offsets.

    Most records are looked at for their value and nothing else, so that only those that are asked for become a
    `LogRecord`.
    """

    def __init__(self, partition: TopicPartition, native: Sequence[NativeRecord | LogRecord]) -> None:
        """
        Args:
            native: one or more.
        """
        self.partition = partition
        self.offsets: list[int] = [record.offset for record in native]
        self.values: list[bytes | None] = [record.value for record in native]
        self._native = list(native)

    def extend(self, later: PartitionRecords) -> None:
        """Add records of the same partition that come after these."""
        self.offsets += later.offsets
        self.values += later.values
        self._native += later._native

    def __len__(self) -> int:
        return len(self._native)

    def record(self, index: int) -> LogRecord:
        """The record at an index, from the front or, if negative, from the back."""
        return log_record(self.partition, self._native[index])


def by_partition(records: Iterable[LogRecord]) -> Mapping[TopicPartition, PartitionRecords]:
    """Sort records by their partition."""
    sorted_: dict[TopicPartition, list[LogRecord]] = {}
    for record in records:
        sorted_.setdefault(record.topic_partition, []).append(record)
    return {partition: PartitionRecords(partition, found) for partition, found in sorted_.items()}
