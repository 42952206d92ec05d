"""Probes, metrics, lag and health over HTTP, for a web application."""

from __future__ import annotations

from arc_eval_db.dashboards.monitoring.router import router

__all__ = ["router"]
