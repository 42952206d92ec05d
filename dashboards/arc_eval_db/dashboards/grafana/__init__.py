"""Grafana's dashboards, made from code so that a test can check each of their queries: docs/grafana.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from arc_eval_db.dashboards.grafana.evaluation import evaluation
from arc_eval_db.dashboards.grafana.health import health
from arc_eval_db.dashboards.grafana.pipeline import pipeline


def dashboards() -> Mapping[str, dict[str, Any]]:
    """Each dashboard as Grafana reads it, by the name of its file."""
    return {"pipeline": pipeline(), "health": health(), "evaluation": evaluation()}


__all__ = ["dashboards"]
