"""The bounded queue between `emit` and the sender: what is dropped when it is full, and the count of it."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class DropReason(StrEnum):
    """Why an event was never sent. Terminal events carry these counts."""

    QUEUE_FULL = "queue_full"
    TOO_LARGE = "too_large"
    NOT_SERIALIZABLE = "not_serializable"
    REFUSED_BY_BROKER = "refused_by_broker"
    UNDELIVERED = "undelivered"
    """Still waiting when the deadline of `close` was over."""


@dataclass(frozen=True, slots=True)
class OutgoingRecord:
    """One event, ready to be sent."""

    topic: str
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]
    timestamp_ms: int
    execution_id: UUID
    is_lifecycle: bool
    """Started, completed, failed: dropped last."""


class Outbox:
    """A queue bounded in records and bytes. Every method may be called from any thread."""

    def __init__(self, records_max: int, bytes_max: int) -> None:
        self._records_max = records_max
        self._bytes_max = bytes_max
        self._lifecycle: deque[tuple[int, OutgoingRecord]] = deque()
        self._other: deque[tuple[int, OutgoingRecord]] = deque()
        self._bytes = 0
        self._appended = 0
        self._settled = 0
        self._sent = 0
        self._dropped: Counter[DropReason] = Counter()
        self._dropped_of: dict[UUID, Counter[DropReason]] = {}
        self._changed = threading.Condition()

    def append(self, record: OutgoingRecord) -> bool:
        """Queue a record, dropping less important ones to make room; False when this one was dropped instead."""
        with self._changed:
            self._appended += 1
            while self._is_full(record):
                if not (record.is_lifecycle and self._other):
                    self._drop(record, DropReason.QUEUE_FULL)
                    return False
                _, victim = self._other.pop()
                self._bytes -= len(victim.value)
                self._drop(victim, DropReason.QUEUE_FULL)
            queue = self._lifecycle if record.is_lifecycle else self._other
            queue.append((self._appended, record))
            self._bytes += len(record.value)
            return True

    def take(self, records_max: int) -> list[OutgoingRecord]:
        """Remove up to `records_max` records in the order they were queued. The caller settles each of them."""
        taken: list[OutgoingRecord] = []
        with self._changed:
            while len(taken) < records_max and (queue := self._next_queue()) is not None:
                _, record = queue.popleft()
                self._bytes -= len(record.value)
                taken.append(record)
        return taken

    def settle_sent(self, count: int) -> None:
        """The broker has these records."""
        with self._changed:
            self._sent += count
            self._settled += count
            self._changed.notify_all()

    def settle_dropped(self, records: Sequence[OutgoingRecord], reason: DropReason) -> None:
        """These records will never be sent."""
        with self._changed:
            for record in records:
                self._drop(record, reason)

    def count_dropped(self, execution_id: UUID, reason: DropReason) -> None:
        """An event was lost before it became a record."""
        with self._changed:
            self._count(execution_id, reason)

    def dropped_of(self, execution_id: UUID) -> dict[str, int]:
        """Drop counts by reason of one execution."""
        with self._changed:
            return {reason.value: count for reason, count in self._dropped_of.get(execution_id, {}).items()}

    def forget(self, execution_id: UUID) -> None:
        """Free what is kept for an execution that has ended."""
        with self._changed:
            self._dropped_of.pop(execution_id, None)

    def wait_settled(self, timeout: float) -> bool:
        """Wait until everything queued so far is sent or dropped; False when the time is over first."""
        with self._changed:
            goal = self._appended
            return self._changed.wait_for(lambda: self._settled >= goal, timeout)

    @property
    def pending(self) -> int:
        """Records neither sent nor dropped yet."""
        with self._changed:
            return self._appended - self._settled

    @property
    def sent(self) -> int:
        """Records that the broker has."""
        with self._changed:
            return self._sent

    @property
    def dropped(self) -> dict[str, int]:
        """Drop counts by reason."""
        with self._changed:
            return {reason.value: count for reason, count in self._dropped.items()}

    def _is_full(self, record: OutgoingRecord) -> bool:
        waiting = len(self._lifecycle) + len(self._other)
        return waiting >= self._records_max or (waiting > 0 and self._bytes + len(record.value) > self._bytes_max)

    def _next_queue(self) -> deque[tuple[int, OutgoingRecord]] | None:
        if not self._lifecycle:
            return self._other or None
        if not self._other or self._lifecycle[0][0] < self._other[0][0]:
            return self._lifecycle
        return self._other

    def _drop(self, record: OutgoingRecord, reason: DropReason) -> None:
        self._count(record.execution_id, reason)
        self._settled += 1
        self._changed.notify_all()

    def _count(self, execution_id: UUID, reason: DropReason) -> None:
        self._dropped[reason] += 1
        self._dropped_of.setdefault(execution_id, Counter())[reason] += 1
