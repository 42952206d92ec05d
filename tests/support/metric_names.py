"""The labels of every metric of the typed lists, as Prometheus sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from arc_eval_db.metrics import MetricDefinition
from support.regenerate import COMPONENTS

_SCRAPED = frozenset({"job", "instance"})
"""What Prometheus adds to each sample."""
_ALERT_LABELS = {"alertname", "alertstate", "severity", "group", "topic", "partition", "check", "worker", "receiver"}


def _labels(metrics: Sequence[MetricDefinition[Any]]) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for metric in metrics:
        labels = _SCRAPED | set(metric.labels)
        found[metric.name] = labels
        if metric.kind == "histogram":
            found |= {f"{metric.name}_sum": labels, f"{metric.name}_count": labels}
            found[f"{metric.name}_bucket"] = labels | {"le"}
    return found


METRIC_LABELS: Mapping[str, frozenset[str]] = {
    **{name: labels for component in COMPONENTS for name, labels in _labels(component.metrics).items()},
    # Prometheus' own, of what it scrapes and of its rules.
    "up": _SCRAPED,
    "ALERTS": _SCRAPED
    | {"alertname", "alertstate", "severity", "group", "topic", "partition", "check", "worker", "receiver"},
}
