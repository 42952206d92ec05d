"""Reads and validates the next batch while one is being written."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from arc_eval_db.consumers.handler import ExecutionEventHandler, HandledBatch
from arc_eval_db.consumers.kafka import GroupSource
from arc_eval_db.consumers.records import PartitionRecords
from arc_eval_db.writer import TopicPartition

# About 3 ms: so long, and not longer, the answers of the database and of Kafka may have to wait.
_SLICE_RECORDS = 500

_CANCEL_TIMEOUT_S = 5.0


@dataclass(slots=True)
class PolledBatch:
    """Records, and what became of them."""

    records: Mapping[TopicPartition, PartitionRecords]
    """Empty when none came in time."""
    batch: HandledBatch = field(default_factory=HandledBatch)
    arrived_at: float = field(default_factory=time.monotonic)


class ReadAhead:
    """Hands out batches in the order of the log, one of them made beforehand.

    While the database is at work on a batch this process has nothing to do but this. What is made beforehand was read
    from positions that hold only if the batch before it is committed: in every other case it has to be dropped.
    """

    def __init__(self, source: GroupSource, handler: ExecutionEventHandler, timeout_s: float) -> None:
        """
        Args:
            timeout_s: how long to wait for records.
        """
        self._source = source
        self._handler = handler
        self._timeout_s = timeout_s
        self._task: asyncio.Task[PolledBatch] | None = None

    @property
    def is_ahead(self) -> bool:
        """Whether there is, or is to come, a batch that was not handed out."""
        return self._task is not None

    def begin(self, records_max: int) -> None:
        """Begin to read the batch after the one that was handed out last."""
        assert self._task is None
        self._task = asyncio.create_task(self._read(records_max))

    async def next(self, records_max: int) -> PolledBatch:
        """The next batch; without records when none came in time."""
        if self._task is None:
            return await self._read(records_max)
        batch = await self._task
        self._task = None
        return batch

    async def drop(self) -> None:
        """Forget what was read beforehand. If there was anything, all partitions wait for a position again."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.wait({task}, timeout=_CANCEL_TIMEOUT_S)
        if task.done() and not task.cancelled():
            task.exception()  # seen; whatever it met is met again
        self._source.forget_positions()

    async def _read(self, records_max: int) -> PolledBatch:
        polled = PolledBatch(await self._source.poll(records_max, self._timeout_s))
        for records in polled.records.values():
            for first in range(0, len(records), _SLICE_RECORDS):
                self._handler.add(polled.batch, records, first, first + _SLICE_RECORDS)
                await asyncio.sleep(0)
        return polled
