"""After a backfill on TimescaleDB: continuous aggregates of the replayed window, and compressed chunks in it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from arc_eval_db.database import SchemaMismatchError, Session
from arc_eval_db.migrations.edition import Edition, detect_edition
from arc_eval_db.migrations.policies import AGGREGATES
from arc_eval_db.sql import queries

_DAY = timedelta(days=1)


@dataclass(slots=True)
class AfterBackfill:
    """What was done after a backfill."""

    refreshed: list[str] = field(default_factory=list)
    """Continuous aggregates that are up to date for the window."""
    not_refreshed: list[str] = field(default_factory=list)
    """Those that this login does not own: their policy, or their owner, has to refresh them."""
    too_old: list[str] = field(default_factory=list)
    """Those whose window begins before what may be computed anew without losing what was dropped since."""
    compressed_chunks: int = 0
    """Compressed chunks with times of the window: what was inserted into them is compressed when their policy runs."""


async def settle(
    session: Session, tables: Collection[str], first: datetime | None, last: datetime | None
) -> AfterBackfill:
    """Refresh the continuous aggregates that were computed from `tables`, for the days of a window.

    Plain PostgreSQL has none. Hours come before the days that are computed from them.

    Args:
        session: not in a transaction.
        first: the earliest time of what was inserted; None where nothing was.
        last: the latest.
    """
    done = AfterBackfill()
    if first is None or last is None or await detect_edition(session) is not Edition.TIMESCALEDB:
        return done
    begin, end = _midnight(first), _midnight(last) + _DAY
    statements = queries("replay")
    done.compressed_chunks = int(await session.fetch_value(statements["compressed_chunks"], list(tables), first, last))
    names = [name for name, source in AGGREGATES.items() if source in tables]
    for name in sorted(names, key=lambda name: (not name.endswith("_hourly"), name)):
        await _refresh(session, name, await _refreshable_from(session, name), begin, end, done)
    return done


async def _refreshable_from(session: Session, name: str) -> datetime | None:
    rows = await session.fetch(queries("replay")["refreshable_from"], [name], [AGGREGATES[name]])
    found: datetime | None = rows[0]["refreshable_from"] if rows else None
    return found


async def _refresh(
    session: Session, name: str, earliest: datetime | None, begin: datetime, end: datetime, done: AfterBackfill
) -> None:
    if earliest is not None and begin < earliest:
        done.too_old.append(name)
        begin = _midnight(earliest) + _DAY
        if begin >= end:
            return
    try:
        # A procedure, which cannot be prepared; the name is one of AGGREGATES.
        await session.execute(f"CALL refresh_continuous_aggregate('{name}', '{begin}', '{end}')")
    except SchemaMismatchError:
        done.not_refreshed.append(name)
    else:
        if name not in done.too_old:
            done.refreshed.append(name)


def _midnight(time: datetime) -> datetime:
    return time.replace(hour=0, minute=0, second=0, microsecond=0)
