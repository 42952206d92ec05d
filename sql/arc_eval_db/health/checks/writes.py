"""Can a row be written, and how long does it take? Tried, and taken back."""

from __future__ import annotations

import time

from arc_eval_db.database import Session
from arc_eval_db.health.check import Check, Context, Judgement, Rows, grade
from arc_eval_db.health.synthetic import INSERT_OUTCOME, outcomes
from arc_eval_db.health.undone import undone


async def _look(session: Session, _: Context) -> Rows:
    (row,) = outcomes(1)
    async with undone(session):
        begun = time.monotonic()
        await session.execute(INSERT_OUTCOME, *row)
        return [{"write_ms": (time.monotonic() - begun) * 1000}]


def judge_writes(rows: Rows, context: Context) -> Judgement:
    """The time of one row."""
    write_ms = rows[0]["write_ms"]
    state = grade(write_ms, context.settings.write_warn_ms, context.settings.write_critical_ms)
    return Judgement(state, write_ms, f"an outcome was written in {write_ms:.1f} ms, and taken back")


WRITES = Check(
    name="writes",
    looks_at="how long one outcome takes to be written, in a transaction that is rolled back",
    unit="ms",
    judge=judge_writes,
    next_step="look at locks, checkpoints and the server's disk",
    limits=("write_warn_ms", "write_critical_ms"),
    look=_look,
    must_succeed=True,
    grant="arc_eval_writer",
)
