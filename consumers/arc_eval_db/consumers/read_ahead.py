"""Reads and validates the next batch while one is being written."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from arc_eval_db.consumers.handler import ExecutionEventHandler, HandledBatch
from arc_eval_db.consumers.kafka import GroupSource
from arc_eval_db.consumers.records import PartitionRecords
from arc_eval_db.writer import TopicPartition

# About 3 ms: so long, and not longer, the answers of the database and of Kafka may have to wait.
_SLICE_RECORDS = 500

# How often to look for more while the database is at work.
_GATHER_INTERVAL_S = 0.005

_CANCEL_TIMEOUT_S = 5.0


@dataclass(slots=True)
class PolledBatch:
    """Records, and what became of them."""

    records: dict[TopicPartition, PartitionRecords] = field(default_factory=dict)
    """Empty when none came in time."""
    batch: HandledBatch = field(default_factory=HandledBatch)
    arrived_at: float = field(default_factory=time.monotonic)

    def __len__(self) -> int:
        return sum(map(len, self.records.values()))


class ReadAhead:
    """Hands out batches in the order of the log, one of them made beforehand.

    While the database is at work on a batch this process has nothing to do but this. A batch grows until it is asked
    for: so batches are small where little happens, and large where the worker is behind, and the database has the more
    to do with each transaction. What is made beforehand was read from positions that hold only if the batch before it
    is committed: in every other case it has to be dropped.
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
        self._wanted: asyncio.Future[None] | None = None
        """Done as soon as the batch that is being made is asked for."""

    @property
    def is_ahead(self) -> bool:
        """Whether there is, or is to come, a batch that was not handed out."""
        return self._task is not None

    def begin(self, records_max: int) -> None:
        """Begin to read the batch after the one that was handed out last."""
        assert self._task is None
        self._wanted = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._gather(records_max, self._wanted))

    async def next(self, records_max: int) -> PolledBatch:
        """The next batch; without records when none came in time."""
        if self._task is None or self._wanted is None:
            polled = PolledBatch()
            await self._read(polled, records_max, self._timeout_s)
            return polled
        if not self._wanted.done():
            self._wanted.set_result(None)
        polled = await self._task
        self._task = None
        return polled

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

    async def _gather(self, records_max: int, wanted: asyncio.Future[None]) -> PolledBatch:
        """Read until there are enough, or what there is is wanted."""
        polled = PolledBatch()
        is_new = await self._read(polled, records_max, self._timeout_s)
        while polled.records and len(polled) < records_max and not wanted.done():
            if not is_new:
                await asyncio.wait({wanted}, timeout=_GATHER_INTERVAL_S)
            is_new = await self._read(polled, records_max - len(polled), timeout_s=0)
        return polled

    async def _read(self, polled: PolledBatch, records_max: int, timeout_s: float) -> bool:
        """Add what is there or comes in time; returns whether there was anything."""
        fetched = await self._source.poll(records_max, timeout_s)
        if fetched and not polled.records:
            polled.arrived_at = time.monotonic()
        for partition, records in fetched.items():
            known = polled.records.setdefault(partition, records)
            begin = 0
            if known is not records:
                begin = len(known)
                known.extend(records)
            for first in range(begin, len(known), _SLICE_RECORDS):
                self._handler.add(polled.batch, known, first, first + _SLICE_RECORDS)
                await asyncio.sleep(0)
        return bool(fetched)
