"""What alerting counts. The list below is the only place where its metrics are named; `docs/metrics.md` shows it."""

from __future__ import annotations

from typing import Literal

from prometheus_client import CollectorRegistry

from arc_eval_db.metrics import MetricDefinition, Metrics

AlertMetricName = Literal[
    "arc_eval_alerts_open",
    "arc_eval_alerts_changes_total",
    "arc_eval_alerts_untracked",
    "arc_eval_alerts_sent_total",
    "arc_eval_alerts_attempts_failed_total",
    "arc_eval_alerts_dropped_total",
    "arc_eval_alerts_waiting",
    "arc_eval_alerts_evaluated_timestamp_seconds",
    "arc_eval_alerts_evaluations_failed_total",
    "arc_eval_alerts_state_writes_failed_total",
]

ALERT_METRICS: tuple[MetricDefinition[AlertMetricName], ...] = (
    MetricDefinition("arc_eval_alerts_open", "gauge", ("rule", "severity"), "Alerts that are open."),
    MetricDefinition(
        "arc_eval_alerts_changes_total", "counter", ("rule", "change"), "Alerts that opened (open) or resolved."
    ),
    MetricDefinition(
        "arc_eval_alerts_untracked",
        "gauge",
        (),
        "Figures past their threshold that there was no room for at the last evaluation (ARC_EVAL_ALERT_ALERTS_MAX).",
    ),
    MetricDefinition("arc_eval_alerts_sent_total", "counter", ("receiver",), "Messages that a receiver took."),
    MetricDefinition(
        "arc_eval_alerts_attempts_failed_total",
        "counter",
        ("receiver",),
        "Attempts that failed for a reason that may pass; another follows.",
    ),
    MetricDefinition(
        "arc_eval_alerts_dropped_total",
        "counter",
        ("receiver", "reason"),
        "Messages that never reached a receiver: refused by it, expired (too old), superseded (both messages of an "
        "alert that came and went while the queue was full), overflow.",
    ),
    MetricDefinition("arc_eval_alerts_waiting", "gauge", ("receiver",), "Messages that are on their way."),
    MetricDefinition(
        "arc_eval_alerts_evaluated_timestamp_seconds", "gauge", (), "When the rules were last evaluated (Unix time)."
    ),
    MetricDefinition(
        "arc_eval_alerts_evaluations_failed_total", "counter", (), "Evaluations that failed; the next one may not."
    ),
    MetricDefinition(
        "arc_eval_alerts_state_writes_failed_total",
        "counter",
        (),
        "Times the state file could not be written: after a restart, messages may be lost or come twice.",
    ),
)


class AlertMetrics(Metrics[AlertMetricName]):
    """The metrics of one runner, in a registry of their own or in `registry`."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        super().__init__(ALERT_METRICS, registry)
