"""What a program without Kafka records with."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

import structlog

from arc_eval_db.breaker import CircuitBreaker
from arc_eval_db.database import DatabaseSettings
from arc_eval_db.errors import FatalError
from arc_eval_db.metrics import Metrics
from arc_eval_db.recorder.flusher import Flusher
from arc_eval_db.recorder.queue import QueuedRecord, RecordQueue
from arc_eval_db.recorder.reports import (
    RECORDER_METRICS,
    CloseReport,
    FlushReport,
    RecorderClosedError,
    RecorderFullError,
    RecorderMetric,
    RecorderStats,
    RefusedRecord,
    UnwrittenRecordsError,
)
from arc_eval_db.records import ExecutionStart, Failure, Outcome, Record, ToolUse
from arc_eval_db.schemas.refusals import EventRefusedError, RefusalReason

_KINDS: dict[type[Record], str] = {
    ExecutionStart: "execution_start",
    Outcome: "outcome",
    ToolUse: "tool_use",
    Failure: "failure",
}

# A program that records without ever waiting for anything else would keep the flushes from going on. Each way through
# the event loop costs about as much as a tenth of a record.
_RECORDS_PER_TURN = 32

# A flush that is cancelled ends at once, its connection dropped.
_CANCEL_TIMEOUT_S = 5.0

# What a close may take in any case: the good-bye to the server, where all is written already.
_GOOD_BYE_S_MIN = 0.5

log: structlog.stdlib.BoundLogger = structlog.get_logger("arc_eval_db.recorder")


class BatchExecutionRecorder:
    """Writes records to the database in batches, in the background. Use with `async with`, from one event loop.

        async with BatchExecutionRecorder() as recorder:
            await recorder.record(Outcome(execution, "succeeded", score=0.82))

    - A record is checked at once: one that cannot become a row is refused with an error, and nothing is queued.
    - A flush begins when `flush_records` wait or the oldest has waited `flush_interval_s`, and takes all that waits, up
      to `batch_records_max`, in one transaction. The database sees each record once, however often a flush is repeated.
    - A record that the database refuses is reported by itself (`on_report`); its neighbours are written.
    - While the database is away the flush is repeated, behind a circuit breaker, until the recorder is closed. Records
      wait in the queue; when it is full, `record` waits for room and then raises, and the caller still has the record.
    - No record is dropped: each is written, reported as refused, or given back by `close`.
    """

    def __init__(
        self,
        settings: DatabaseSettings | None = None,
        *,
        flush_records: int = 100,
        flush_interval_s: float = 30.0,
        batch_records_max: int = 5000,
        queue_records_max: int = 20_000,
        enqueue_timeout_s: float = 10.0,
        close_timeout_s: float = 30.0,
        on_report: Callable[[FlushReport], None] | None = None,
        metrics: Metrics[RecorderMetric] | None = None,
        breaker: CircuitBreaker | None = None,
    ) -> None:
        """
        Args:
            settings: how to reach the database; by default from the environment (`ARC_EVAL_DATABASE_URL`).
            flush_records: this many waiting records begin a flush.
            flush_interval_s: no record waits longer than this many seconds for a flush to begin.
            batch_records_max: at most this many records in one transaction.
            queue_records_max: at most this many records wait.
            enqueue_timeout_s: `record` waits this many seconds for room in a full queue.
            close_timeout_s: leaving the block waits this many seconds for everything to be written.
            on_report: called after each flush that was committed, in the event loop: it must not block.
            metrics: made from `RECORDER_METRICS`; by default in a registry of their own.
            breaker: by default one of this recorder's own.

        Raises:
            SettingsError: a setting is missing or wrong.
            ValueError: a limit makes no sense.
        """
        if not 1 <= flush_records <= queue_records_max:
            raise ValueError("flush_records must be from 1 to queue_records_max")
        if batch_records_max < 1 or flush_interval_s <= 0 or enqueue_timeout_s < 0 or close_timeout_s < 0:
            raise ValueError("batch_records_max and flush_interval_s must be above 0, time-outs at least 0")
        self.metrics = metrics or Metrics(RECORDER_METRICS)
        self._enqueue_timeout_s = enqueue_timeout_s
        self._close_timeout_s = close_timeout_s
        self._breaker = breaker or CircuitBreaker()
        self._queue = RecordQueue(queue_records_max, flush_records, flush_interval_s)
        self._flusher = Flusher(
            self._queue,
            settings or DatabaseSettings.load(),
            self._breaker,
            self.metrics,
            batch_records_max,
            self._after_flush,
        )
        self._on_report = on_report
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._is_given_back = False
        self._refused: Counter[str] = Counter()
        self._kinds: Counter[type[Record]] = Counter()
        self._turn = 0

    async def __aenter__(self) -> Self:
        if self._task is not None:
            raise RecorderClosedError("a recorder can be opened once")
        self._task = asyncio.create_task(self._flusher.run(), name="arc-eval-db recorder")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close. Another exception that is on its way goes on; how many records are unwritten is logged then.

        What an earlier `close` has given back is not given back again.

        Raises:
            UnwrittenRecordsError: not everything could be written; the error has the records.
            FatalError: the recorder had stopped, with nothing left to write.
        """
        if self._is_given_back:
            return
        failure: FatalError | None = None
        try:
            await self.close()
        except FatalError as fatal:
            failure = fatal
        unwritten = self.unwritten
        if error is not None:
            if unwritten:
                log.error("records_unwritten", records=len(unwritten))
        elif unwritten:
            raise UnwrittenRecordsError(unwritten) from failure
        elif failure is not None:
            raise failure

    async def record(self, record: Record) -> None:
        """Check and queue one record; while the queue is full, wait at most `enqueue_timeout_s` for room.

        A cancelled call has queued nothing.

        Raises:
            EventRefusedError: the record cannot become a row; the message names the field. Nothing was queued.
            RecorderFullError: no room in time. Nothing was queued.
            RecorderClosedError: the recorder is not open.
            FatalError: the recorder stopped, as the database's schema or the role's rights do not fit.
        """
        item = self._checked(record)
        self._turn += 1
        if self._turn >= _RECORDS_PER_TURN:
            await self._give_way()
        if self._queue.is_full:
            await self._wait_for_room()
        self._put(item)

    def record_nowait(self, record: Record) -> None:
        """`record` without waiting: a full queue raises RecorderFullError at once. Call it in the event loop.

        Nothing is written before the caller awaits something.
        """
        item = self._checked(record)
        if self._queue.is_full:
            raise RecorderFullError(0.0)
        self._put(item)

    async def record_many(self, records: Iterable[Record]) -> list[RefusedRecord]:
        """Queue those of `records` that can become rows, and return the others, each with its place and the error.

        Raises:
            RecorderFullError: no room in time; `taken` says how many records, from the first, are dealt with.
            RecorderClosedError, FatalError: as `record`.
        """
        refused: list[RefusedRecord] = []
        for index, record in enumerate(records):
            try:
                item = self._checked(record)
                if index % _RECORDS_PER_TURN == 0:
                    await self._give_way()
                if self._queue.is_full:
                    await self._wait_for_room()
                self._put(item)
            except EventRefusedError as error:
                refused.append(RefusedRecord(record, error, index))
            except RecorderFullError as error:
                raise RecorderFullError(self._enqueue_timeout_s, taken=index, refused=refused) from error
        return refused

    async def flush(self, timeout_s: float = 30.0) -> bool:
        """Write everything recorded so far, without waiting for the number or the interval.

        Returns whether all of it is done (written, or reported as refused) within `timeout_s` seconds; what is not
        stays in the queue and is tried again.

        Raises:
            RecorderClosedError: the recorder is not open.
            FatalError: the recorder stopped.
        """
        task = self._check_open()
        target = self._queue.want_all()
        await self._queue.wait_until(lambda: self._queue.done >= target or task.done(), timeout_s)
        self._raise_failure()
        return self._queue.done >= target

    async def close(self, timeout_s: float | None = None) -> CloseReport:
        """Write what can be written within `timeout_s` seconds (by default `close_timeout_s`), and stop. Idempotent.

        Raises:
            FatalError: the recorder had stopped; what is not written is in `unwritten`.
        """
        deadline = time.monotonic() + (self._close_timeout_s if timeout_s is None else timeout_s)
        self._closed = True
        self._queue.close()
        if self._task is not None:
            try:
                await asyncio.wait({self._task}, timeout=max(0.0, deadline - time.monotonic()))
            finally:
                if not self._task.done():
                    # First, as asyncpg would otherwise ask a database that does not answer to cancel the statement.
                    self._flusher.terminate()
                    self._task.cancel()
            await asyncio.wait({self._task}, timeout=_CANCEL_TIMEOUT_S)
            await self._flusher.close(max(_GOOD_BYE_S_MIN, deadline - time.monotonic()))
        self._publish()
        self._raise_failure()
        self._is_given_back = True
        return CloseReport(self.stats(), self.unwritten)

    @property
    def unwritten(self) -> tuple[Record, ...]:
        """What waits, oldest first, with the ids that it got: recorded again, it is stored once."""
        return tuple(item.identified() for item in self._queue.first(len(self._queue)))

    def stats(self) -> RecorderStats:
        """What happened so far."""
        flusher = self._flusher
        refused = dict(self._refused)
        if flusher.refused:
            refused[RefusalReason.REFUSED_BY_DATABASE.value] = flusher.refused
        return RecorderStats(
            recorded=self._queue.taken,
            inserted=flusher.inserted,
            duplicates=flusher.duplicates,
            refused=refused,
            flushes=flusher.flushes,
            retries=flusher.retries,
            waiting=len(self._queue),
            breaker=self._breaker.state,
        )

    def _checked(self, record: Record) -> QueuedRecord:
        self._check_open()
        try:
            return QueuedRecord.of(record)
        except EventRefusedError as error:
            self._refused[error.reason.value] += 1
            self.metrics.count("arc_eval_recorder_refused_total", reason=error.reason.value)
            raise

    def _put(self, item: QueuedRecord) -> None:
        self._queue.put(item)
        self._kinds[type(item.record)] += 1

    async def _give_way(self) -> None:
        self._turn = 0
        self._publish()
        await asyncio.sleep(0)

    async def _wait_for_room(self) -> None:
        task = self._check_open()
        has_room = await self._queue.wait_until(
            lambda: not self._queue.is_full or self._closed or task.done(), self._enqueue_timeout_s
        )
        self._check_open()
        if not has_room:
            raise RecorderFullError(self._enqueue_timeout_s)

    def _check_open(self) -> asyncio.Task[None]:
        if self._task is None or self._closed:
            raise RecorderClosedError
        if self._task.done():
            self._raise_failure()
        return self._task

    def _raise_failure(self) -> None:
        if self._task is not None and self._task.done() and not self._task.cancelled():
            failure = self._task.exception()
            if failure is not None:
                raise failure

    def _after_flush(self, report: FlushReport) -> None:
        self._publish()
        if self._on_report is not None:
            self._on_report(report)

    def _publish(self) -> None:
        """Hand the counts to the metrics; for each record it would cost as much as a tenth of the record."""
        for kind, count in self._kinds.items():
            self.metrics.count("arc_eval_recorder_records_total", count, kind=_KINDS[kind])
        self._kinds.clear()
