"""The bounded queue between `emit` and the sender: what is dropped when it is full, and the count of it."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from enum import Enum, IntEnum, StrEnum
from functools import partial
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from arc_eval_db.schemas.topics import COMPLETED, FAILURE_RECORDED, STARTED

if TYPE_CHECKING:
    from arc_eval_db.producers.spool_segments import SpoolPlace

# Drops of an execution are kept until its terminal event has taken them; of late drops the oldest are forgotten.
_EXECUTIONS_KEPT_MAX = 10_000


class DropReason(StrEnum):
    """Why an event was never sent. Terminal events carry these counts."""

    QUEUE_FULL = "queue_full"
    TOO_LARGE = "too_large"
    NOT_SERIALIZABLE = "not_serializable"
    REFUSED_BY_BROKER = "refused_by_broker"
    UNDELIVERED = "undelivered"
    """Still waiting, and not in the spool, when the deadline of `close` was over or when the sender gave up."""


class Importance(IntEnum):
    """What is dropped last when room is short."""

    ORDINARY = 0
    LIFECYCLE = 1
    """Started, failed."""
    TERMINAL = 2
    """Completed: carries the outcome, and the counts of what was dropped."""


# A tuple is made in half the time that a frozen dataclass takes.
class OutgoingRecord(NamedTuple):
    """One event, ready to be sent."""

    topic: str
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]
    timestamp_ms: int
    execution_id: UUID
    importance: Importance


_IMPORTANCE = {
    STARTED: Importance.LIFECYCLE,
    FAILURE_RECORDED: Importance.LIFECYCLE,
    COMPLETED: Importance.TERMINAL,
}


def importance_of(event_type: str) -> Importance:
    """How important the events of a type are."""
    return _IMPORTANCE.get(event_type, Importance.ORDINARY)


class Queue(Enum):
    """Which records to take."""

    ALL = "all"
    LIFECYCLE = "lifecycle"
    ORDINARY = "ordinary"


class Batch:
    """Records that are taken, put into the spool and settled together. Changed by `Outbox` and nobody else."""

    __slots__ = ("count", "first", "place", "records")

    def __init__(self, first: int, records: list[OutgoingRecord], place: SpoolPlace | None = None) -> None:
        self.first = first
        """The number of its first record in the order of appending."""
        self.records: list[OutgoingRecord] | None = records
        """None: they are in the spool alone."""
        self.count = len(records)
        self.place = place
        """Where in the spool they are; None: nowhere."""


class Outbox:
    """A queue bounded in records and bytes. Every method may be called from any thread; one thread takes and settles.

    Every event is counted in when it is appended and counted out, once, when it is sent or dropped; between the two it
    is pending, or in the spool.

    A signal handler may emit while it interrupts this very thread in here. What it wants is then done when the
    interrupted call is over.
    """

    def __init__(self, records_max: int, bytes_max: int) -> None:
        self._records_max = records_max
        self._bytes_max = bytes_max
        self._lifecycle: deque[tuple[int, OutgoingRecord]] = deque()
        self._ordinary: deque[tuple[int, OutgoingRecord]] = deque()
        self._taken: dict[Batch, None] = {}
        self._bytes = 0
        self._appended = 0
        self._settled = 0
        self._sent = 0
        self._spooled = 0
        self._dropped: Counter[DropReason] = Counter()
        self._dropped_of: dict[UUID, Counter[DropReason]] = {}
        self._closed = False
        self._is_sending = True
        # The lock is taken directly where nobody needs to be told: a Condition's own methods cost ten times as much.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._busy = False
        self._postponed: deque[Callable[[], object]] = deque()

    def append(self, record: OutgoingRecord) -> bool:
        """Queue a record, dropping less important ones to make room; False when this one was dropped instead."""
        with self._lock:
            if self._busy:
                self._postponed.append(partial(self.append, record))
                return True
            self._busy = True
            try:
                self._appended += 1
                if self._closed:
                    self._drop(record, DropReason.UNDELIVERED)
                    return False
                size = len(record.value)
                if self._is_full(size) and not self._make_room(size, record.importance):
                    self._drop(record, DropReason.QUEUE_FULL)
                    return False
                queue = self._lifecycle if record.importance else self._ordinary
                queue.append((self._appended, record))
                self._bytes += size
                return True
            finally:
                self._busy = False
                if self._postponed:
                    self._do_postponed()

    def count_dropped(self, execution_id: UUID, reason: DropReason) -> None:
        """An event was lost before it became a record."""
        with self._lock:
            if self._busy:
                self._postponed.append(partial(self.count_dropped, execution_id, reason))
                return
        with self._undisturbed():
            self._appended += 1
            self._count_dropped(execution_id, reason)

    def make_room(self, size: int) -> None:
        """Drop now what a terminal record of `size` bytes would push out, so that its counts can include it."""
        with self._undisturbed():
            self._make_room(size, Importance.TERMINAL)

    def take(self, records_max: int, bytes_max: int, queue: Queue = Queue.ALL) -> Batch | None:
        """Remove records in the order they were queued, at least one if there is one. `settle` them later."""
        taken: list[tuple[int, OutgoingRecord]] = []
        size = 0
        with self._lock:
            while len(taken) < records_max and (source := self._next_of(queue)):
                length = len(source[0][1].value)
                if taken and size + length > bytes_max:
                    break
                taken.append(source.popleft())
                self._bytes -= length
                size += length
            if not taken:
                return None
            batch = Batch(taken[0][0], [record for _, record in taken])
            self._taken[batch] = None
            return batch

    def put_in_spool(self, batch: Batch, place: SpoolPlace) -> bool:
        """The records are on the disk; False when they are settled already."""
        with self._lock:
            if batch not in self._taken:
                return False
            batch.place = place
            self._spooled += batch.count
            if not self._is_sending:
                self._changed.notify_all()
            return True

    def evict(self, batch: Batch, into: Batch | None) -> None:
        """Keep the records on the disk alone; `into` is what was evicted just before and goes on in the same place."""
        with self._lock:
            batch.records = None
            if into is not None:
                assert into.place is not None, "only what is in the spool is evicted"
                assert batch.place is not None, "only what is in the spool is evicted"
                into.place = into.place.joined_with(batch.place)
                into.count += batch.count
                # Lifecycle events may have gone into the spool before what was emitted before them.
                into.first = min(into.first, batch.first)
                self._taken.pop(batch, None)

    def read_back(self, batch: Batch, records: list[OutgoingRecord], place: SpoolPlace) -> Batch:
        """The first of an evicted batch's records are in memory again, as a batch of their own."""
        with self._lock:
            part = Batch(batch.first, records, place)
            assert batch.place is not None, "only what is in the spool was evicted"
            batch.place = batch.place.after(place)
            batch.count -= part.count
            if batch in self._taken:
                self._taken[part] = None
                if not batch.count:
                    del self._taken[batch]
            return part

    def leave(self, batch: Batch) -> None:
        """Nobody will send these records; they stay in the spool and are counted there."""
        with self._changed:
            self._taken.pop(batch, None)
            self._changed.notify_all()

    def settle(self, batch: Batch, refused: Collection[int] = ()) -> None:
        """The records were sent, except those at the positions `refused`, which never will be."""
        with self._changed:
            if batch not in self._taken:
                return  # by a sender that was given up and came back
            del self._taken[batch]
            if batch.place is not None:
                self._spooled -= batch.count
            for position, record in enumerate(batch.records or ()):
                if position in refused:
                    self._drop(record, DropReason.REFUSED_BY_BROKER)
                else:
                    self._sent += 1
                    self._settled += 1
            self._changed.notify_all()

    def stop_sending(self) -> None:
        """Nothing more will be sent; nobody needs to wait for what is in the spool."""
        with self._changed:
            self._is_sending = False
            self._changed.notify_all()

    def close(self) -> None:
        """Drop as undelivered what is not in the spool, and whatever is appended from now on. Idempotent."""
        with self._undisturbed():
            self._closed = True
            unsafe = [record for batch in self._taken if batch.place is None for record in batch.records or ()]
            unsafe += (record for _, record in (*self._lifecycle, *self._ordinary))
            self._taken.clear()
            self._lifecycle.clear()
            self._ordinary.clear()
            self._bytes = 0
            for record in unsafe:
                self._drop(record, DropReason.UNDELIVERED)
            self._changed.notify_all()

    def dropped_of(self, execution_id: UUID) -> dict[str, int]:
        """Drop counts by reason of one execution."""
        with self._lock:
            return {reason.value: count for reason, count in list(self._dropped_of.get(execution_id, {}).items())}

    def forget(self, execution_id: UUID) -> None:
        """Free what is kept for an execution that has ended."""
        with self._lock:
            if not self._busy:
                self._dropped_of.pop(execution_id, None)

    def wait_settled(self, timeout: float) -> bool:
        """Wait until everything queued so far is sent or dropped; False when the time is over first."""
        with self._changed:
            last = self._appended
            return self._changed.wait_for(lambda: self._oldest() > last, min(timeout, threading.TIMEOUT_MAX))

    @property
    def waiting(self) -> int:
        """Records that nobody has taken yet."""
        return len(self._lifecycle) + len(self._ordinary)

    @property
    def pending(self) -> int:
        """Records neither sent nor dropped yet, and not in the spool."""
        with self._lock:
            return self._appended - self._settled - self._spooled

    @property
    def sent(self) -> int:
        """Records that the broker has."""
        with self._lock:
            return self._sent

    @property
    def spooled(self) -> int:
        """Records that the spool has, and the broker not."""
        with self._lock:
            return self._spooled

    @property
    def dropped(self) -> dict[str, int]:
        """Drop counts by reason."""
        with self._lock:
            return {reason.value: count for reason, count in list(self._dropped.items())}

    @contextmanager
    def _undisturbed(self) -> Iterator[None]:
        """The lock, for what is called seldom: `append` spells it out because this costs a microsecond."""
        with self._lock:
            was_busy, self._busy = self._busy, True
            try:
                yield
            finally:
                self._busy = was_busy
                if not was_busy:
                    self._do_postponed()

    def _do_postponed(self) -> None:
        while self._postponed:
            self._postponed.popleft()()

    def _is_full(self, size: int) -> bool:
        waiting = len(self._lifecycle) + len(self._ordinary)
        return waiting >= self._records_max or (waiting > 0 and self._bytes + size > self._bytes_max)

    def _make_room(self, size: int, importance: Importance) -> bool:
        while self._is_full(size):
            victim = self._newest_below(importance)
            if victim is None:
                return False
            self._bytes -= len(victim.value)
            self._drop(victim, DropReason.QUEUE_FULL)
        return True

    def _newest_below(self, importance: Importance) -> OutgoingRecord | None:
        """Take the least important out, if it is less so than `importance`: what happened first explains the rest."""
        if importance and self._ordinary:
            return self._ordinary.pop()[1]
        if importance is Importance.TERMINAL:
            for index in range(len(self._lifecycle) - 1, -1, -1):
                record = self._lifecycle[index][1]
                if record.importance is Importance.LIFECYCLE:
                    del self._lifecycle[index]
                    return record
        return None

    def _next_of(self, queue: Queue) -> deque[tuple[int, OutgoingRecord]]:
        if queue is Queue.LIFECYCLE or not self._ordinary:
            return self._lifecycle if queue is not Queue.ORDINARY else self._ordinary
        if queue is Queue.ORDINARY or not self._lifecycle:
            return self._ordinary
        return self._lifecycle if self._lifecycle[0][0] < self._ordinary[0][0] else self._ordinary

    def _oldest(self) -> float:
        taken = (batch.first for batch in self._taken if self._is_sending or batch.place is None)
        heads = (queue[0][0] for queue in (self._lifecycle, self._ordinary) if queue)
        return min((*taken, *heads), default=float("inf"))

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
