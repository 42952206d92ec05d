"""Is the database well? One look at it from all sides; docs/health.md lists what is looked at."""

from __future__ import annotations

from arc_eval_db.health.benchmark import ROWS_MAX, WriteBenchmark
from arc_eval_db.health.checker import LOST_WITHOUT_TIMESCALEDB, DatabaseHealthChecker, HasPool
from arc_eval_db.health.checks import CHECK_NAMES
from arc_eval_db.health.looker import CheckTimeoutError
from arc_eval_db.health.report import CheckResult, HealthReport, State
from arc_eval_db.health.settings import HealthSettings

__all__ = [
    "CHECK_NAMES",
    "LOST_WITHOUT_TIMESCALEDB",
    "ROWS_MAX",
    "CheckResult",
    "CheckTimeoutError",
    "DatabaseHealthChecker",
    "HasPool",
    "HealthReport",
    "HealthSettings",
    "State",
    "WriteBenchmark",
]
