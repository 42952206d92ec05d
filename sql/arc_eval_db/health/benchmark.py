"""How fast the database takes rows, measured in a place that is gone afterwards."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass

from arc_eval_db.database import Session
from arc_eval_db.health.synthetic import outcomes
from arc_eval_db.health.undone import undone
from arc_eval_db.writer.rows import COLUMNS

ROWS_MAX = 1_000_000
_COPY_ROWS = 10_000
"""As many as a worker writes at once."""

_MAY_CREATE = "SELECT has_schema_privilege(current_schema(), 'CREATE')"
_HAS_HYPERTABLES = "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb')"


@dataclass(frozen=True, slots=True)
class WriteBenchmark:
    """What was measured."""

    rows: int
    """Written, and gone again; fewer than were asked for where the time was over."""
    seconds: float
    """Of the COPYs alone: rows are made, and the table is, outside of it."""
    place: str
    """"hypertable" or "table", with WAL; "temporary table", without: this role may not create another."""

    @property
    def rows_per_s(self) -> float:
        """The rate."""
        return self.rows / self.seconds if self.seconds else 0.0


async def benchmark_on(session: Session, rows: int, deadline_s: float) -> WriteBenchmark:
    """COPY made-up outcomes into a copy of the table, with its indexes, in a transaction that is rolled back.

    The live tables are read for their definition, and not written to: no row, dead or alive, is left in them. Until the
    end a migration of `outcomes` would wait.

    Raises:
        ValueError: `rows` out of range.
        DatabaseError: the server said no, or did not answer in time.
    """
    if not 1 <= rows <= ROWS_MAX:
        raise ValueError(f"rows must be between 1 and {ROWS_MAX:,}, not {rows:,}")
    name = f"arc_eval_health_{secrets.token_hex(6)}"
    until = asyncio.get_running_loop().time() + deadline_s
    written, seconds = 0, 0.0
    async with undone(session):
        place = await _make_place(session, name)
        while written < rows and asyncio.get_running_loop().time() < until:
            batch = outcomes(min(_COPY_ROWS, rows - written))
            begun = time.monotonic()
            written += await session.copy(name, tuple(COLUMNS["outcomes"]), batch)
            seconds += time.monotonic() - begun
    return WriteBenchmark(written, seconds, place)


async def _make_place(session: Session, name: str) -> str:
    if not await session.fetch_value(_MAY_CREATE):
        await session.execute(f"CREATE TEMPORARY TABLE {name} (LIKE outcomes INCLUDING ALL) ON COMMIT DROP")
        return "temporary table"
    await session.execute(f"CREATE TABLE {name} (LIKE outcomes INCLUDING ALL)")
    if not await session.fetch_value(_HAS_HYPERTABLES):
        return "table"
    await session.execute(
        f"SELECT create_hypertable('{name}', by_range('time', INTERVAL '1 day'), create_default_indexes => false)"
    )
    return "hypertable"
