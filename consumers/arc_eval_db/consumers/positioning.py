"""Where newly assigned partitions are read from, and whether the log is still the one that the group has read.

docs/exactly-once.md explains anchors, gaps and halted partitions.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import structlog

from arc_eval_db.consumers.kafka import GroupSource, LogBounds
from arc_eval_db.consumers.metrics import WorkerMetrics
from arc_eval_db.consumers.records import LogRecord
from arc_eval_db.consumers.sink import CONSUMER_VERSION
from arc_eval_db.database import Session
from arc_eval_db.errors import FatalError
from arc_eval_db.writer import Anchor, FencedError, OffsetRange, OffsetStore, StoredPosition, TopicPartition

RECHECK_S_FIRST = 2.0
RECHECK_S_MAX = 60.0
_HASH_BYTES = 16

log: structlog.stdlib.BoundLogger = structlog.get_logger("arc_eval_db.consumers")


class HaltReason(StrEnum):
    """Why a partition is not read until a person has looked at its topic."""

    TOPIC_RECREATED = "topic_recreated"
    """The log holds another record than the one that was read at this offset, or none."""
    OFFSET_BEYOND_LOG_END = "offset_beyond_log_end"
    """The log is shorter than what was read of it."""


class PartitionHaltedError(FatalError):
    """A topic is not the one that the group has read. Look at it, then run `arc-eval-db topics accept`."""


@dataclass(frozen=True, slots=True)
class _Halt:
    reason: HaltReason
    wait_s: float
    look_again_at: float
    """By the monotonic clock."""


def anchor_of(record: LogRecord) -> Anchor:
    """What to keep of a record to recognise it again."""
    content = hashlib.sha256((record.key or b"") + b"\x00" + (record.value or b"")).digest()
    return Anchor(record.offset, record.timestamp_ms, content[:_HASH_BYTES])


def anchors_in(
    positions: Mapping[TopicPartition, StoredPosition], bounds: Mapping[TopicPartition, LogBounds]
) -> dict[TopicPartition, int]:
    """The offsets of those anchors that the log should still hold."""
    return {
        partition: position.anchor.offset
        for partition, position in positions.items()
        if position.anchor is not None and bounds[partition].start <= position.anchor.offset < bounds[partition].end
    }


def halt_reason(position: StoredPosition, bounds: LogBounds, found: LogRecord | None) -> HaltReason | None:
    """Whether the log is another one than the group has read; None where nothing speaks for that.

    Args:
        found: what the log holds at the anchor's offset.
    """
    if position.next_offset > bounds.end:
        return HaltReason.OFFSET_BEYOND_LOG_END
    if position.anchor is None or position.anchor.offset < bounds.start:
        return None
    return None if found is not None and anchor_of(found) == position.anchor else HaltReason.TOPIC_RECREATED


class Positioner:
    """Gives a worker's partitions their positions.

    A partition that the group has never seen begins where its log begins. Where retention was quicker than the group,
    the gap is recorded and jumped. A partition whose log is not the one that the group has read is halted: it stays
    paused and the others go on. It is looked at again soon, as a log may look shorter for a moment while a broker takes
    over from another, and then less and less often.
    """

    def __init__(
        self,
        offsets: OffsetStore,
        metrics: WorkerMetrics,
        *,
        halt_is_fatal: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            halt_is_fatal: raise where a partition would be halted.
            clock: in seconds.
        """
        self.recheck_s_max = RECHECK_S_MAX
        """How long a halted partition is left alone at most."""
        self._clock = clock
        self._offsets = offsets
        self._metrics = metrics
        self._halt_is_fatal = halt_is_fatal
        self._halted: dict[TopicPartition, _Halt] = {}

    @property
    def halted(self) -> dict[TopicPartition, HaltReason]:
        """The partitions that wait for a person, and why."""
        return {partition: halt.reason for partition, halt in self._halted.items()}

    async def position(self, source: GroupSource, session: Session) -> dict[TopicPartition, int]:
        """Send the partitions that wait for a position to it; returns those, and where each is read from.

        Raises:
            PartitionHaltedError: if a halt is fatal.
            RetryableError: Kafka or the database did not answer, or the log changed meanwhile; call again.
        """
        for lost in self._halted.keys() - set(source.assigned()):
            self._set_halted(lost, None)  # another worker's from now on
        now = self._clock()
        again = [partition for partition in source.held() if self._is_due(partition, now)]
        if not (partitions := source.unpositioned() + again):
            return {}
        stored = await self._stored(source, session, partitions)
        bounds = await source.bounds(partitions)
        # Read after the stored positions: the log's end is never behind one that is read of the same log.
        stored = await self._jump_gaps(session, stored, bounds)
        found = await source.records_at(anchors_in(stored, bounds))
        positions = {}
        for partition, position in stored.items():
            if reason := halt_reason(position, bounds[partition], found.get(partition)):
                self._halt(source, partition, reason, position, bounds[partition])
            else:
                positions[partition] = position.next_offset
                if partition in self._halted:
                    self._set_halted(partition, None)
                    log.info("partition_resumed", topic=partition.topic, partition=partition.partition)
        if positions:
            source.seek(positions)
            log.info("partitions_positioned", offsets={str(partition): at for partition, at in positions.items()})
        return positions

    def _is_due(self, partition: TopicPartition, now: float) -> bool:
        halt = self._halted.get(partition)
        return halt is None or now >= halt.look_again_at

    async def _stored(
        self, source: GroupSource, session: Session, partitions: Sequence[TopicPartition]
    ) -> dict[TopicPartition, StoredPosition]:
        stored = await self._offsets.read_positions(session, partitions)
        if unseen := [partition for partition in partitions if partition not in stored]:
            bounds = await source.bounds(unseen)
            await self._offsets.start_at(session, {partition: bounds[partition].start for partition in unseen})
            stored = await self._offsets.read_positions(session, partitions)
        return stored

    async def _jump_gaps(
        self,
        session: Session,
        stored: Mapping[TopicPartition, StoredPosition],
        bounds: Mapping[TopicPartition, LogBounds],
    ) -> dict[TopicPartition, StoredPosition]:
        """Move past what retention took; leaves out the partitions that another consumer has moved meanwhile."""
        positions = {}
        for partition, position in stored.items():
            first, start = position.next_offset, bounds[partition].start
            if first >= start:
                positions[partition] = position
                continue
            try:
                await self._offsets.record_gap(session, partition, OffsetRange(first, start), version=CONSUMER_VERSION)
            except FencedError:
                continue
            positions[partition] = StoredPosition(start, None)
            self._metrics.count("arc_eval_consumer_log_gap_offsets_total", start - first, topic=partition.topic)
            log.error("log_gap_recorded", topic=partition.topic, partition=partition.partition, first=first, end=start)
        return positions

    def _halt(
        self,
        source: GroupSource,
        partition: TopicPartition,
        reason: HaltReason,
        position: StoredPosition,
        bounds: LogBounds,
    ) -> None:
        next_step = f"arc-eval-db topics accept {partition.topic} --group {self._offsets.group}"
        if self._halt_is_fatal:
            raise PartitionHaltedError(
                f"{partition} is not the log that the group {self._offsets.group} has read ({reason}): the group "
                f"stands at {position.next_offset}, the log holds {bounds.start} to {bounds.end}. If the topic was "
                f"made anew, or cut short, and what was left in it is lost, run: {next_step}"
            )
        if partition not in self._halted:
            log.error(
                "partition_halted",
                topic=partition.topic,
                partition=partition.partition,
                reason=reason.value,
                next_offset=position.next_offset,
                log_start=bounds.start,
                log_end=bounds.end,
                next_step=next_step,
            )
        source.hold({partition: bounds.start})
        before = self._halted.get(partition)
        wait_s = min(before.wait_s * 2 if before else RECHECK_S_FIRST, self.recheck_s_max)
        self._set_halted(partition, _Halt(reason, wait_s, self._clock() + wait_s))

    def _set_halted(self, partition: TopicPartition, halt: _Halt | None) -> None:
        if halt is None:
            del self._halted[partition]
        else:
            self._halted[partition] = halt
        self._metrics.set(
            "arc_eval_consumer_halted_partitions",
            int(halt is not None),
            topic=partition.topic,
            partition=str(partition.partition),
        )
