"""The pipeline: lag, throughput, workers, dead letters, canary, alerts."""

from __future__ import annotations

from typing import Any

from arc_eval_db.dashboards.grafana.panels import Panel, Query, Variable, dashboard

_GROUP = 'group=~"$group"'
_RATE = "[$__rate_interval]"
_STATES = ("ok", "replaying", "lagging", "rewound", "paused", "stopped", "stalled", "losing_data")
_STATE_COLOURS = ("green", "blue", "yellow", "blue", "orange", "red", "red", "dark-red")
_GOOD_TO_BAD = (("green", None), ("orange", 30.0), ("red", 120.0))
_GROUPS = Variable("group", "group", "label_values(arc_eval_pipeline_looked_timestamp_seconds, group)")


def pipeline() -> dict[str, Any]:
    """The dashboard."""
    panels = [*_now(), *_lag(), *_flow(), *_workers(), *_letters(), *_canary()]
    return dashboard("arc-eval-db-pipeline", "Pipeline", panels, variables=[_GROUPS], span="6h", refresh="15s")


def _now() -> list[Panel]:
    state = " or ".join(
        f'({number} * (max by (group) (arc_eval_pipeline_state{{{_GROUP}, state="{state}"}}) > 0))'
        for number, state in reversed(list(enumerate(_STATES)))
    )
    return [
        Panel(
            "State",
            "stat",
            [Query(f"max by (group) ({state})", "{{group}}")],
            "none",
            "The worst partition of each group. docs/lag.md says what the states mean.",
            width=6,
            height=5,
            mappings={str(number): names for number, names in enumerate(zip(_STATES, _STATE_COLOURS, strict=True))},
        ),
        Panel(
            "Oldest unread event",
            "stat",
            [Query(f"max by (group) (arc_eval_pipeline_lag_seconds{{{_GROUP}}})", "{{group}}")],
            "s",
            "How long ago Kafka got it.",
            width=6,
            height=5,
            thresholds=_GOOD_TO_BAD,
        ),
        Panel(
            "Caught up in",
            "stat",
            [Query(f"max by (group) (arc_eval_pipeline_catch_up_seconds{{{_GROUP}}})", "{{group}}")],
            "s",
            "At the present rates; nothing where it does not catch up.",
            width=6,
            height=5,
        ),
        Panel(
            "Alerts that are open",
            "stat",
            [Query('count by (severity) (ALERTS{alertstate="firing"}) or on () vector(0)', "{{severity}}")],
            "none",
            "Of Prometheus' rules.",
            width=6,
            height=5,
            thresholds=(("green", None), ("red", 1.0)),
        ),
    ]


def _lag() -> list[Panel]:
    return [
        Panel(
            "Lag in seconds",
            "timeseries",
            [Query(f"max by (topic) (arc_eval_pipeline_lag_seconds{{{_GROUP}}})", "{{topic}}")],
            "s",
        ),
        Panel(
            "Lag in messages",
            "timeseries",
            [Query(f"sum by (topic) (arc_eval_pipeline_lag_messages{{{_GROUP}}})", "{{topic}}")],
        ),
        Panel(
            "Lag in seconds, from the database",
            "timeseries",
            [
                Query(
                    "SELECT $__timeGroupAlias(time, $__interval), topic AS metric, max(lag_seconds) AS lag_seconds\n"
                    "FROM consumer_lag_samples\n"
                    "WHERE $__timeFilter(time)\n"
                    "GROUP BY 1, 2\n"
                    "ORDER BY 1",
                    is_sql=True,
                    is_series=True,
                )
            ],
            "s",
            "From the samples that workers keep for 14 days: also of when nobody scraped.",
        ),
        Panel(
            "Retention used up by the oldest unread event",
            "timeseries",
            [Query(f"max by (topic) (arc_eval_pipeline_retention_share{{{_GROUP}}})", "{{topic}}")],
            "percentunit",
            "At 1 it may be deleted unread.",
        ),
    ]


