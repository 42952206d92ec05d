"""The server itself: reachable, and with a schema."""

from __future__ import annotations

from arc_eval_db.health.check import Check, Context, Judgement, Rows, grade
from arc_eval_db.health.report import State


def judge_server(rows: Rows, context: Context) -> Judgement:
    """One row, with `latency_ms` as it was measured."""
    (row,) = rows
    latency_ms = row["latency_ms"]
    kind = "standby" if row["is_standby"] else "primary"
    found = f"PostgreSQL {row['version']}, {kind}, answers in {latency_ms:.1f} ms"
    if not row["has_schema"]:
        return Judgement(State.CRITICAL, latency_ms, f"{found}; it has no schema", "arc-eval-db migrate up")
    settings = context.settings
    return Judgement(grade(latency_ms, settings.latency_warn_ms, settings.latency_critical_ms), latency_ms, found)


SERVER = Check(
    name="server",
    looks_at="how long one query takes, there and back",
    unit="ms",
    judge=judge_server,
    next_step="arc-eval-db doctor --database",
    limits=("latency_warn_ms", "latency_critical_ms"),
    query="server",
)
