"""How a group's lag and throughput were, from the samples that its workers keep."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from arc_eval_db.database import Session
from arc_eval_db.sql import queries

BUCKETS_MAX = 240
"""Points of a line: more than one every three pixels is not to be seen."""
BUCKET_S_MIN = 15.0
"""How often workers take a sample by default."""


@dataclass(frozen=True, slots=True)
class LagPoint:
    """One topic in one span of time."""

    time: datetime
    """Where the span begins."""
    topic: str
    messages: int
    """The most that was unread of each partition, added up."""
    seconds: float | None
    """The longest that an unread event had waited; None where it is not known."""
    in_per_s: float | None
    out_per_s: float | None


def bucket_of(since: timedelta) -> timedelta:
    """How wide the buckets of a range are, in whole seconds.

    >>> bucket_of(timedelta(hours=24))
    datetime.timedelta(seconds=360)
    """
    return timedelta(seconds=max(BUCKET_S_MIN, -(-since.total_seconds() // BUCKETS_MAX)))


async def lag_history(session: Session, group: str, since: timedelta) -> tuple[LagPoint, ...]:
    """Up to `BUCKETS_MAX` points a topic, oldest first.

    Args:
        since: how far back.
    """
    rows = await session.fetch(queries("dashboard_pipeline")["lag_history"], group, since, bucket_of(since))
    return tuple(LagPoint(**row) for row in rows)
