"""How large the database is, and how fast it grows."""

from __future__ import annotations

from arc_eval_db.database import Session
from arc_eval_db.health.check import Check, Context, Judgement, Rows, grade, in_bytes
from arc_eval_db.health.report import State
from arc_eval_db.sql import queries

_GROWTH_S_MIN = 5.0
"""Tables grow by blocks and files; over less time that says nothing."""


async def _look(session: Session, _: Context) -> Rows:
    (size,) = await session.fetch(queries("health")["disk"])
    tables = await session.fetch(queries("health")["tables"])
    largest = ", ".join(f"{row['relation']} {in_bytes(row['size_bytes'] or 0)}" for row in tables)
    return [{**size, "largest": largest}]


def judge_disk(rows: Rows, context: Context) -> Judgement:
    """Of the room that a person has named: PostgreSQL does not tell what is free."""
    (row,) = rows
    size = row["size_bytes"]
    found = f"{in_bytes(size)}; the largest: {row['largest']}"
    if earlier := context.earlier.get("disk"):
        seconds = row["at_s"] - earlier[0]["at_s"]
        if seconds >= _GROWTH_S_MIN and size > earlier[0]["size_bytes"]:
            found += f"; grows by {in_bytes((size - earlier[0]['size_bytes']) / seconds)}/s"
    room = context.settings.disk_bytes
    if room is None:
        return Judgement(State.UNKNOWN, size, f"{found}; PostgreSQL does not tell how much room is left")
    state = grade(size / room, context.settings.disk_warn_share, context.settings.disk_critical_share)
    return Judgement(state, size, f"{found}; {size / room:.0%} of {in_bytes(room)}", _FREE if state != State.OK else "")


_FREE = "arc-eval-db migrate policies, to keep less; or a larger disk, and ARC_EVAL_HEALTH_DISK_BYTES"

DISK = Check(
    name="disk",
    looks_at="the size of the database; judged as a share of the room that you name",
    unit="bytes",
    judge=judge_disk,
    next_step="set ARC_EVAL_HEALTH_DISK_BYTES to the room there is for the database",
    limits=("disk_bytes", "disk_warn_share", "disk_critical_share"),
    look=_look,
    is_rate=True,
)
