"""Reports as gauges. What is gone from a report is gone from the metrics: a gauge that stands still would lie."""

from __future__ import annotations

from dataclasses import fields

from arc_eval_db.consumers.lag import LagReport, LagState, PartitionReport, Stage, Stages, TopicReport
from arc_eval_db.consumers.monitoring.metrics import MonitorMetricName, MonitorMetrics
from arc_eval_db.health import HealthReport, State

_STATUS = {State.OK: 0, State.WARN: 1, State.CRITICAL: 2}

_Sample = tuple[MonitorMetricName, tuple[tuple[str, str], ...]]


class Shown:
    """The samples of one kind of report that are shown at the moment."""

    def __init__(self, metrics: MonitorMetrics) -> None:
        self._metrics = metrics
        self._before: set[_Sample] = set()
        self._now: set[_Sample] = set()

    def set(self, name: MonitorMetricName, value: float | None, **labels: str) -> None:
        """Show a value; None shows nothing."""
        if value is not None:
            self._metrics.set(name, value, **labels)
            self._now.add((name, tuple(labels.items())))

    def forget_the_rest(self) -> None:
        """End a report: what was shown of the one before, and not of this, is shown no more."""
        for name, labels in self._before - self._now:
            self._metrics.forget(name, **dict(labels))
        self._before, self._now = self._now, set()


def show_lag(shown: Shown, report: LagReport) -> None:
    """Set the gauges of a group from a report."""
    for topic in report.topics:
        for partition in topic.partitions:
            _show_partition(shown, report.group, partition)
        _show_topic(shown, report.group, topic)
    for missing in report.missing:
        shown.set("arc_eval_pipeline_topic_missing", 1, group=report.group, topic=missing)
    shown.set("arc_eval_pipeline_workers", report.workers, group=report.group)
    at = report.measured_at.timestamp()
    shown.set("arc_eval_pipeline_looked_timestamp_seconds", at, group=report.group)
    shown.forget_the_rest()


def _show_partition(shown: Shown, group: str, report: PartitionReport) -> None:
    lag = report.lag
    labels = {"group": group, "topic": lag.partition.topic, "partition": str(lag.partition.partition)}
    shown.set("arc_eval_pipeline_lag_messages", report.lag_messages, **labels)
    shown.set("arc_eval_pipeline_lag_seconds", report.lag_s, **labels)
    shown.set("arc_eval_pipeline_lost_messages", lag.lost_messages, **labels)
    shown.set("arc_eval_pipeline_retention_share", report.retention_share, **labels)
    for state in LagState:
        shown.set("arc_eval_pipeline_state", int(state is report.verdict.state), **labels, state=state.value)


def _show_topic(shown: Shown, group: str, report: TopicReport) -> None:
    labels = {"group": group, "topic": report.topic}
    shown.set("arc_eval_pipeline_topic_missing", 0, **labels)
    shown.set("arc_eval_pipeline_in_per_second", report.rates.in_per_s, **labels)
    shown.set("arc_eval_pipeline_out_per_second", report.rates.out_per_s, **labels)
    shown.set("arc_eval_pipeline_catch_up_seconds", report.catch_up_s, **labels)
    for each in fields(Stages):
        stage: Stage = getattr(report.stages, each.name)
        shown.set("arc_eval_pipeline_stage_seconds", stage.p95_s, **labels, stage=each.name)


def show_health(shown: Shown, report: HealthReport) -> None:
    """Set the gauges of the database's health from a report."""
    for result in report.results:
        shown.set("arc_eval_health_status", _STATUS.get(result.state), check=result.check)
        shown.set("arc_eval_health_value", result.value, check=result.check)
    shown.set("arc_eval_health_looked_timestamp_seconds", report.checked_at.timestamp())
    shown.forget_the_rest()
