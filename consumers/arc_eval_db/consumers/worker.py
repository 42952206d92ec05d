"""A long-lived consumer: reads the log, commits batches, and outlives whatever Kafka and the database do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

import structlog

from arc_eval_db.breaker import BreakerState, CircuitBreaker
from arc_eval_db.consumers.account import Account, WorkerReport
from arc_eval_db.consumers.dead_letter_limit import DeadLetterLimit
from arc_eval_db.consumers.handler import ExecutionEventHandler, HandledBatch
from arc_eval_db.consumers.kafka import GroupSource, KafkaUnavailableError
from arc_eval_db.consumers.lag.notes import Activity, WorkerNote
from arc_eval_db.consumers.lag.sampling import LagSampler
from arc_eval_db.consumers.metrics import WorkerMetrics
from arc_eval_db.consumers.positioning import Positioner, anchor_of
from arc_eval_db.consumers.pulse import Pulse
from arc_eval_db.consumers.read_ahead import PolledBatch, ReadAhead
from arc_eval_db.consumers.settings import ConsumerSettings
from arc_eval_db.consumers.sink import ExactlyOnceSink
from arc_eval_db.consumers.standby import StandbyCheck
from arc_eval_db.consumers.watchdog import StalledError, Watchdog
from arc_eval_db.database import BatchTooLargeError, DatabaseSettings, DatabaseUnavailableError, Session
from arc_eval_db.errors import RetryableError
from arc_eval_db.migrations import require_current_schema
from arc_eval_db.retries import Backoff
from arc_eval_db.schemas.topics import TopicNames
from arc_eval_db.settings import KafkaSettings
from arc_eval_db.writer import FencedError, OffsetRange, OffsetStore, TopicPartition

_BACKOFF_S_MIN = 0.25
_KAFKA_COMMIT_INTERVAL_S = 5.0

# A database that comes back is asked with a small batch whether it takes rows again.
_PROBE_RECORDS_MAX = 100

# Of the time that a stop may take, this share is the batch's; the rest is for leaving the group.
_DRAIN_SHARE = 0.7

# A fetch is answered within 100 ms, also where nothing is new; a busy broker or machine may take longer.
_SILENCE_GRACE_S = 5.0

log: structlog.stdlib.BoundLogger = structlog.get_logger("arc_eval_db.consumers")


class Worker:
    """Consumes every topic of the registry as a member of one group until it is stopped.

    Whatever fails for a passing reason is tried again for ever, with longer and longer pauses: no outage needs a
    person. A database that does not answer is left alone by a circuit breaker, and the worker stays in its group
    meanwhile. A worker that stops moving starts over. `FatalError` ends the run: a person has to change something
    first.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        database: DatabaseSettings,
        consumer: ConsumerSettings,
        *,
        metrics: WorkerMetrics | None = None,
        until_caught_up: bool = False,
        between_batches: Callable[[], None] = lambda: None,
    ) -> None:
        """
        Args:
            until_caught_up: end when the group has everything that was in the log when the run began.
            between_batches: called after each batch, about twice a second where there is none, and before each pause.
        """
        self.metrics = metrics or WorkerMetrics()
        self.report = WorkerReport()
        self.pulse = Pulse()
        self._account = Account(self.report, self.metrics)
        self._kafka = kafka
        self._database = database
        self._settings = consumer
        self._until_caught_up = until_caught_up
        self._between_batches = between_batches
        self._topics = TopicNames(kafka.topic_prefix)
        self._handler = ExecutionEventHandler(self._topics)
        self._offsets = OffsetStore(consumer.group)
        self._positioner = Positioner(self._offsets, self.metrics, halt_is_fatal=until_caught_up)
        self._limit = DeadLetterLimit(consumer.dead_letter_share_max, consumer.dead_letter_window_records)
        self._sink = ExactlyOnceSink(self._offsets, self._limit)
        self._backoff = Backoff(_BACKOFF_S_MIN, consumer.retry_backoff_s_max, share_min=0.5)
        self._breaker = CircuitBreaker(
            failures_max=1,
            open_s=min(_BACKOFF_S_MIN, consumer.retry_backoff_s_max),
            open_s_max=consumer.retry_backoff_s_max,
            on_change=self._account.breaker_changed,
        )
        self._sampler = LagSampler(
            kafka,
            database,
            consumer.group,
            consumer.lag_sample_interval_s,
            self.metrics,
            positions=lambda: self._positions,
            may_write=lambda: self._breaker.state is not BreakerState.OPEN,
        )
        self._watchdog = Watchdog(consumer.stall_timeout_s)
        self._standby = StandbyCheck(consumer.session_timeout_s + _SILENCE_GRACE_S)
        self._stopping = asyncio.Event()
        self._positions: dict[TopicPartition, int] = {}
        self._records_max = consumer.batch_records_max
        self._session: Session | None = None
        self._targets: Mapping[TopicPartition, int] | None = None
        self._kafka_committed_at = 0.0
        self._noted = Activity.CONSUMING
        self._times: dict[TopicPartition, tuple[float, float]] = {}
        """Of each partition's last batch: seconds from Kafka to here, and from here into the database."""

    def stop(self) -> None:
        """End the run after the batch in hand. May be called from a signal handler of the same event loop."""
        self.pulse.is_draining = True
        self._stopping.set()

    async def run(self) -> WorkerReport:
        """Consume until stopped or caught up.

        Raises:
            FatalError: going on needs a person; everything committed so far stays.
        """
        started = time.monotonic()
        log.info("worker_started", group=self._settings.group, topics=self._topics.all)
        consuming = asyncio.create_task(self._run())
        sampling = asyncio.create_task(self._sample_lag())
        draining = asyncio.create_task(self._drain(consuming, sampling))
        try:
            await asyncio.wait({consuming})
            if not consuming.cancelled():
                consuming.result()
        finally:
            draining.cancel()
            consuming.cancel()
            self._end_sampling(sampling)
            await asyncio.wait({draining, sampling, consuming})
            self.report.seconds = time.monotonic() - started
            self._account.stopped()
        return self.report

    async def _drain(self, consuming: asyncio.Task[None], sampling: asyncio.Task[None]) -> None:
        """After a stop, give the batch in hand its time, then end it: it will be read again."""
        await self._stopping.wait()
        self._end_sampling(sampling)
        await asyncio.wait({consuming}, timeout=self._settings.drain_timeout_s * _DRAIN_SHARE)
        if not consuming.done():
            log.warning("drain_timed_out", seconds=self._settings.drain_timeout_s)
            consuming.cancel()

    async def _sample_lag(self) -> None:
        if self._settings.lag_sample_interval_s:
            await self._sampler.run()

    def _end_sampling(self, sampling: asyncio.Task[None]) -> None:
        self._sampler.stop()
        if not sampling.cancelling():  # a second time would break off how it lets go of its connections
            sampling.cancel()

    async def _run(self) -> None:
        """Consume over one Kafka client after another."""
        while not self._stopping.is_set():
            try:
                await self._watchdog.guard(self._run_client(), before_cancel=self._drop_session)
                return
            except StalledError as error:
                self.metrics.count("arc_eval_consumer_stalls_total")
                self._records_max = min(self._records_max, _PROBE_RECORDS_MAX)
                await self._pause(error, source=None)
            except KafkaUnavailableError as error:
                await self._pause(error, source=None)

    async def _run_client(self) -> None:
        source = GroupSource(self._kafka, self._settings, self._topics.all)
        kafka_s = self._kafka.request_timeout_ms / 1000
        self.pulse.moved("joining the group", allowed_s=kafka_s + self._settings.session_timeout_s)
        try:
            await source.start()
            await self._set_targets(source)
            await self._consume(source)
        finally:
            self.pulse.has_joined = False
            close_s = self._settings.drain_timeout_s * (1 - _DRAIN_SHARE)
            self.pulse.moved("leaving the group", allowed_s=close_s)
            await source.close(close_s)

    def _drop_session(self) -> None:
        # asyncpg would otherwise ask a database that does not answer to cancel the statement.
        if self._session is not None:
            self._session.terminate()

    async def _set_targets(self, source: GroupSource) -> None:
        if self._until_caught_up and self._targets is None:
            self._targets = {partition: bounds.end for partition, bounds in (await source.bounds()).items()}

    async def _consume(self, source: GroupSource) -> None:
        """Consume over one database connection after another."""
        while not self._stopping.is_set():
            if not self._breaker.allows():
                await self._commit_to_kafka(source)
                await self._wait(self._breaker.wait_s, source=source)
                continue
            connect_s = self._database.database_connect_timeout_s
            self.pulse.moved("connecting to the database", allowed_s=connect_s)
            try:
                async with await Session.connect(self._database, application_name="arc-eval-db consumer") as session:
                    self._session = session
                    self._at_database("looking at the database's schema")
                    await require_current_schema(session)
                    self.pulse.is_schema_right = True
                    await self._consume_connected(source, session)
                    return
            except KafkaUnavailableError:
                self._breaker.abandoned()
                raise
            except DatabaseUnavailableError as error:
                self._breaker.failed(lost_connection=True)
                self._records_max = min(self._records_max, _PROBE_RECORDS_MAX)
                self._account.failed(error, self._breaker.wait_s)
            except RetryableError as error:
                self._breaker.succeeded()  # it answered
                if isinstance(error, BatchTooLargeError):
                    self._records_max = max(1, self._records_max // 2)
                await self._pause(error, source=source)

    async def _consume_connected(self, source: GroupSource, session: Session) -> None:
        ahead = ReadAhead(source, self._handler, self._settings.poll_timeout_s)
        try:
            await self._consume_batches(source, session, ahead)
        finally:
            await ahead.drop()

    async def _consume_batches(self, source: GroupSource, session: Session, ahead: ReadAhead) -> None:
        while not self._stopping.is_set():
            self.pulse.has_joined = source.has_joined
            self._at_database("reading")
            if await self._position(source, session) and ahead.is_ahead:
                await ahead.drop()
                continue
            polled = await ahead.next(self._records_max)
            try:
                if polled.records:
                    ahead.begin(self._records_max)
                    self._at_database("writing a batch")
                    await self._commit(session, polled)
                    self._breaker.succeeded()
                    self._backoff.reset()
                    self._records_max = min(2 * self._records_max, self._settings.batch_records_max)
                else:
                    await self._skip_holes(source, session)
            except FencedError as error:
                await ahead.drop()
                self._account.fenced(error)
                # Whoever moved them is at work on them: the group needs a moment to agree who that is.
                await self._wait(_BACKOFF_S_MIN, source=source)
                continue
            self._note_progress(source, committed=bool(polled.records))
            self._between_batches()
            await self._check_standby(source, session)
            await self._commit_to_kafka(source)
            if await self._is_caught_up(session):
                log.info("caught_up", group=self._settings.group)
                self.report.caught_up = True
                break
        await self._commit_to_kafka(source, force=True)

    def _at_database(self, doing: str) -> None:
        """What comes next waits for the database, for as long as a statement may take."""
        self.pulse.moved(doing, allowed_s=self._database.database_command_timeout_s)

    async def _position(self, source: GroupSource, session: Session) -> bool:
        """Send newly assigned partitions to where the database says the group stands, and forget lost ones.

        Returns whether there were any of either.
        """
        assigned = set(source.assigned())
        self.metrics.set("arc_eval_consumer_assigned_partitions", len(assigned))
        new = await self._positioner.position(source, session)
        await self._limit.recall(session, new)
        positions = self._positions | new
        readable = assigned - self._positioner.halted.keys()
        self._positions = {partition: offset for partition, offset in positions.items() if partition in readable}
        return bool(new) or len(self._positions) < len(positions)

    def _note_progress(self, source: GroupSource, *, committed: bool) -> None:
        """Nothing to read is progress only as long as the broker says so."""
        # Partitions with records at hand are not asked for more: their silence says nothing.
        silent_s = 0.0 if committed else source.silent_s()
        if silent_s > self._kafka.request_timeout_ms / 1000 + _SILENCE_GRACE_S:
            raise KafkaUnavailableError(f"Kafka has not answered a fetch for {silent_s:.0f} s")
        self._watchdog.progress()
        if silent_s < _SILENCE_GRACE_S:
            self.metrics.set("arc_eval_consumer_progress_timestamp_seconds", time.time())

    async def _check_standby(self, source: GroupSource, session: Session) -> None:
        async def stored() -> dict[TopicPartition, int]:
            return await self._offsets.read(session, list(await source.bounds()))

        async def ends() -> dict[TopicPartition, int]:
            return {partition: bounds.end for partition, bounds in (await source.bounds()).items()}

        if await self._standby.forgotten(bool(source.assigned()), stored, ends):
            raise KafkaUnavailableError("the group is behind, stands still, and has given this worker nothing to read")

    async def _commit(self, session: Session, polled: PolledBatch) -> None:
        ranges = {
            partition: OffsetRange(self._positions[partition], records.offsets[-1] + 1)
            for partition, records in polled.records.items()
        }
        assert all(records.offsets[0] >= ranges[partition].first for partition, records in polled.records.items())
        anchors = {partition: anchor_of(records.record(-1)) for partition, records in polled.records.items()}
        report = await self._sink.write(session, polled.batch, ranges, anchors)
        self._positions |= {partition: offsets.end for partition, offsets in ranges.items()}
        seconds = time.monotonic() - polled.arrived_at
        arrived_at = time.time() - seconds
        for partition, anchor in anchors.items():
            self._times[partition] = (arrived_at - anchor.timestamp_ms / 1000, seconds)
        self._account.committed(polled.records, self._positions, polled.batch, report, seconds)

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

    async def _commit_to_kafka(self, source: GroupSource, *, force: bool = False) -> None:
        """For tools that only look into Kafka, and with a note for ours; never read back."""
        # Half open it stays until there is something to write: a worker that is connected and idle is not paused.
        activity = Activity.PAUSED if self._breaker.state is BreakerState.OPEN else Activity.CONSUMING
        force = force or activity is not self._noted
        if not force and time.monotonic() - self._kafka_committed_at < _KAFKA_COMMIT_INTERVAL_S:
            return
        self._kafka_committed_at = time.monotonic()
        self._noted = activity
        notes = {
            partition: WorkerNote(activity, time.time(), *self._times.get(partition, (None, None))).encode()
            for partition in self._positions
        }
        if not await source.commit(self._positions, notes):
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
        self._account.failed(error, seconds)
        await self._wait(seconds, source=source)

    async def _wait(self, seconds: float, *, source: GroupSource | None) -> None:
        self._between_batches()
        self._watchdog.progress(pause_s=seconds)
        is_open = self._breaker.state is BreakerState.OPEN
        self.pulse.moved(
            "waiting for the database" if is_open else "waiting to try again", allowed_s=seconds, is_paused=True
        )
        if source is not None:
            await source.idle(seconds, self._stopping)
            return
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return
