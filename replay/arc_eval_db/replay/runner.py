"""Carries a replay out: reads a plan's records, batch by batch, and hands them to where they shall go."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from arc_eval_db.consumers.handler import HandledBatch
from arc_eval_db.consumers.kafka import LogReader
from arc_eval_db.consumers.records import LogRecord
from arc_eval_db.replay.filters import EventFilter
from arc_eval_db.writer import OffsetRange, TopicPartition

BATCH_RECORDS_MAX = 10_000
"""Of one batch, where nothing asks for fewer."""

BATCH_BYTES_MAX = 32 * 2**20
"""Of one batch, and one fetch more. Three batches are held at a time, and some copies of what is in one."""


@dataclass(slots=True)
class ReplayBatch:
    """Records that are meant, and where the reading stands behind them."""

    records: list[LogRecord]
    read: int
    """How many were read for it, those included that are not meant."""
    positions: dict[TopicPartition, int] = field(default_factory=dict)
    """The next offset of each partition that was read."""
    bytes_read: int = 0
    handled: HandledBatch | None = None
    """What became of the records, where that was found out beforehand."""

    @property
    def is_full(self) -> bool:
        """Whether it holds as many bytes as it may."""
        return self.bytes_read >= BATCH_BYTES_MAX

    def add(self, found: Sequence[LogRecord], chosen: EventFilter) -> None:
        """Add those of the records that are meant."""
        self.records += chosen.select(found)
        self.read += len(found)
        self.bytes_read += sum(record.size_bytes for record in found)

    def halves(self) -> tuple[ReplayBatch, ReplayBatch]:
        """The same in two; the first one's positions are those at which the second one begins."""
        middle = len(self.records) // 2
        first, second = self.records[:middle], self.records[middle:]
        positions = dict(self.positions)
        for record in reversed(second):
            if record.topic_partition in positions:
                positions[record.topic_partition] = record.offset
        return ReplayBatch(first, 0, positions), ReplayBatch(second, self.read, self.positions)


class ReplayTarget(Protocol):
    """Where records go. Called by one task; each batch after the one before is done."""

    async def take(self, batch: ReplayBatch) -> None:
        """Do with a batch what is to be done with it; when this returns, it is done for good.

        A batch may hold no record: then only the positions have moved.
        """
        ...


@dataclass(slots=True)
class ReplayProgress:
    """How far a replay is."""

    records_max: int
    """How many there are to read, at the most."""
    read: int = 0
    matched: int = 0
    began_at: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self.began_at

    @property
    def seconds_left(self) -> float | None:
        """An estimate by what was read so far; None where nothing was."""
        if not self.read:
            return None
        return max(0.0, (self.records_max - self.read) * self.seconds / self.read)


class Pace(Protocol):
    """Something to wait for before each batch."""

    async def wait(self, records: int) -> None:
        """Return when a batch of so many records may be handled."""
        ...


async def run_replay(
    batches: AsyncIterator[ReplayBatch],
    target: ReplayTarget,
    *,
    progress: ReplayProgress,
    on_progress: Callable[[ReplayProgress], None] = lambda _: None,
    paces: Iterable[Pace] = (),
    prepare: Callable[[ReplayBatch], Awaitable[None]] | None = None,
) -> None:
    """Hand every batch to the target, and say how far it is after each.

    The next batch is read while the target is at work on one, and one more is prepared.

    Args:
        prepare: called with each batch, while the target is at work on one before it.

    Raises:
        Exception: whatever reading or the target raises. What was done before stays.
    """
    waiting: asyncio.Queue[ReplayBatch | None] = asyncio.Queue(maxsize=1)

    async def read() -> None:
        async for batch in batches:
            if prepare is not None:
                await prepare(batch)
            await waiting.put(batch)
        await waiting.put(None)

    async def hand_over() -> None:
        while (batch := await waiting.get()) is not None:
            for pace in paces:
                await pace.wait(batch.read)
            await target.take(batch)
            progress.read += batch.read
            progress.matched += len(batch.records)
            on_progress(progress)

    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(read())
            tasks.create_task(hand_over())
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from errors.exceptions[0].__cause__


async def batches_of_log(
    reader: LogReader,
    ranges: Mapping[TopicPartition, OffsetRange],
    chosen: EventFilter,
    records_max: int = BATCH_RECORDS_MAX,
) -> AsyncIterator[ReplayBatch]:
    """The records of the ranges that are meant, in batches; each partition's in their order."""
    batch = ReplayBatch([], 0)
    async for records in reader.read(ranges, records_max):
        batch.add(records, chosen)
        batch.positions[records[-1].topic_partition] = records[-1].offset + 1
        if batch.read >= records_max or batch.is_full:
            yield batch
            batch = ReplayBatch([], 0)
    # Offsets at a range's end may hold no record: the range is done all the same.
    batch.positions |= {partition: offsets.end for partition, offsets in ranges.items()}
    yield batch


async def batches_of_file(
    found: Iterable[list[LogRecord]], chosen: EventFilter, records_max: int = BATCH_RECORDS_MAX
) -> AsyncIterator[ReplayBatch]:
    """The records of a file that are meant, in batches."""
    batch = ReplayBatch([], 0)
    for records in found:
        batch.add(records, chosen)
        if batch.read >= records_max or batch.is_full:
            yield batch
            batch = ReplayBatch([], 0)
            await asyncio.sleep(0)
    yield batch
