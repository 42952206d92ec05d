"""A worker's own lag, again and again: into its metrics, and into `consumer_lag_samples`.

Best effort, beside the worker: over connections of its own, so that it neither waits for a batch nor holds one up, and
whatever fails here is counted and tried again at the next turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from arc_eval_db.consumers.kafka import LogReader
from arc_eval_db.consumers.lag.measuring import PartitionLag, lag_of, read_unread
from arc_eval_db.consumers.metrics import WorkerMetrics
from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.settings import KafkaSettings
from arc_eval_db.sql import queries
from arc_eval_db.writer import TopicPartition

# A look at Kafka and one insert take milliseconds; what takes longer is given up.
_TIMEOUT_S = 10.0

log: structlog.stdlib.BoundLogger = structlog.get_logger("arc_eval_db.consumers")


@dataclass(frozen=True, slots=True)
class LagSample:
    """One partition at one moment."""

    lag: PartitionLag
    messages: int
    seconds: float | None


class LagSampler:
    """Takes one sample of each partition that the worker has, every so often, until it is cancelled."""

    def __init__(
        self,
        kafka: KafkaSettings,
        database: DatabaseSettings,
        group: str,
        interval_s: float,
        metrics: WorkerMetrics,
        positions: Callable[[], Mapping[TopicPartition, int]],
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        """
        Args:
            positions: up to where the worker has committed each of its partitions.
            may_write: False while the database is to be left alone; the metrics go on.
        """
        self._kafka = kafka
        self._database = database
        self._group = group
        self._interval_s = interval_s
        self._metrics = metrics
        self._positions = positions
        self._may_write = may_write
        self._reader: LogReader | None = None
        self._shown: set[TopicPartition] = set()
        self._is_over = False

    def stop(self) -> None:
        """End `run` after the sample in hand, also where aiokafka has swallowed a cancellation."""
        self._is_over = True

    async def run(self) -> None:
        """Sample until stopped and cancelled. Raises nothing of its own."""
        try:
            while not self._is_over:
                await asyncio.sleep(self._interval_s)
                await self.sample()
        finally:
            await self.close()

    async def sample(self) -> bool:
        """Take the samples that are due. Returns whether it worked."""
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                samples = await self._measure(dict(self._positions()))
                self._show(samples)
                if samples and self._may_write():
                    await self._write(samples)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is not worth a worker
            self._metrics.count("arc_eval_consumer_lag_samples_failed_total")
            log.warning("lag_sample_failed", error=str(error), cause=type(error).__name__)
            await self.close()
            return False
        return True

    async def _measure(self, positions: Mapping[TopicPartition, int]) -> list[LagSample]:
        if not positions:
            return []
        if self._reader is None:
            reader = LogReader(self._kafka, client_id="arc-eval-db-lag-sampler")
            self._reader = await reader.__aenter__()
        lags = await lag_of(self._reader, sorted(positions), positions)
        unread = await read_unread(self._reader, lags)
        now = datetime.now(UTC)
        return [LagSample(lag, unread[lag.partition].messages, unread[lag.partition].lag_s(now)) for lag in lags]

    def _show(self, samples: Sequence[LagSample]) -> None:
        for sample in samples:
            labels = _labels(sample.lag.partition)
            self._metrics.set("arc_eval_consumer_lag_messages", sample.messages, **labels)
            if sample.seconds is not None:
                self._metrics.set("arc_eval_consumer_lag_seconds", sample.seconds, **labels)
            else:
                self._metrics.forget("arc_eval_consumer_lag_seconds", **labels)
        shown = {sample.lag.partition for sample in samples}
        # Another worker's by now: a gauge that stands still would be read as lag that does.
        for partition in self._shown - shown:
            self._metrics.forget("arc_eval_consumer_lag_messages", **_labels(partition))
            self._metrics.forget("arc_eval_consumer_lag_seconds", **_labels(partition))
        self._shown = shown

    async def _write(self, samples: Sequence[LagSample]) -> None:
        lags = [sample.lag for sample in samples]
        async with (
            await Session.connect(self._database, application_name="arc-eval-db lag sampler") as session,
            session.transaction(),
        ):
            await session.execute(queries("lag")["lock_lag_samples"], self._group)
            await session.execute(
                queries("lag")["insert_lag_samples"],
                self._group,
                [lag.partition.topic for lag in lags],
                [lag.partition.partition for lag in lags],
                [lag.next_offset for lag in lags],
                [lag.log_start for lag in lags],
                [lag.log_end for lag in lags],
                [sample.messages for sample in samples],
                [sample.seconds for sample in samples],
                timedelta(seconds=self._interval_s),
            )

    async def close(self) -> None:
        """Let go of Kafka. A sample that is taken afterwards connects anew."""
        reader, self._reader = self._reader, None
        if reader is not None:
            await reader.__aexit__()


def _labels(partition: TopicPartition) -> dict[str, str]:
    return {"topic": partition.topic, "partition": str(partition.partition)}
