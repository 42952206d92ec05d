"""What a worker did: its report, its metrics and its log."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import structlog

from arc_eval_db.breaker import BreakerState
from arc_eval_db.consumers.handler import HandledBatch
from arc_eval_db.consumers.metrics import WorkerMetrics
from arc_eval_db.consumers.records import PartitionRecords
from arc_eval_db.consumers.sink import CommitReport
from arc_eval_db.errors import RetryableError
from arc_eval_db.writer import FencedError, TopicPartition

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


class Account:
    """Keeps a worker's report and metrics, and says in the log what is worth saying."""

    def __init__(self, report: WorkerReport, metrics: WorkerMetrics) -> None:
        self._report = report
        self._metrics = metrics

    def committed(
        self,
        polled: Mapping[TopicPartition, PartitionRecords],
        positions: Mapping[TopicPartition, int],
        batch: HandledBatch,
        report: CommitReport,
        seconds: float,
    ) -> None:
        """A batch is in the database.

        Args:
            positions: where the worker goes on from.
            seconds: from the batch's arrival to its commit.
        """
        metrics = self._metrics
        for partition, records in polled.items():
            labels = {"topic": partition.topic, "partition": str(partition.partition)}
            metrics.count("arc_eval_consumer_records_total", len(records), topic=partition.topic)
            metrics.set("arc_eval_consumer_next_offset", positions[partition], **labels)
        metrics.count("arc_eval_consumer_nul_replaced_total", batch.nul_replaced)
        metrics.count("arc_eval_consumer_events_inserted_total", report.inserted)
        metrics.count("arc_eval_consumer_events_duplicate_total", report.duplicates)
        metrics.count("arc_eval_consumer_batches_total")
        metrics.observe("arc_eval_consumer_batch_seconds", seconds)
        for reason, amount in report.dead_letters.items():
            metrics.count("arc_eval_consumer_dead_letters_total", amount, reason=reason)
        if report.dead_letters:
            log.warning("dead_letters_written", **report.dead_letters)
        count = sum(len(records) for records in polled.values())
        self._report.records += count
        self._report.inserted += report.inserted
        self._report.duplicates += report.duplicates
        self._report.dead_letters += sum(report.dead_letters.values())
        self._report.batches += 1
        log.debug("batch_committed", records=count, inserted=report.inserted, duration_ms=round(seconds * 1000, 1))

    def fenced(self, error: FencedError) -> None:
        """A batch was given up, as another consumer had moved the offsets."""
        self._report.fenced += 1
        self._metrics.count("arc_eval_consumer_fenced_total")
        log.warning("batch_fenced", partitions=[str(partition) for partition in error.partitions])

    def failed(self, error: RetryableError, retry_in_s: float) -> None:
        """An attempt failed for a passing reason."""
        cause = type(error).__name__
        self._metrics.count("arc_eval_consumer_retries_total", cause=cause)
        log.warning("attempt_failed", cause=cause, error=str(error), retry_in_s=round(retry_in_s, 2))

    def breaker_changed(self, state: BreakerState) -> None:
        """The breaker around the database opened, probes, or closed."""
        self._metrics.set("arc_eval_consumer_breaker_open", int(state is BreakerState.OPEN))
        log.log(logging.WARNING if state is BreakerState.OPEN else logging.INFO, "breaker_changed", state=state.value)

    def stopped(self) -> None:
        """The worker has ended."""
        figures = asdict(self._report)
        del figures["caught_up"]
        log.info("worker_stopped", **{**figures, "seconds": round(self._report.seconds, 2)})
