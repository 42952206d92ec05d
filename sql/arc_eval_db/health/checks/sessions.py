"""Sessions that stay too long, or wait for each other."""

from __future__ import annotations

from collections.abc import Callable

from arc_eval_db.health.check import Check, Context, Judgement, Need, Rows, grade, in_time
from arc_eval_db.health.report import State


def _judge_longest(what: str, limit: str) -> Callable[[Rows, Context], Judgement]:
    def judge(rows: Rows, context: Context) -> Judgement:
        (row,) = rows
        warn = getattr(context.settings, f"{limit}_warn_s")
        critical = getattr(context.settings, f"{limit}_critical_s")
        longest_s = row["longest_s"] or 0.0
        state = grade(longest_s, warn, critical)
        if state is State.OK and row["hidden"]:
            found = f"{row['hidden']} sessions of other users are hidden from {context.user_name}"
            return Judgement(State.UNKNOWN, None, found, f'GRANT pg_monitor TO "{context.user_name}"')
        if not row["sessions"]:
            return Judgement(state, 0.0, f"no {what}")
        found = f"{row['sessions']} {what}, the longest for {in_time(longest_s)}: process {row['pid']}"
        return Judgement(state, longest_s, found)

    return judge


def judge_statements(rows: Rows, context: Context) -> Judgement:
    """The slowest on average, by its id: its text may hold values."""
    if not rows:
        return Judgement(State.OK, None, "no statement ran often enough")
    (row,) = rows
    settings = context.settings
    state = grade(row["mean_ms"], settings.statement_warn_ms, settings.statement_critical_ms)
    if row["query_id"] is None:
        found = f"a statement hidden from {context.user_name} ran {row['calls']:,} times, {row['mean_ms']:,.1f} ms each"
        return Judgement(state, row["mean_ms"], found, f'GRANT pg_monitor TO "{context.user_name}"')
    found = f"statement {row['query_id']} ran {row['calls']:,} times, {row['mean_ms']:,.1f} ms each"
    # The mean is over all since the last reset: without one it says so long after the statement was mended.
    forget = f"SELECT pg_stat_statements_reset(0, 0, {row['query_id']})"
    next_step = f"look for queryid {row['query_id']} in pg_stat_statements; once it is mended: {forget}"
    return Judgement(state, row["mean_ms"], found, None if state is State.OK else next_step)


def judge_locks(rows: Rows, context: Context) -> Judgement:
    """The longest wait, and who is in the way."""
    (row,) = rows
    if not row["waiting"]:
        return Judgement(State.OK, 0.0, "nobody waits for a lock")
    settings = context.settings
    state = grade(row["longest_s"], settings.lock_wait_warn_s, settings.lock_wait_critical_s)
    blockers = (row["blocked_by"] or "{}").strip("{}") or "none any more"
    found = (
        f"{row['waiting']} sessions wait, process {row['pid']} for {in_time(row['longest_s'])}; in its way: {blockers}"
    )
    return Judgement(state, row["longest_s"], found)


_END = "SELECT pg_terminate_backend(pid), after a look at pg_stat_activity"

IDLE_TRANSACTIONS = Check(
    name="idle_transactions",
    looks_at="the longest that a session has been idle in a transaction",
    unit="s",
    judge=_judge_longest("sessions are idle in a transaction", "idle_transaction"),
    next_step=_END,
    limits=("idle_transaction_warn_s", "idle_transaction_critical_s"),
    query="idle_transactions",
    grant="pg_monitor",
)

LONG_TRANSACTIONS = Check(
    name="long_transactions",
    looks_at="the oldest transaction; nothing that died after its beginning can be vacuumed",
    unit="s",
    judge=_judge_longest("transactions are open", "transaction"),
    next_step=_END,
    limits=("transaction_warn_s", "transaction_critical_s"),
    query="long_transactions",
    grant="pg_monitor",
)

LONG_QUERIES = Check(
    name="long_queries",
    looks_at="the query that has been running for longest",
    unit="s",
    judge=_judge_longest("queries are running", "query"),
    next_step="SELECT pg_cancel_backend(pid), after a look at pg_stat_activity",
    limits=("query_warn_s", "query_critical_s"),
    query="long_queries",
    grant="pg_monitor",
)

SLOW_STATEMENTS = Check(
    name="slow_statements",
    looks_at="the statement that is slowest on average, of those that ran ten times; never its text",
    unit="ms",
    judge=judge_statements,
    next_step="shared_preload_libraries = 'pg_stat_statements', then CREATE EXTENSION pg_stat_statements",
    limits=("statement_warn_ms", "statement_critical_ms", "statement_calls_min"),
    query="slow_statements",
    arguments=lambda context: (context.settings.statement_calls_min,),
    needs=Need.STATEMENTS,
    grant="pg_monitor",
)

LOCKS = Check(
    name="locks",
    looks_at="the longest wait for a lock",
    unit="s",
    judge=judge_locks,
    next_step="SELECT pg_blocking_pids(pid), then pg_terminate_backend() of what is in the way",
    limits=("lock_wait_warn_s", "lock_wait_critical_s"),
    query="locks",
)
