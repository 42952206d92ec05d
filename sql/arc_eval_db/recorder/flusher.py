"""Writes what waits in a recorder's queue, over one connection after another, until the queue is closed and empty."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence

import structlog

from arc_eval_db.breaker import BreakerState, CircuitBreaker
from arc_eval_db.database import (
    BatchTooLargeError,
    DatabaseSettings,
    RowRefusedError,
    Session,
    TransactionConflictError,
)
from arc_eval_db.errors import FatalError, PoisonError, RetryableError
from arc_eval_db.metrics import Metrics
from arc_eval_db.recorder.queue import QueuedRecord, RecordQueue
from arc_eval_db.recorder.reports import FlushReport, RecorderMetric, RefusedRecord
from arc_eval_db.retries import Backoff
from arc_eval_db.schemas.refusals import RefusalReason
from arc_eval_db.writer import BatchWriter, RefusedRow, RowReport

APPLICATION_NAME = "arc-eval-db recorder"

_BACKOFF_S_MIN = 0.1
_BACKOFF_S_MAX = 5.0

_STATE_NUMBERS = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}

log: structlog.stdlib.BoundLogger = structlog.get_logger("arc_eval_db.recorder")


class Flusher:
    """The one task that talks to the database. Whatever fails for a passing reason is tried again for ever."""

    def __init__(
        self,
        queue: RecordQueue,
        settings: DatabaseSettings,
        breaker: CircuitBreaker,
        metrics: Metrics[RecorderMetric],
        batch_records_max: int,
        on_report: Callable[[FlushReport], None],
    ) -> None:
        self.inserted = 0
        self.duplicates = 0
        self.refused = 0
        self.flushes = 0
        self.retries = 0
        self._queue = queue
        self._settings = settings
        self._breaker = breaker
        self._metrics = metrics
        self._on_report = on_report
        self._writer = BatchWriter()
        self._backoff = Backoff(_BACKOFF_S_MIN, _BACKOFF_S_MAX)
        self._batch_records_max = batch_records_max
        self._batch_records = batch_records_max
        self._session: Session | None = None

    async def run(self) -> None:
        """Write until the queue is closed and empty.

        Raises:
            FatalError: going on needs a person. What was not written is still in the queue.
        """
        try:
            while await self._queue.due():
                if self._breaker.allows():
                    await self._flush()
                else:
                    await asyncio.sleep(self._breaker.wait_s)
        finally:
            self._queue.wake_waiting()

    def terminate(self) -> None:
        """Drop the connection at once; a flush under way ends with an error."""
        if self._session is not None:
            self._session.terminate()
            self._session = None

    async def close(self, timeout_s: float) -> None:
        """Say good-bye to the server, or drop the connection when that takes longer than `timeout_s`."""
        if self._session is None:
            return
        try:
            async with asyncio.timeout(timeout_s):
                await self._session.close()
        except TimeoutError:
            self._session.terminate()
        finally:
            self._session = None

    async def _flush(self) -> None:
        batch = self._queue.first(self._batch_records)
        self._metrics.set("arc_eval_recorder_queue_records", len(self._queue))
        started = time.monotonic()
        try:
            report = await self._write(batch)
        except FatalError:
            self._breaker.succeeded()
            raise
        except RetryableError as error:
            await self._pause(error, len(batch))
        except PoisonError as error:
            self._breaker.succeeded()
            self._isolate(error, batch, started)
        except Exception as error:
            self._breaker.abandoned()
            raise FatalError(f"the recorder stopped: {type(error).__name__}; what was not written is kept") from error
        except BaseException:
            self._breaker.abandoned()
            raise
        else:
            self._succeed()
            self._account(batch, report, time.monotonic() - started)
        self._note_breaker()

    async def _write(self, batch: Sequence[QueuedRecord]) -> RowReport:
        if self._session is None or self._session.is_closed:
            self._session = await Session.connect(self._settings, application_name=APPLICATION_NAME)
        async with self._session.transaction():
            return await self._writer.write_rows(self._session, [item.row for item in batch])

    def _succeed(self) -> None:
        self._breaker.succeeded()
        self._backoff.reset()
        self._batch_records = min(2 * self._batch_records, self._batch_records_max)

    def _account(self, batch: Sequence[QueuedRecord], report: RowReport, seconds: float) -> None:
        # Nothing is awaited between the commit and this line: a record is never both written and still waiting.
        self._queue.remove_first(len(batch))
        refused = tuple(
            RefusedRecord(batch[found.index].identified(), found.error, found.index) for found in report.refused
        )
        self.inserted += report.inserted
        self.duplicates += report.duplicates
        self.refused += len(refused)
        self.flushes += 1
        metrics = self._metrics
        metrics.count("arc_eval_recorder_inserted_total", report.inserted)
        metrics.count("arc_eval_recorder_duplicates_total", report.duplicates)
        metrics.observe("arc_eval_recorder_flush_seconds", seconds)
        metrics.set("arc_eval_recorder_flush_records", len(batch))
        metrics.set("arc_eval_recorder_queue_records", len(self._queue))
        if refused:
            reason = RefusalReason.REFUSED_BY_DATABASE.value
            metrics.count("arc_eval_recorder_refused_total", len(refused), reason=reason)
            states = Counter(str(found.error.sqlstate) for found in report.refused)
            log.warning("records_refused", records=len(refused), sqlstates=dict(states))
        log.debug("flush_committed", records=len(batch), inserted=report.inserted, duration_ms=round(seconds * 1000, 1))
        self._report(FlushReport(len(batch), report.inserted, report.duplicates, refused, seconds))

    def _report(self, report: FlushReport) -> None:
        try:
            self._on_report(report)
        except Exception:  # the user's function; its error must not stop the recording
            log.exception("report_failed", records=report.records, refused=len(report.refused))

    async def _pause(self, error: RetryableError, records: int) -> None:
        if isinstance(error, TransactionConflictError | BatchTooLargeError):
            self._breaker.succeeded()
        else:
            is_lost = self._session is not None
            self.terminate()
            self._breaker.failed(lost_connection=is_lost)
        if isinstance(error, BatchTooLargeError):
            self._batch_records = max(1, records // 2)
        self.retries += 1
        cause = type(error).__name__
        self._metrics.count("arc_eval_recorder_retries_total", cause=cause)
        self._note_breaker()
        seconds = self._breaker.wait_s or self._backoff.next()
        log.warning(
            "flush_failed", cause=cause, error=str(error), retry_in_s=round(seconds, 2), waiting=len(self._queue)
        )
        await asyncio.sleep(seconds)

    def _isolate(self, error: PoisonError, batch: Sequence[QueuedRecord], started: float) -> None:
        """A refusal that came too late for the writer to find the row, as from a check at the commit."""
        if len(batch) > 1:
            self._batch_records = len(batch) // 2
            return
        refusal = error if isinstance(error, RowRefusedError) else RowRefusedError(str(error))
        report = RowReport(refused=[RefusedRow(0, refusal)])
        self._account(batch, report, time.monotonic() - started)

    def _note_breaker(self) -> None:
        self._metrics.set("arc_eval_recorder_breaker_state", _STATE_NUMBERS[self._breaker.state])
