"""The last stage: from a row in the database to its being counted in the rollups."""

from __future__ import annotations

from arc_eval_db.consumers.lag.stages import Stage
from arc_eval_db.database import Session
from arc_eval_db.migrations.edition import Edition, detect_edition
from arc_eval_db.sql import queries

_REAL_TIME = "rollups add what is not materialised yet while they are read: a row counts as soon as it is committed"
_MATERIALIZED_ONLY = "somebody made a continuous aggregate materialized_only: its refresh policy says when a row counts"


async def aggregate_stage(session: Session) -> Stage:
    """How long a row takes from its commit into the rollups: 0 where they are computed while they are read."""
    is_real_time = True
    if await detect_edition(session) is Edition.TIMESCALEDB:
        is_real_time = bool(await session.fetch_value(queries("lag")["aggregates_are_real_time"]))
    return Stage(0.0, 0.0, 0.0, why=_REAL_TIME) if is_real_time else Stage(why=_MATERIALIZED_ONLY)
