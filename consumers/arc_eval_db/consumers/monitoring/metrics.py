"""What a monitor shows. The list below is the only place where its metrics are named; `docs/metrics.md` shows it."""

from __future__ import annotations

from typing import Literal

from prometheus_client import CollectorRegistry

from arc_eval_db.metrics import MetricDefinition, Metrics

MonitorMetricName = Literal[
    "arc_eval_pipeline_lag_messages",
    "arc_eval_pipeline_lag_seconds",
    "arc_eval_pipeline_lost_messages",
    "arc_eval_pipeline_retention_share",
    "arc_eval_pipeline_in_per_second",
    "arc_eval_pipeline_out_per_second",
    "arc_eval_pipeline_catch_up_seconds",
    "arc_eval_pipeline_state",
    "arc_eval_pipeline_stage_seconds",
    "arc_eval_pipeline_workers",
    "arc_eval_pipeline_topic_missing",
    "arc_eval_pipeline_looked_timestamp_seconds",
    "arc_eval_pipeline_looks_failed_total",
    "arc_eval_health_status",
    "arc_eval_health_value",
    "arc_eval_health_looked_timestamp_seconds",
    "arc_eval_health_looks_failed_total",
]

_TOPIC = ("group", "topic")
_PARTITION = ("group", "topic", "partition")

MONITOR_METRICS: tuple[MetricDefinition[MonitorMetricName], ...] = (
    MetricDefinition(
        "arc_eval_pipeline_lag_messages", "gauge", _PARTITION, "Messages that are not in the database yet."
    ),
    MetricDefinition(
        "arc_eval_pipeline_lag_seconds",
        "gauge",
        _PARTITION,
        "Time since Kafka got the oldest of them; 0 where there is none.",
    ),
    MetricDefinition(
        "arc_eval_pipeline_lost_messages",
        "gauge",
        _PARTITION,
        "Offsets that retention deleted before the group read them, as long as no worker has jumped them.",
    ),
    MetricDefinition(
        "arc_eval_pipeline_retention_share",
        "gauge",
        _PARTITION,
        "How much of the topic's retention the oldest unread record has used up; at 1 it may be deleted.",
    ),
    MetricDefinition("arc_eval_pipeline_in_per_second", "gauge", _TOPIC, "Offsets a second into the log."),
    MetricDefinition("arc_eval_pipeline_out_per_second", "gauge", _TOPIC, "Offsets a second into the database."),
    MetricDefinition(
        "arc_eval_pipeline_catch_up_seconds",
        "gauge",
        _TOPIC,
        "Until nothing is unread at these rates; left out where that is not so or not known.",
    ),
    MetricDefinition(
        "arc_eval_pipeline_state",
        "gauge",
        (*_PARTITION, "state"),
        "1 for the state that a partition is in, 0 for the others; docs/lag.md lists them.",
    ),
    MetricDefinition(
        "arc_eval_pipeline_stage_seconds",
        "gauge",
        (*_TOPIC, "stage"),
        "How long a stage took lately, at the 95th percentile; left out where it is not known.",
    ),
    MetricDefinition("arc_eval_pipeline_workers", "gauge", ("group",), "Members of the group, as Kafka sees it."),
    MetricDefinition(
        "arc_eval_pipeline_topic_missing",
        "gauge",
        _TOPIC,
        "1 where a topic that is watched is not there, or hidden from the login; 0 where it is there.",
    ),
    MetricDefinition(
        "arc_eval_pipeline_looked_timestamp_seconds",
        "gauge",
        ("group",),
        "When the lag was last seen (Unix time). All of the above are as old as that.",
    ),
    MetricDefinition(
        "arc_eval_pipeline_looks_failed_total", "counter", ("group",), "Looks at the lag that saw nothing."
    ),
    MetricDefinition(
        "arc_eval_health_status",
        "gauge",
        ("check",),
        "What a check of the database's health found: 0 ok, 1 warn, 2 critical; left out where it is unknown.",
    ),
    MetricDefinition(
        "arc_eval_health_value",
        "gauge",
        ("check",),
        "The figure that was judged, in the check's unit (docs/health.md); left out where there is none.",
    ),
    MetricDefinition(
        "arc_eval_health_looked_timestamp_seconds",
        "gauge",
        (),
        "When the database's health was last looked at (Unix time).",
    ),
    MetricDefinition(
        "arc_eval_health_looks_failed_total",
        "counter",
        (),
        "Looks at it that came to no end. A database that is away is a look that found it so.",
    ),
)


class MonitorMetrics(Metrics[MonitorMetricName]):
    """The metrics of one monitor, in a registry of their own or in `registry`."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        super().__init__(MONITOR_METRICS, registry)
