"""How fast rows come in, as the server counts them."""

from __future__ import annotations

from arc_eval_db.health.check import Check, Context, Judgement, Rows
from arc_eval_db.health.report import State


def judge_throughput(rows: Rows, context: Context) -> Judgement:
    """The difference to the look before."""
    before, now = context.earlier["throughput"][0], rows[0]
    seconds = now["at_s"] - before["at_s"]
    if seconds <= 0 or now["rows_inserted"] < before["rows_inserted"]:
        return Judgement(State.UNKNOWN, None, "the server's counters began anew between the two looks")
    rate = (now["rows_inserted"] - before["rows_inserted"]) / seconds
    commits = (now["commits"] - before["commits"]) / seconds
    rollbacks = (now["rollbacks"] - before["rollbacks"]) / seconds
    found = f"{rate:,.0f} rows/s, {commits:,.1f} commits/s, {rollbacks:,.1f} rollbacks/s, over {seconds:.1f} s"
    floor = context.settings.throughput_warn_rows_per_s
    return Judgement(State.WARN if rate < floor else State.OK, rate, found)


THROUGHPUT = Check(
    name="throughput",
    looks_at="rows written to the tables of events between two looks",
    unit="rows/s",
    judge=judge_throughput,
    next_step="arc-eval-db lag",
    limits=("throughput_warn_rows_per_s",),
    query="throughput",
    is_rate=True,
)
