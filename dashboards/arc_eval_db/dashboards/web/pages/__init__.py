"""The pages. Importing this declares them all: a new one is a module, and a line here."""

from __future__ import annotations

from arc_eval_db.dashboards.web.pages import (
    alerts,
    cost,
    dead_letters,
    errors,
    execution,
    executions,
    health,
    performance,
    pipeline,
    simulations,
)

__all__ = [
    "alerts",
    "cost",
    "dead_letters",
    "errors",
    "execution",
    "executions",
    "health",
    "performance",
    "pipeline",
    "simulations",
]
