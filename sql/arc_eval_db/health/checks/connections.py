"""Connections of the server, and of a client's pool."""

from __future__ import annotations

from arc_eval_db.database import Session
from arc_eval_db.health.check import Check, Context, Judgement, Need, Rows, grade


def judge_connections(rows: Rows, context: Context) -> Judgement:
    """Of those that ordinary roles may have."""
    (row,) = rows
    share = row["used"] / max(row["usable"], 1)
    settings = context.settings
    state = grade(share, settings.connections_warn_share, settings.connections_critical_share)
    return Judgement(state, share, f"{row['used']} of {row['usable']} connections are in use")


async def _look_at_pool(_: Session, context: Context) -> Rows:
    pool = context.pool
    assert pool is not None
    return [{"in_use": pool.in_use, "size": pool.size, "size_max": pool.size_max}]


def judge_pool(rows: Rows, context: Context) -> Judgement:
    """Sessions that are lent, of those that there may be."""
    (row,) = rows
    share = row["in_use"] / row["size_max"]
    found = f"{row['in_use']} of at most {row['size_max']} connections are lent, {row['size']} are open"
    return Judgement(grade(share, context.settings.pool_warn_share, context.settings.pool_critical_share), share, found)


CONNECTIONS = Check(
    name="connections",
    looks_at="connections in use, of max_connections without those that are reserved",
    unit="share",
    judge=judge_connections,
    next_step="lower ARC_EVAL_DATABASE_POOL_SIZE_MAX of the clients, or raise max_connections",
    limits=("connections_warn_share", "connections_critical_share"),
    query="connections",
)

POOL = Check(
    name="pool",
    looks_at="connections of the given client's pool that are lent",
    unit="share",
    judge=judge_pool,
    next_step="use fewer at once, or raise ARC_EVAL_DATABASE_POOL_SIZE_MAX",
    limits=("pool_warn_share", "pool_critical_share"),
    look=_look_at_pool,
    needs=Need.POOL,
)
