"""What analysts ask: success, cost, errors and tools, from the views. The canary's executions are left out."""

from __future__ import annotations

from typing import Any

from arc_eval_db.dashboards.grafana.panels import Panel, Query, Variable, dashboard

_OURS = "configuration <> 'arc-eval-canary'"
_CHOSEN = f"configuration IN ($configuration) AND {_OURS}"
_CONFIGURATIONS = Variable(
    "configuration",
    "configuration",
    "SELECT DISTINCT configuration FROM performance_daily "
    "WHERE configuration <> 'arc-eval-canary' ORDER BY configuration LIMIT 1000",
    is_sql=True,
)


def evaluation() -> dict[str, Any]:
    """The dashboard."""
    panels = [*_running(), *_performance(), *_cost(), *_errors(), *_tools()]
    return dashboard(
        "arc-eval-db-evaluation", "Evaluation", panels, variables=[_CONFIGURATIONS], span="30d", refresh="5m"
    )


def _table(text: str) -> list[Query]:
    return [Query(text, is_sql=True)]


def _series(text: str) -> list[Query]:
    return [Query(text, is_sql=True, is_series=True)]


def _running() -> list[Panel]:
    return [
        Panel(
            "Simulations that are running",
            "table",
            _table(
                "SELECT simulation, running, completed, abandoned, succeeded, cost_usd, started_at, last_activity_at\n"
                "FROM active_simulations\n"
                "ORDER BY started_at\n"
                "LIMIT 100"
            ),
            width=24,
            units={"cost_usd": "currencyUSD"},
        )
    ]


def _performance() -> list[Panel]:
    return [
        Panel(
            "Success by configuration",
            "timeseries",
            _series(
                "SELECT hour AS time, configuration AS metric, sum(succeeded) / sum(executions) AS success_rate\n"
                "FROM performance_hourly\n"
                f"WHERE $__timeFilter(hour) AND {_CHOSEN}\n"
                "GROUP BY 1, 2\n"
                "ORDER BY 1"
            ),
            "percentunit",
            "Few executions change a rate by chance: arc-eval-db compare A B.",
        ),
        Panel(
            "Executions by configuration",
            "timeseries",
            _series(
                "SELECT hour AS time, configuration AS metric, sum(executions) AS executions\n"
                "FROM performance_hourly\n"
                f"WHERE $__timeFilter(hour) AND {_CHOSEN}\n"
                "GROUP BY 1, 2\n"
                "ORDER BY 1"
            ),
        ),
        Panel(
            "Configurations",
            "table",
            _table(
                "SELECT configuration, sum(executions) AS executions,\n"
                "    sum(succeeded) / sum(executions) AS success_rate,\n"
                "    sum(errored) / sum(executions) AS errored, sum(timed_out) / sum(executions) AS timed_out,\n"
                "    sum(cost_usd) AS cost_usd, sum(cost_usd) / nullif(sum(succeeded), 0) AS cost_usd_per_success\n"
                "FROM performance_daily\n"
                f"WHERE $__timeFilter(day) AND {_CHOSEN}\n"
                "GROUP BY configuration\n"
                "ORDER BY executions DESC\n"
                "LIMIT 200"
            ),
            width=24,
            units={
                "success_rate": "percentunit",
                "errored": "percentunit",
                "timed_out": "percentunit",
                "cost_usd": "currencyUSD",
                "cost_usd_per_success": "currencyUSD",
            },
        ),
    ]


def _cost() -> list[Panel]:
    return [
        Panel(
            "Cost by configuration",
            "timeseries",
            _series(
                "SELECT day AS time, configuration AS metric, sum(cost_usd) AS cost_usd\n"
                "FROM cost_breakdown\n"
                f"WHERE $__timeFilter(day) AND {_CHOSEN}\n"
                "GROUP BY 1, 2\n"
                "ORDER BY 1"
            ),
            "currencyUSD",
        ),
        Panel(
            "Scenarios",
            "table",
            _table(
                "SELECT scenario, sum(executions) AS executions, sum(succeeded) / sum(executions) AS success_rate,\n"
                "    sum(cost_usd) AS cost_usd\n"
                "FROM cost_breakdown\n"
                f"WHERE $__timeFilter(day) AND {_CHOSEN}\n"
                "GROUP BY scenario\n"
                "ORDER BY cost_usd DESC NULLS LAST\n"
                "LIMIT 200"
            ),
            units={"success_rate": "percentunit", "cost_usd": "currencyUSD"},
        ),
    ]


def _errors() -> list[Panel]:
    return [
        Panel(
            "Errors",
            "table",
            _table(
                "SELECT source, kind, sum(occurrences) AS occurrences, max(rate) AS worst_daily_rate\n"
                "FROM error_rates\n"
                f"WHERE $__timeFilter(day) AND {_CHOSEN}\n"
                "GROUP BY source, kind\n"
                "ORDER BY occurrences DESC\n"
                "LIMIT 200"
            ),
            units={"worst_daily_rate": "percentunit"},
            description="outcome: how executions ended; failure: what was recorded on the way.",
        ),
        Panel(
            "Errors by day",
            "timeseries",
            _series(
                "SELECT day AS time, kind AS metric, sum(occurrences) AS occurrences\n"
                "FROM error_rates\n"
                f"WHERE $__timeFilter(day) AND {_CHOSEN}\n"
                "GROUP BY 1, 2\n"
                "ORDER BY 1"
            ),
        ),
    ]


def _tools() -> list[Panel]:
    return [
        Panel(
            "Tools",
            "table",
            _table(
                "SELECT tool, sum(calls) AS calls, sum(errors) AS errors, sum(errors) / sum(calls) AS error_rate,\n"
                "    max(duration_ms_max) AS duration_ms_max\n"
                "FROM tool_reliability\n"
                f"WHERE $__timeFilter(day) AND {_CHOSEN}\n"
                "GROUP BY tool\n"
                "ORDER BY errors DESC\n"
                "LIMIT 200"
            ),
            units={"error_rate": "percentunit", "duration_ms_max": "ms"},
        ),
        Panel(
            "Errors of tools",
            "timeseries",
            _series(
                "SELECT day AS time, tool AS metric, sum(errors) / sum(calls) AS error_rate\n"
                "FROM tool_reliability\n"
                f"WHERE $__timeFilter(day) AND {_CHOSEN}\n"
                "GROUP BY 1, 2\n"
                "ORDER BY 1"
            ),
            "percentunit",
        ),
    ]
