"""Records on their way to the database: a bounded queue that says when it is time to write."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC
from itertools import islice
from typing import NamedTuple, Self
from uuid import UUID

from arc_eval_db.records import ExecutionStart, Failure, Outcome, Record, ToolUse, event_of, plain_data_of
from arc_eval_db.schemas.bulk import plain_data
from arc_eval_db.schemas.topics import COMPLETED, FAILURE_RECORDED, TOOL_USED
from arc_eval_db.writer import EventRow, LoggedEvent, event_row, plain_row

_TYPES = {Outcome: COMPLETED, ToolUse: TOOL_USED, Failure: FAILURE_RECORDED}


class QueuedRecord(NamedTuple):
    """A record and the row that it becomes.

    Not the event: of all that is made while a record is checked, only plain values stay. Objects that wait by the ten
    thousand are walked through by the garbage collector again and again: a sixth of the time of an outcome.
    """

    record: Record
    row: EventRow

    @classmethod
    def of(cls, record: Record) -> Self:
        """Check a record.

        Raises:
            EventRefusedError: it cannot become a row; the message names the field.
        """
        if not isinstance(record, ExecutionStart) and (plain := plain_data_of(record)) is not None:
            time, event_id, data = plain
            type_ = _TYPES[type(record)]
            event = {
                "type": type_,
                "time": time.astimezone(UTC),
                "id": str(event_id),
                "subject": str(record.execution.execution_id),
                "sequence": record.envelope.sequence,
                **plain_data(type_, data),
            }
            return cls(record, plain_row(event))
        return cls(record, event_row(LoggedEvent(event_of(record))))

    def identified(self) -> Record:
        """The record with the ids that it got, so that recording it again stores nothing twice."""
        time, event_id, execution_id, *_ = self.row.row
        envelope = dataclasses.replace(self.record.envelope, event_id=UUID(event_id), time=time)
        if isinstance(self.record, ExecutionStart):
            return dataclasses.replace(self.record, envelope=envelope, execution_id=UUID(execution_id))
        return dataclasses.replace(self.record, envelope=envelope)


class RecordQueue:
    """Oldest first. A record stays in it until it is written or refused, so what is in it is what is not done."""

    def __init__(self, records_max: int, flush_records: int, flush_interval_s: float) -> None:
        self._records_max = records_max
        self._flush_records = flush_records
        self._flush_interval_s = flush_interval_s
        self._items: deque[QueuedRecord] = deque()
        self._oldest_at = 0.0
        self._all_taken_at: float | None = None
        self._wanted = 0
        self._closed = False
        self._arrived = asyncio.Event()
        self._left = asyncio.Event()
        self.taken = 0
        """How many ever came in."""
        self.done = 0
        """How many have left."""

    def __len__(self) -> int:
        return len(self._items)

    @property
    def is_full(self) -> bool:
        """Whether there is no room."""
        return len(self._items) >= self._records_max

    def put(self, item: QueuedRecord) -> None:
        """Add a record; there must be room."""
        assert not self.is_full
        self._items.append(item)
        self.taken += 1
        waiting = len(self._items)
        if waiting == 1:
            self._oldest_at = time.monotonic()
            self._arrived.set()
        elif waiting == self._flush_records:
            self._arrived.set()

    def first(self, count: int) -> list[QueuedRecord]:
        """The oldest `count` records, or all there are; they stay."""
        self._all_taken_at = time.monotonic() if count >= len(self._items) else None
        return list(islice(self._items, count))

    def remove_first(self, count: int) -> None:
        """The oldest `count` records are written or refused."""
        for _ in range(count):
            self._items.popleft()
        self.done += count
        if self._all_taken_at is not None:
            # What is left came after these were taken.
            self._oldest_at = self._all_taken_at
        self.wake_waiting()

    def want_all(self) -> int:
        """Make everything that waits due now; returns what `done` will be after that."""
        self._wanted = self.taken
        self._arrived.set()
        return self._wanted

    def close(self) -> None:
        """Nothing will come in any more."""
        self._closed = True
        self._arrived.set()

    def wake_waiting(self) -> None:
        """Let those who wait in `wait_until` look again."""
        left, self._left = self._left, asyncio.Event()
        left.set()

    async def wait_until(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Wait for something that changes when records leave; False when it does not happen in time."""
        try:
            async with asyncio.timeout(timeout_s):
                while not condition():
                    await self._left.wait()
        except TimeoutError:
            return False
        return True

    async def due(self) -> bool:
        """Wait until it is time to write; False when the queue is closed and empty."""
        while not (self._items and self._is_due()):
            if self._closed and not self._items:
                return False
            self._arrived.clear()
            left_s = self._oldest_at + self._flush_interval_s - time.monotonic() if self._items else None
            try:
                async with asyncio.timeout(left_s):
                    await self._arrived.wait()
            except TimeoutError:
                continue
        return True

    def _is_due(self) -> bool:
        return (
            len(self._items) >= self._flush_records
            or self._closed
            or self.done < self._wanted
            or time.monotonic() >= self._oldest_at + self._flush_interval_s
        )
