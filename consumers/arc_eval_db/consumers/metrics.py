"""What a worker counts. The list below is the only place where its metrics are named; `docs/metrics.md` shows it."""

from __future__ import annotations

from typing import Literal

from arc_eval_db.metrics import MetricDefinition, Metrics

__all__ = ["METRICS", "MetricName", "WorkerMetrics"]

MetricName = Literal[
    "arc_eval_consumer_records_total",
    "arc_eval_consumer_events_inserted_total",
    "arc_eval_consumer_events_duplicate_total",
    "arc_eval_consumer_dead_letters_total",
    "arc_eval_consumer_nul_replaced_total",
    "arc_eval_consumer_batches_total",
    "arc_eval_consumer_batch_seconds",
    "arc_eval_consumer_fenced_total",
    "arc_eval_consumer_retries_total",
    "arc_eval_consumer_breaker_open",
    "arc_eval_consumer_stalls_total",
    "arc_eval_consumer_log_gap_offsets_total",
    "arc_eval_consumer_halted_partitions",
    "arc_eval_consumer_assigned_partitions",
    "arc_eval_consumer_next_offset",
    "arc_eval_consumer_progress_timestamp_seconds",
    "arc_eval_consumer_lag_messages",
    "arc_eval_consumer_lag_seconds",
    "arc_eval_consumer_lag_samples_failed_total",
]


METRICS: tuple[MetricDefinition[MetricName], ...] = (
    MetricDefinition("arc_eval_consumer_records_total", "counter", ("topic",), "Records read and committed."),
    MetricDefinition("arc_eval_consumer_events_inserted_total", "counter", (), "Events that became new rows."),
    MetricDefinition("arc_eval_consumer_events_duplicate_total", "counter", (), "Events whose row was there already."),
    MetricDefinition("arc_eval_consumer_dead_letters_total", "counter", ("reason",), "Records set aside, by reason."),
    MetricDefinition("arc_eval_consumer_nul_replaced_total", "counter", (), "NUL characters replaced in events."),
    MetricDefinition("arc_eval_consumer_batches_total", "counter", (), "Transactions committed."),
    MetricDefinition(
        "arc_eval_consumer_batch_seconds", "histogram", (), "Time from a batch's arrival in the worker to its commit."
    ),
    MetricDefinition(
        "arc_eval_consumer_fenced_total",
        "counter",
        (),
        "Batches given up because another consumer had moved the offsets. Normal in a rebalance.",
    ),
    MetricDefinition(
        "arc_eval_consumer_retries_total", "counter", ("cause",), "Attempts that failed for a passing reason, by cause."
    ),
    MetricDefinition(
        "arc_eval_consumer_breaker_open",
        "gauge",
        (),
        "1 while the worker leaves a database alone that does not answer, otherwise 0.",
    ),
    MetricDefinition(
        "arc_eval_consumer_stalls_total",
        "counter",
        (),
        "Times the worker stopped moving and threw its connections away to start over.",
    ),
    MetricDefinition(
        "arc_eval_consumer_log_gap_offsets_total",
        "counter",
        ("topic",),
        "Offsets that retention deleted before the group had read them; each gap is a row of log_gaps.",
    ),
    MetricDefinition(
        "arc_eval_consumer_halted_partitions",
        "gauge",
        ("topic", "partition"),
        "1 for a partition that is not read until a person has looked at its topic, otherwise 0.",
    ),
    MetricDefinition("arc_eval_consumer_assigned_partitions", "gauge", (), "Partitions this worker has."),
    MetricDefinition("arc_eval_consumer_next_offset", "gauge", ("topic", "partition"), "The offset to go on from."),
    MetricDefinition(
        "arc_eval_consumer_progress_timestamp_seconds",
        "gauge",
        (),
        "When the worker last committed a batch or found nothing to read (Unix time). A worker whose value stands "
        "still is stuck, whatever its process looks like.",
    ),
    MetricDefinition(
        "arc_eval_consumer_lag_messages",
        "gauge",
        ("topic", "partition"),
        "Messages of a partition that this worker has which are not in the database yet.",
    ),
    MetricDefinition(
        "arc_eval_consumer_lag_seconds",
        "gauge",
        ("topic", "partition"),
        "Time since Kafka got the oldest of them; 0 where there is none.",
    ),
    MetricDefinition(
        "arc_eval_consumer_lag_samples_failed_total",
        "counter",
        (),
        "Times the lag could not be measured or kept. It does no harm to consuming.",
    ),
)


class WorkerMetrics(Metrics[MetricName]):
    """The metrics of one worker, in a registry of their own."""

    def __init__(self) -> None:
        super().__init__(METRICS)
