"""How far a group is behind, from the offsets stored with the rows and the log's own bounds."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from arc_eval_db.consumers.kafka import FirstRecord, LogReader
from arc_eval_db.database import Session
from arc_eval_db.writer import OffsetRange, OffsetStore, TopicPartition


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """One partition of one group."""

    partition: TopicPartition
    next_offset: int | None
    """The offset to go on from; None where the group has never been."""
    log_start: int
    log_end: int

    @property
    def first_unread(self) -> int:
        """The first offset that the log holds and the group has not read."""
        return max(self.next_offset or 0, self.log_start)

    @property
    def lag_messages(self) -> int:
        """Offsets still to be read. Never negative: the log's end is asked for after the stored offset."""
        return max(0, self.log_end - self.first_unread)

    @property
    def lost_messages(self) -> int:
        """Offsets that retention took before the group read them."""
        return max(0, self.log_start - self.next_offset) if self.next_offset is not None else 0


@dataclass(frozen=True, slots=True)
class Unread:
    """What of a partition a group has not read, by the oldest record of it."""

    messages: int
    """From the oldest record to the log's end. Holes before it, such as a transaction's marker, are nothing to read."""
    logged_at: datetime | None = None
    """When Kafka got that record; None where there is none, or the Kafka client cannot take it apart."""
    produced_at: datetime | None = None
    """The event's own time, where the record has one that can be read."""

    def lag_s(self, now: datetime) -> float | None:
        """Seconds since Kafka got the oldest unread record: 0 where everything is read, None where it cannot be known.

        Not since the event's own time: what was in a spool for a day, or is sent to the topic again by a replay, is not
        a day behind.
        """
        return _age_s(self.messages, self.logged_at, now)

    def event_age_s(self, now: datetime) -> float | None:
        """Seconds since the oldest unread event happened, by its own time."""
        return _age_s(self.messages, self.produced_at, now)


def _age_s(messages: int, at: datetime | None, now: datetime) -> float | None:
    if not messages:
        return 0.0
    # Another machine's clock may be ahead.
    return None if at is None else max(0.0, (now - at).total_seconds())


async def measure_lag(reader: LogReader, session: Session, group: str, topics: Sequence[str]) -> list[PartitionLag]:
    """The lag of `group` on every partition of `topics`, in their order."""
    partitions = await reader.partitions(topics)
    stored = await OffsetStore(group).read(session, partitions)
    return await lag_of(reader, partitions, stored)


async def lag_of(
    reader: LogReader, partitions: Sequence[TopicPartition], stored: Mapping[TopicPartition, int]
) -> list[PartitionLag]:
    """The lag from offsets that were read before, so that no group can look to be ahead of the log."""
    bounds = await reader.bounds(partitions)
    return [
        PartitionLag(partition, stored.get(partition), bounds[partition].start, bounds[partition].end)
        for partition in partitions
    ]


async def read_unread(reader: LogReader, lags: Sequence[PartitionLag]) -> dict[TopicPartition, Unread]:
    """Look at the oldest unread record of each partition; those without any cost nothing.

    Raises:
        OffsetOutOfRangeError: retention took the record since the lag was measured.
    """
    ranges = {lag.partition: OffsetRange(lag.first_unread, lag.log_end) for lag in lags if lag.lag_messages}
    oldest = await reader.first_records(ranges) if ranges else {}
    return {lag.partition: _unread(lag, oldest.get(lag.partition)) for lag in lags}


def _unread(lag: PartitionLag, oldest: FirstRecord | None) -> Unread:
    if oldest is None:
        return Unread(0)
    messages = lag.log_end - oldest.offset
    if oldest.record is None:
        return Unread(messages)
    return Unread(messages, oldest.record.timestamp, event_time(oldest.record.value))


def event_time(value: bytes | None) -> datetime | None:
    """The `time` of an event; None for what has none that can be read. Whether the rest is valid does not matter."""
    try:
        at = datetime.fromisoformat(orjson.loads(value or b"")["time"])
    except (ValueError, TypeError, KeyError):
        return None
    return None if at.tzinfo is None else at


async def oldest_unread_s(reader: LogReader, lags: Sequence[PartitionLag]) -> float:
    """How long ago, in seconds, Kafka got the oldest record that the group has not read; 0 where it has read all."""
    unread = await read_unread(reader, lags)
    now = datetime.fromtimestamp(time.time(), UTC)
    return max((seconds for each in unread.values() if (seconds := each.lag_s(now)) is not None), default=0.0)
