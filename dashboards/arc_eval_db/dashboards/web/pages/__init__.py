"""The pages. Importing this declares them all: a new one is a module, and a line here."""

from __future__ import annotations

from arc_eval_db.dashboards.web.pages import alerts, dead_letters, health, pipeline

__all__ = ["alerts", "dead_letters", "health", "pipeline"]
