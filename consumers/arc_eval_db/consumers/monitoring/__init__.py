"""The pipeline, looked at again and again while somebody serves it: docs/monitoring.md says who does."""

from __future__ import annotations

from arc_eval_db.consumers.monitoring.following import TooManyListenersError, Update, UpdateKind, Updates
from arc_eval_db.consumers.monitoring.looking import Look
from arc_eval_db.consumers.monitoring.metrics import MONITOR_METRICS, MonitorMetricName, MonitorMetrics
from arc_eval_db.consumers.monitoring.monitor import PipelineMonitor
from arc_eval_db.consumers.monitoring.settings import MonitorSettings

__all__ = [
    "MONITOR_METRICS",
    "Look",
    "MonitorMetricName",
    "MonitorMetrics",
    "MonitorSettings",
    "PipelineMonitor",
    "TooManyListenersError",
    "Update",
    "UpdateKind",
    "Updates",
]
