"""The database's health, as its checks see it."""

from __future__ import annotations

from typing import Any

from arc_eval_db.dashboards.grafana.panels import Panel, Query, Variable, dashboard

_CHECK = 'check=~"$check"'
_STATUS = {"0": ("ok", "green"), "1": ("warn", "orange"), "2": ("critical", "red")}
_CHECKS = Variable("check", "check", "label_values(arc_eval_health_status, check)")


def health() -> dict[str, Any]:
    """The dashboard."""
    return dashboard(
        "arc-eval-db-health", "Database health", [*_now(), *_checks()], variables=[_CHECKS], span="24h", refresh="1m"
    )


def _now() -> list[Panel]:
    return [
        Panel(
            "Checks that are not ok",
            "stat",
            [Query("count (arc_eval_health_status > 0) or vector(0)", "checks")],
            "none",
            "arc-eval-db health says what to do.",
            width=8,
            height=5,
            thresholds=(("green", None), ("orange", 1.0)),
        ),
        Panel(
            "Since somebody looked",
            "stat",
            [Query("time() - max (arc_eval_health_looked_timestamp_seconds)", "health")],
            "s",
            width=8,
            height=5,
            thresholds=(("green", None), ("orange", 180.0), ("red", 600.0)),
        ),
        Panel(
            "Looks that failed in an hour",
            "stat",
            [
                Query("sum (increase(arc_eval_health_looks_failed_total[1h]))", "health"),
                Query("sum (increase(arc_eval_pipeline_looks_failed_total[1h]))", "lag"),
            ],
            "none",
            width=8,
            height=5,
        ),
    ]


def _checks() -> list[Panel]:
    return [
        Panel(
            "Checks",
            "state-timeline",
            [Query(f"max by (check) (arc_eval_health_status{{{_CHECK}}})", "{{check}}")],
            "none",
            "What is unknown is left out.",
            width=24,
            height=14,
            mappings=_STATUS,
            thresholds=(("green", None), ("orange", 1.0), ("red", 2.0)),
        ),
        Panel(
            "Figures",
            "timeseries",
            [Query(f"max by (check) (arc_eval_health_value{{{_CHECK}}})", "{{check}}")],
            "none",
            "Each in its check's unit: docs/health.md. Choose one above.",
            width=24,
            minimum=None,
        ),
        Panel(
            "The largest tables",
            "table",
            [
                Query(
                    "SELECT relation.relname AS table, pg_total_relation_size(relation.oid) AS bytes,\n"
                    "    statistics.n_live_tup AS rows, statistics.n_dead_tup AS dead_rows,\n"
                    "    greatest(statistics.last_vacuum, statistics.last_autovacuum) AS vacuumed\n"
                    "FROM pg_class AS relation\n"
                    "JOIN pg_stat_user_tables AS statistics ON statistics.relid = relation.oid\n"
                    "ORDER BY bytes DESC\n"
                    "LIMIT 20",
                    is_sql=True,
                )
            ],
            width=24,
            units={"bytes": "bytes"},
            description="On TimescaleDB the rows are in chunks, which are tables of their own.",
        ),
    ]
