"""How far a group is behind, from the offsets stored with the rows and the log's own bounds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from arc_eval_db.consumers.kafka import LogReader
from arc_eval_db.database import Session
from arc_eval_db.writer import OffsetStore, TopicPartition


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """One partition of one group."""

    partition: TopicPartition
    next_offset: int | None
    """The offset to go on from; None where the group has never been."""
    log_start: int
    log_end: int

    @property
    def lag_messages(self) -> int:
        """Offsets still to be read. Never negative: the log's end is asked for after the stored offset."""
        position = self.log_start if self.next_offset is None else self.next_offset
        return max(0, self.log_end - max(position, self.log_start))

    @property
    def lost_messages(self) -> int:
        """Offsets that retention took before the group read them."""
        return max(0, self.log_start - self.next_offset) if self.next_offset is not None else 0


async def measure_lag(reader: LogReader, session: Session, group: str, topics: Sequence[str]) -> list[PartitionLag]:
    """The lag of `group` on every partition of `topics`, in their order."""
    partitions = await reader.partitions(topics)
    stored = await OffsetStore(group).read(session, partitions)
    bounds = await reader.bounds(partitions)
    return [
        PartitionLag(partition, stored.get(partition), bounds[partition].start, bounds[partition].end)
        for partition in partitions
    ]


async def oldest_unread_s(reader: LogReader, lags: Sequence[PartitionLag]) -> float:
    """How long ago, in seconds, Kafka got the oldest record that the group has not read; 0 where it has read all.

    An offset without a record (a transaction's marker) counts as read.
    """
    next_offsets = {lag.partition: max(lag.next_offset or 0, lag.log_start) for lag in lags if lag.lag_messages}
    if not next_offsets:
        return 0.0
    unread = await reader.records_at(next_offsets)
    now = time.time()
    return max((now - record.timestamp_ms / 1000 for record in unread.values()), default=0.0)
