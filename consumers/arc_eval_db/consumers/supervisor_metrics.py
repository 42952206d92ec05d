"""What a supervisor shows. The list below is the only place where its metrics are named; docs/metrics.md shows it."""

from __future__ import annotations

from typing import Literal

from prometheus_client import CollectorRegistry

from arc_eval_db.metrics import MetricDefinition, Metrics

SupervisorMetricName = Literal[
    "arc_eval_supervisor_worker_up",
    "arc_eval_supervisor_worker_progress_age_seconds",
    "arc_eval_supervisor_worker_restarts_total",
]

SUPERVISOR_METRICS: tuple[MetricDefinition[SupervisorMetricName], ...] = (
    MetricDefinition(
        "arc_eval_supervisor_worker_up", "gauge", ("worker",), "1 while the worker's process runs, otherwise 0."
    ),
    MetricDefinition(
        "arc_eval_supervisor_worker_progress_age_seconds",
        "gauge",
        ("worker",),
        "How long the worker has not said that it moves, when this is read; about a second at the most where it does. "
        "Waiting for a server that is away is moving, as long as it is within its time. 0 for one that has ended well.",
    ),
    MetricDefinition(
        "arc_eval_supervisor_worker_restarts_total",
        "counter",
        ("worker",),
        "Times the worker was started again after it had ended.",
    ),
)


class SupervisorMetrics(Metrics[SupervisorMetricName]):
    """The metrics of one supervisor, in a registry of their own or in `registry`."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        super().__init__(SUPERVISOR_METRICS, registry)
