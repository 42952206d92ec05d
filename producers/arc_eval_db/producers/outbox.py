"""The bounded queue between `emit` and the sender: what is dropped when it is full, and the count of it."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Collection
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

# Drops of an execution are kept until its terminal event has taken them; of late drops the oldest are forgotten.
_EXECUTIONS_KEPT_MAX = 10_000


class DropReason(StrEnum):
    """Why an event was never sent. Terminal events carry these counts."""

    QUEUE_FULL = "queue_full"
    TOO_LARGE = "too_large"
    NOT_SERIALIZABLE = "not_serializable"
    REFUSED_BY_BROKER = "refused_by_broker"
    UNDELIVERED = "undelivered"
    """Still waiting when the deadline of `close` was over, or when the sender gave up."""


# A tuple is made in half the time that a frozen dataclass takes.
class OutgoingRecord(NamedTuple):
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
    """A queue bounded in records and bytes. Every method may be called from any thread; one thread takes and settles.

    Every event is counted in when it is appended and counted out, once, when it is sent or dropped.
    """

    def __init__(self, records_max: int, bytes_max: int) -> None:
        self._records_max = records_max
        self._bytes_max = bytes_max
        self._lifecycle: deque[tuple[int, OutgoingRecord]] = deque()
        self._other: deque[tuple[int, OutgoingRecord]] = deque()
        self._taken: list[tuple[int, OutgoingRecord]] = []
        self._bytes = 0
        self._appended = 0
        self._settled = 0
        self._sent = 0
        self._dropped: Counter[DropReason] = Counter()
        self._dropped_of: dict[UUID, Counter[DropReason]] = {}
        self._closed = False
        # The lock is taken directly where nobody needs to be told: a Condition's own methods cost ten times as much.
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)

    def append(self, record: OutgoingRecord) -> bool:
        """Queue a record, dropping less important ones to make room; False when this one was dropped instead."""
        with self._lock:
            self._appended += 1
            if self._closed:
                self._drop(record, DropReason.UNDELIVERED)
                return False
            size = len(record.value)
            if self._is_full(size) and not (record.is_lifecycle and self._make_room(size)):
                self._drop(record, DropReason.QUEUE_FULL)
                return False
            queue = self._lifecycle if record.is_lifecycle else self._other
            queue.append((self._appended, record))
            self._bytes += size
            return True

    def make_room(self, size: int) -> None:
        """Drop now what a lifecycle record of `size` bytes would push out, so that its counts can include it."""
        with self._lock:
            self._make_room(size)

    def take(self, records_max: int, bytes_max: int) -> list[OutgoingRecord]:
        """Remove records in the order they were queued, at least one if there is one. Follow it with `settle`."""
        size = 0
        with self._lock:
            assert not self._taken, "the last batch was not settled"
            while len(self._taken) < records_max and (queue := self._next_queue()) is not None:
                length = len(queue[0][1].value)
                if self._taken and size + length > bytes_max:
                    break
                self._taken.append(queue.popleft())
                self._bytes -= length
                size += length
            return [record for _, record in self._taken]

    def settle(self, refused: Collection[int] = ()) -> None:
        """The records taken last were sent, except those at the positions `refused`, which never will be."""
        with self._lock:
            taken, self._taken = self._taken, []
            for position, (_, record) in enumerate(taken):
                if position in refused:
                    self._drop(record, DropReason.REFUSED_BY_BROKER)
                else:
                    self._sent += 1
                    self._settled += 1
            self._changed.notify_all()

    def close(self) -> None:
        """Drop as undelivered what waits or was taken, and whatever is appended from now on. Idempotent."""
        with self._lock:
            self._closed = True
            for _, record in (*self._taken, *self._lifecycle, *self._other):
                self._drop(record, DropReason.UNDELIVERED)
            self._taken = []
            self._lifecycle.clear()
            self._other.clear()
            self._bytes = 0

    def count_dropped(self, execution_id: UUID, reason: DropReason) -> None:
        """An event was lost before it became a record."""
        with self._lock:
            self._appended += 1
            self._count_dropped(execution_id, reason)

    def dropped_of(self, execution_id: UUID) -> dict[str, int]:
        """Drop counts by reason of one execution."""
        with self._lock:
            return {reason.value: count for reason, count in self._dropped_of.get(execution_id, {}).items()}

    def forget(self, execution_id: UUID) -> None:
        """Free what is kept for an execution that has ended."""
        with self._lock:
            self._dropped_of.pop(execution_id, None)

    def wait_settled(self, timeout: float) -> bool:
        """Wait until everything queued so far is sent or dropped; False when the time is over first."""
        with self._changed:
            last = self._appended
            return self._changed.wait_for(lambda: self._oldest() > last, min(timeout, threading.TIMEOUT_MAX))

    @property
    def waiting(self) -> int:
        """Records that nobody has taken yet."""
        return len(self._lifecycle) + len(self._other)

    @property
    def pending(self) -> int:
        """Records neither sent nor dropped yet."""
        with self._lock:
            return self._appended - self._settled

    @property
    def sent(self) -> int:
        """Records that the broker has."""
        with self._lock:
            return self._sent

    @property
    def dropped(self) -> dict[str, int]:
        """Drop counts by reason."""
        with self._lock:
            return {reason.value: count for reason, count in self._dropped.items()}

    def _is_full(self, size: int) -> bool:
        waiting = len(self._lifecycle) + len(self._other)
        return waiting >= self._records_max or (waiting > 0 and self._bytes + size > self._bytes_max)

    def _make_room(self, size: int) -> bool:
        while self._is_full(size):
            if not self._other:
                return False
            # The newest goes: what happened first explains the rest.
            _, victim = self._other.pop()
            self._bytes -= len(victim.value)
            self._drop(victim, DropReason.QUEUE_FULL)
        return True

    def _next_queue(self) -> deque[tuple[int, OutgoingRecord]] | None:
        if not self._lifecycle:
            return self._other or None
        if not self._other or self._lifecycle[0][0] < self._other[0][0]:
            return self._lifecycle
        return self._other

    def _oldest(self) -> float:
        heads = (queue[0][0] for queue in (self._taken, self._lifecycle, self._other) if queue)
        return min(heads, default=float("inf"))

    def _drop(self, record: OutgoingRecord, reason: DropReason) -> None:
        self._count_dropped(record.execution_id, reason)

    def _count_dropped(self, execution_id: UUID, reason: DropReason) -> None:
        self._dropped[reason] += 1
        if execution_id not in self._dropped_of:
            if len(self._dropped_of) >= _EXECUTIONS_KEPT_MAX:
                del self._dropped_of[next(iter(self._dropped_of))]
            self._dropped_of[execution_id] = Counter()
        self._dropped_of[execution_id][reason] += 1
        self._settled += 1
        self._changed.notify_all()