def _flow() -> list[Panel]:
    return [
        Panel(
            "Throughput",
            "timeseries",
            [
                Query(f"sum by (topic) (arc_eval_pipeline_in_per_second{{{_GROUP}}})", "{{topic}}: into the log"),
                Query(f"sum by (topic) (arc_eval_pipeline_out_per_second{{{_GROUP}}})", "{{topic}}: into the database"),
            ],
            "cps",
        ),
        Panel(
            "Rows a second, by what workers count",
            "timeseries",
            [
                Query(f"sum (rate(arc_eval_consumer_events_inserted_total{_RATE}))", "new"),
                Query(f"sum (rate(arc_eval_consumer_events_duplicate_total{_RATE}))", "there already"),
                Query(f"sum (rate(arc_eval_consumer_dead_letters_total{_RATE}))", "dead letters"),
            ],
            "cps",
        ),
        Panel(
            "Where the time goes",
            "timeseries",
            [Query(f"max by (stage) (arc_eval_pipeline_stage_seconds{{{_GROUP}}})", "{{stage}}")],
            "s",
            "The slowest topic's 95th percentile of each stage.",
        ),
        Panel(
            "From a batch's arrival to its commit",
            "timeseries",
            [
                Query(
                    f"histogram_quantile({share}, sum by (le) (rate(arc_eval_consumer_batch_seconds_bucket{_RATE})))",
                    f"{share:.0%} within",
                )
                for share in (0.5, 0.95, 0.99)
            ],
            "s",
        ),
    ]


def _workers() -> list[Panel]:
    return [
        Panel(
            "Since a worker last moved",
            "timeseries",
            [
                Query("arc_eval_supervisor_worker_progress_age_seconds", "{{instance}} worker {{worker}}"),
                Query("time() - arc_eval_consumer_progress_timestamp_seconds", "{{instance}}"),
            ],
            "s",
            "As its supervisor hears it, and by its own last batch.",
        ),
        Panel(
            "Workers",
            "timeseries",
            [
                Query(f"max by (group) (arc_eval_pipeline_workers{{{_GROUP}}})", "{{group}}: members"),
                Query("sum (arc_eval_consumer_breaker_open)", "waiting for the database"),
                Query("sum (increase(arc_eval_supervisor_worker_restarts_total[15m]))", "restarts in 15 minutes"),
                Query("sum (arc_eval_consumer_halted_partitions)", "halted partitions"),
            ],
        ),
    ]


def _letters() -> list[Panel]:
    return [
        Panel(
            "Dead letters that nobody has dealt with",
            "table",
            [
                Query(
                    "SELECT reason, topic, count(*) AS letters, max(dead_lettered_at) AS latest\n"
                    "FROM dead_letters\n"
                    "WHERE resolved_at IS NULL\n"
                    "GROUP BY reason, topic\n"
                    "ORDER BY letters DESC\n"
                    "LIMIT 100",
                    is_sql=True,
                )
            ],
            description="arc-eval-db dead-letters list",
        ),
        Panel(
            "Gaps that retention tore",
            "table",
            [
                Query(
                    "SELECT noticed_at, consumer_group, topic, partition, reason, first_offset, end_offset\n"
                    "FROM log_gaps\n"
                    "WHERE $__timeFilter(noticed_at)\n"
                    "ORDER BY noticed_at DESC\n"
                    "LIMIT 100",
                    is_sql=True,
                )
            ],
        ),
    ]


def _canary() -> list[Panel]:
    return [
        Panel(
            "A made-up execution through the whole path",
            "timeseries",
            [
                Query(
                    f"histogram_quantile(0.95, sum by (le) (rate(arc_eval_canary_seconds_bucket{_RATE})))", "95% within"
                ),
                Query("max (arc_eval_canary_last_seconds)", "the last"),
            ],
            "s",
        ),
        Panel(
            "What became of them",
            "timeseries",
            [Query(f"sum by (result) (increase(arc_eval_canary_runs_total{_RATE}))", "{{result}}")],
        ),
    ]
