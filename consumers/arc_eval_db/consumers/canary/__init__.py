"""One small execution through the whole path, again and again: does it arrive, and how soon? docs/canary.md."""

from __future__ import annotations

from arc_eval_db.consumers.canary.canary import Canary
from arc_eval_db.consumers.canary.metrics import CANARY_METRICS, CanaryMetricName, CanaryMetrics
from arc_eval_db.consumers.canary.names import (
    CANARY_CONFIGURATION,
    CANARY_CONFIGURATION_VERSION_ID,
    CANARY_NAME,
    CANARY_SCENARIO_ID,
)
from arc_eval_db.consumers.canary.report import CanaryEvent, CanaryReport, CanaryResult
from arc_eval_db.consumers.canary.settings import CanarySettings

__all__ = [
    "CANARY_CONFIGURATION",
    "CANARY_CONFIGURATION_VERSION_ID",
    "CANARY_METRICS",
    "CANARY_NAME",
    "CANARY_SCENARIO_ID",
    "Canary",
    "CanaryEvent",
    "CanaryMetricName",
    "CanaryMetrics",
    "CanaryReport",
    "CanaryResult",
    "CanarySettings",
]
