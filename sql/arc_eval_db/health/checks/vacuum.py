"""Bloat: what vacuum has not taken away yet."""

from __future__ import annotations

from arc_eval_db.health.check import Check, Context, Judgement, Rows, grade
from arc_eval_db.health.report import State


def judge_dead_tuples(rows: Rows, context: Context) -> Judgement:
    """The table with the largest share."""
    settings = context.settings
    if not rows:
        return Judgement(State.OK, 0.0, f"no table has {settings.dead_tuples_min:,} dead tuples")
    (row,) = rows
    state = grade(row["share"], settings.dead_tuples_warn_share, settings.dead_tuples_critical_share)
    found = f"{row['relation']}: {row['dead']:,} dead tuples, {row['share']:.0%} of all"
    return Judgement(state, row["share"], found, None if state is State.OK else f"VACUUM (ANALYZE) {row['relation']}")


def judge_autovacuum(rows: Rows, context: Context) -> Judgement:
    """How many tables it should have been at."""
    (row,) = rows
    if not row["is_on"]:
        step = "ALTER SYSTEM SET autovacuum = on; SELECT pg_reload_conf()"
        return Judgement(State.CRITICAL, row["due"], "autovacuum is off", step)
    settings = context.settings
    state = grade(row["due"], settings.autovacuum_warn_tables, settings.autovacuum_critical_tables)
    if not row["due"]:
        return Judgement(state, 0.0, "no table is overdue")
    return Judgement(state, row["due"], f"{row['due']} tables are overdue, one is {row['relation']}")


def judge_wraparound(rows: Rows, context: Context) -> Judgement:
    """The oldest of the cluster's databases."""
    (row,) = rows
    settings = context.settings
    state = grade(row["age"], settings.wraparound_warn_transactions, settings.wraparound_critical_transactions)
    return Judgement(state, row["age"], f"{row['database']}: {row['age']:,} transactions since the oldest freeze")


DEAD_TUPLES = Check(
    name="dead_tuples",
    looks_at="the table with the largest share of dead tuples",
    unit="share",
    judge=judge_dead_tuples,
    next_step="VACUUM (ANALYZE) the table",
    limits=("dead_tuples_warn_share", "dead_tuples_critical_share", "dead_tuples_min"),
    query="dead_tuples",
    arguments=lambda context: (context.settings.dead_tuples_min,),
)

AUTOVACUUM = Check(
    name="autovacuum",
    looks_at="tables with twice the dead tuples that autovacuum begins at, and none for an hour",
    unit="tables",
    judge=judge_autovacuum,
    next_step="raise autovacuum_max_workers or autovacuum_vacuum_cost_limit; look at long_transactions",
    limits=("autovacuum_warn_tables", "autovacuum_critical_tables", "autovacuum_overdue_s"),
    query="autovacuum",
    arguments=lambda context: (context.settings.autovacuum_overdue_s,),
)

WRAPAROUND = Check(
    name="wraparound",
    looks_at="the age of the oldest transaction id; at 2.1 billion the server refuses writes",
    unit="transactions",
    judge=judge_wraparound,
    next_step="VACUUM (FREEZE); look at long_transactions and slots",
    limits=("wraparound_warn_transactions", "wraparound_critical_transactions"),
    query="wraparound",
)
