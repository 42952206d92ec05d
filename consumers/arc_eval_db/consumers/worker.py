"""A long-lived consumer: reads the log, commits batches, and outlives whatever Kafka and the database do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from arc_eval_db.consumers.handler import ExecutionEventHandler, HandledBatch
from arc_eval_db.consumers.kafka import GroupSource, KafkaUnavailableError
from arc_eval_db.consumers.metrics import WorkerMetrics
from arc_eval_db.consumers.records import LogRecord
from arc_eval_db.consumers.settings import ConsumerSettings
from arc_eval_db.consumers.sink import CommitReport, ExactlyOnceSink
from arc_eval_db.database import BatchTooLargeError, DatabaseSettings, Session
from arc_eval_db.errors import RetryableError
from arc_eval_db.migrations import require_current_schema
from arc_eval_db.retries import Backoff
from arc_eval_db.schemas.topics import TopicNames
from arc_eval_db.settings import KafkaSettings
from arc_eval_db.writer import FencedError, OffsetRange, OffsetStore, TopicPartition

_BACKOFF_S_MIN = 0.25
_KAFKA_COMMIT_INTERVAL_S = 5.0

# Of the time that a stop may take, this share is the batch's; the rest is for leaving the group.
_DRAIN_SHARE = 0.7

# A fetch is answered within 100 ms, also where nothing is new; a busy broker or machine may take longer.
_SILENCE_GRACE_S = 5.0

log: structlog.stdlib.BoundLogger = structlog.get_logger("arc_eval_db.consumers")


@dataclass(slots=True)
class WorkerReport:
    """What a worker did from its start to its end."""

    records: int = 0
    inserted: int = 0
    duplicates: int = 0
    dead_letters: int = 0
    batches: int = 0
    fenced: int = 0
    seconds: float = 0.0
    caught_up: bool = False


class Worker:
    """Consumes every topic of the registry as a member of one group until it is stopped.

    Whatever fails for a passing reason is tried again for ever, with longer and longer pauses: no outage needs a
    person. `FatalError` ends the run: a person has to change something first.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        database: DatabaseSettings,
        consumer: ConsumerSettings,
        *,
        metrics: WorkerMetrics | None = None,
        until_caught_up: bool = False,
    ) -> None:
        """
        Args:
            until_caught_up: end when the group has everything that was in the log when the run began.
        """
        self.metrics = metrics or WorkerMetrics()
        self.report = WorkerReport()
        self._kafka = kafka
        self._database = database
        self._settings = consumer
        self._until_caught_up = until_caught_up
        self._topics = TopicNames(kafka.topic_prefix)
        self._handler = ExecutionEventHandler(self._topics)
        self._offsets = OffsetStore(consumer.group)
        self._sink = ExactlyOnceSink(self._offsets)
        self._backoff = Backoff(_BACKOFF_S_MIN, consumer.retry_backoff_s_max, share_min=0.5)
        self._stopping = asyncio.Event()
        self._positions: dict[TopicPartition, int] = {}
        self._records_max = consumer.batch_records_max
        self._session: Session | None = None
        self._targets: Mapping[TopicPartition, int] | None = None
        self._kafka_committed_at = 0.0

    def stop(self) -> None:
        """End the run after the batch in hand. May be called from a signal handler of the same event loop."""
        self._stopping.set()

    async def run(self) -> WorkerReport:
        """Consume until stopped or caught up.

        Raises:
            FatalError: going on needs a person; everything committed so far stays.
        """
        started = time.monotonic()
        log.info("worker_started", group=self._settings.group, topics=self._topics.all)
        consuming = asyncio.create_task(self._run())
        draining = asyncio.create_task(self._drain(consuming))
        try:
            await asyncio.wait({consuming})
            if not consuming.cancelled():
                consuming.result()
        finally:
            draining.cancel()
            consuming.cancel()
            await asyncio.wait({draining, consuming})
            self.report.seconds = time.monotonic() - started
            log.info("worker_stopped", **_fields(self.report))
        return self.report

    async def _drain(self, consuming: asyncio.Task[None]) -> None:
        """After a stop, give the batch in hand its time, then end it: it will be read again."""
        await self._stopping.wait()
        await asyncio.wait({consuming}, timeout=self._settings.drain_timeout_s * _DRAIN_SHARE)
        if not consuming.done():
            log.warning("drain_timed_out", seconds=self._settings.drain_timeout_s)
            if self._session is not None:
                # First, as asyncpg would otherwise ask a database that does not answer to cancel the statement.
                self._session.terminate()
            consuming.cancel()

    async def _run(self) -> None:
        while not self._stopping.is_set():
            source = GroupSource(self._kafka, self._settings, self._topics.all)
            try:
                await source.start()
                await self._set_targets(source)
                await self._consume(source)
                return
            except KafkaUnavailableError as error:
                await self._pause(error, source=None)
            finally:
                await source.close(self._settings.drain_timeout_s * (1 - _DRAIN_SHARE))

    async def _set_targets(self, source: GroupSource) -> None:
        if self._until_caught_up and self._targets is None:
            self._targets = {partition: bounds.end for partition, bounds in (await source.bounds()).items()}

    async def _consume(self, source: GroupSource) -> None:
        """Consume over one database connection after another."""
        while not self._stopping.is_set():
            try:
                async with await Session.connect(self._database, application_name="arc-eval-db consumer") as session:
                    self._session = session
                    await require_current_schema(session)
                    await self._consume_connected(source, session)
                    return
            except KafkaUnavailableError:
                raise
            except BatchTooLargeError as error:
                self._records_max = max(1, self._records_max // 2)
                await self._pause(error, source=source)
            except RetryableError as error:
                await self._pause(error, source=source)

    async def _consume_connected(self, source: GroupSource, session: Session) -> None:
        while not self._stopping.is_set():
            await self._position(source, session)
            records = await source.poll(self._records_max, self._settings.poll_timeout_s)
            try:
                if records:
                    await self._commit(session, records)
                    self._backoff.reset()
                    self._records_max = min(2 * self._records_max, self._settings.batch_records_max)
                else:
                    await self._skip_holes(source, session)
            except FencedError as error:
                self.report.fenced += 1
                self.metrics.count("arc_eval_consumer_fenced_total")
                log.warning("batch_fenced", partitions=[str(partition) for partition in error.partitions])
                # Whoever moved them is at work on them: the group needs a moment to agree who that is.
                await source.idle(_BACKOFF_S_MIN, self._stopping)
                continue
            self._note_progress(source, committed=bool(records))
            await self._commit_to_kafka(source)
            if await self._is_caught_up(session):
                log.info("caught_up", group=self._settings.group)
                self.report.caught_up = True
                break
        await self._commit_to_kafka(source, force=True)

    async def _position(self, source: GroupSource, session: Session) -> None:
        """Send newly assigned partitions to where the database says the group stands, and forget lost ones."""
        assigned = set(source.assigned())
        for lost in self._positions.keys() - assigned:
            del self._positions[lost]
        self.metrics.set("arc_eval_consumer_assigned_partitions", len(assigned))
        new = source.unpositioned()
        if not new:
            return
        stored = await self._offsets.read(session, new)
        if unseen := [partition for partition in new if partition not in stored]:
            bounds = await source.bounds(unseen)
            await self._offsets.start_at(session, {partition: bounds[partition].start for partition in unseen})
            stored = await self._offsets.read(session, new)
        self._positions |= stored
        source.seek(stored)
        log.info("partitions_positioned", offsets={str(partition): offset for partition, offset in stored.items()})

    def _note_progress(self, source: GroupSource, *, committed: bool) -> None:
        """Nothing to read is progress only as long as the broker says so."""
        # Partitions with records at hand are not asked for more: their silence says nothing.
        silent_s = 0.0 if committed else source.silent_s()
        if silent_s > self._kafka.request_timeout_ms / 1000 + _SILENCE_GRACE_S:
            raise KafkaUnavailableError(f"Kafka has not answered a fetch for {silent_s:.0f} s")
        if silent_s < _SILENCE_GRACE_S:
            self.metrics.set("arc_eval_consumer_progress_timestamp_seconds", time.time())

    async def _commit(self, session: Session, polled: Mapping[TopicPartition, list[LogRecord]]) -> None:
        started = time.monotonic()
        ranges = {
            partition: OffsetRange(self._positions[partition], records[-1].offset + 1)
            for partition, records in polled.items()
        }
        assert all(records[0].offset >= ranges[partition].first for partition, records in polled.items())
        batch = self._handler.handle(record for records in polled.values() for record in records)
        report = await self._sink.write(session, batch, ranges)
        self._positions |= {partition: offsets.end for partition, offsets in ranges.items()}
        self.metrics.count("arc_eval_consumer_nul_replaced_total", batch.nul_replaced)
        self._account(polled, report, time.monotonic() - started)

    async def _skip_holes(self, source: GroupSource, session: Session) -> None:
        """Move past offsets that hold no record (transaction markers, compaction), or the group would look behind."""
        ranges = {
            partition: OffsetRange(self._positions[partition], offset)
            for partition, offset in (await source.positions()).items()
            if offset > self._positions[partition]
        }
        if ranges:
            await self._sink.write(session, HandledBatch(), ranges)
            self._positions |= {partition: offsets.end for partition, offsets in ranges.items()}

    def _account(self, polled: Mapping[TopicPartition, list[LogRecord]], report: CommitReport, seconds: float) -> None:
        metrics = self.metrics
        for partition, records in polled.items():
            metrics.count("arc_eval_consumer_records_total", len(records), topic=partition.topic)
            metrics.set(
                "arc_eval_consumer_next_offset",
                self._positions[partition],
                topic=partition.topic,
                partition=str(partition.partition),
            )
        metrics.count("arc_eval_consumer_events_inserted_total", report.inserted)
        metrics.count("arc_eval_consumer_events_duplicate_total", report.duplicates)
        metrics.count("arc_eval_consumer_batches_total")
        metrics.observe("arc_eval_consumer_batch_seconds", seconds)
        for reason, amount in report.dead_letters.items():
            metrics.count("arc_eval_consumer_dead_letters_total", amount, reason=reason)
        if report.dead_letters:
            log.warning("dead_letters_written", **report.dead_letters)
        count = sum(len(records) for records in polled.values())
        self.report.records += count
        self.report.inserted += report.inserted
        self.report.duplicates += report.duplicates
        self.report.dead_letters += sum(report.dead_letters.values())
        self.report.batches += 1
        log.debug("batch_committed", records=count, inserted=report.inserted, duration_ms=round(seconds * 1000, 1))

    async def _commit_to_kafka(self, source: GroupSource, *, force: bool = False) -> None:
        """For tools that only look into Kafka; never read back."""
        if not force and time.monotonic() - self._kafka_committed_at < _KAFKA_COMMIT_INTERVAL_S:
            return
        self._kafka_committed_at = time.monotonic()
        if not await source.commit(self._positions):
            log.warning("kafka_commit_failed", group=self._settings.group)

    async def _is_caught_up(self, session: Session) -> bool:
        if self._targets is None:
            return False
        if any(offset < self._targets.get(partition, 0) for partition, offset in self._positions.items()):
            return False
        # The other partitions may be another member's: the database knows how far it is.
        stored = await self._offsets.read(session, list(self._targets))
        return all(stored.get(partition, -1) >= end for partition, end in self._targets.items())

    async def _pause(self, error: RetryableError, *, source: GroupSource | None) -> None:
        """Wait before the next attempt; with a source, as a member of the group."""
        seconds = self._backoff.next()
        cause = type(error).__name__
        self.metrics.count("arc_eval_consumer_retries_total", cause=cause)
        log.warning("attempt_failed", cause=cause, error=str(error), retry_in_s=round(seconds, 2))
        if source is not None:
            await source.idle(seconds, self._stopping)
            return
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return


def _fields(report: WorkerReport) -> dict[str, int | float | bool]:
    return {
        "records": report.records,
        "inserted": report.inserted,
        "duplicates": report.duplicates,
        "dead_letters": report.dead_letters,
        "batches": report.batches,
        "fenced": report.fenced,
        "seconds": round(report.seconds, 2),
    }
