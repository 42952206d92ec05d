"""What a canary counts. The list below is the only place where its metrics are named; `docs/metrics.md` shows it."""

from __future__ import annotations

from typing import Literal

from prometheus_client import CollectorRegistry

from arc_eval_db.consumers.canary.report import CanaryReport, CanaryResult
from arc_eval_db.metrics import MetricDefinition, Metrics

CanaryMetricName = Literal[
    "arc_eval_canary_runs_total",
    "arc_eval_canary_seconds",
    "arc_eval_canary_last_seconds",
    "arc_eval_canary_last_success_timestamp_seconds",
    "arc_eval_canary_up",
]

CANARY_METRICS: tuple[MetricDefinition[CanaryMetricName], ...] = (
    MetricDefinition(
        "arc_eval_canary_runs_total",
        "counter",
        ("result",),
        "Synthetic executions, by what became of them: `arrived`, or where they hang.",
    ),
    MetricDefinition(
        "arc_eval_canary_seconds",
        "histogram",
        (),
        "Time from a synthetic execution's first event to its last row, of those that arrived.",
    ),
    MetricDefinition(
        "arc_eval_canary_last_seconds",
        "gauge",
        (),
        "The same of the last one that arrived; NaN before the first.",
    ),
    MetricDefinition(
        "arc_eval_canary_last_success_timestamp_seconds",
        "gauge",
        (),
        "When that one was emitted (Unix time); NaN before the first.",
    ),
    MetricDefinition(
        "arc_eval_canary_up",
        "gauge",
        (),
        "1 if the last synthetic execution arrived whole and in time, otherwise 0; NaN before the first has ended.",
    ),
)

_NOT_KNOWN = float("nan")


class CanaryMetrics(Metrics[CanaryMetricName]):
    """The metrics of one canary, in a registry of their own or in `registry`."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        super().__init__(CANARY_METRICS, registry)
        for result in CanaryResult:  # a first failure is seen as an increase only if there was a 0 before it
            self.count("arc_eval_canary_runs_total", 0, result=result.value)
        self.set("arc_eval_canary_last_seconds", _NOT_KNOWN)
        self.set("arc_eval_canary_last_success_timestamp_seconds", _NOT_KNOWN)
        self.set("arc_eval_canary_up", _NOT_KNOWN)

    def add(self, report: CanaryReport) -> None:
        """Count a run."""
        self.count("arc_eval_canary_runs_total", result=report.result.value)
        self.set("arc_eval_canary_up", report.has_arrived)
        if report.has_arrived and report.seconds is not None:
            self.observe("arc_eval_canary_seconds", report.seconds)
            self.set("arc_eval_canary_last_seconds", report.seconds)
            self.set("arc_eval_canary_last_success_timestamp_seconds", report.started_at.timestamp())
