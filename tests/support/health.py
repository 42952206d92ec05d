"""Looking at one thing of a test's database."""

from __future__ import annotations

from typing import Any

from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.health import CheckResult, DatabaseHealthChecker, HealthSettings

# Less than anything takes, and more than it may.
LITTLE, MUCH = 1e-6, 1e9


def quick(**thresholds: Any) -> HealthSettings:
    """Thresholds for a test, which does not wait for rates."""
    return HealthSettings.load(**{"sample_s": 0.01, **thresholds})


async def look(database: DatabaseSettings, name: str, **thresholds: Any) -> CheckResult:
    """The result of one check."""
    report = await DatabaseHealthChecker(database, settings=quick(**thresholds)).check([name])
    return report.result(name)


async def flush_statistics(session: Session) -> None:
    """What this session did is counted from now on."""
    await session.fetch_value("SELECT pg_stat_force_next_flush()::text")
    await session.execute("SELECT 1")
