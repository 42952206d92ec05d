"""The first page: how far the group is behind and why, now and in the past."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta

from arc_eval_db.consumers.lag import LagReport, LagState, PartitionReport, Stage, Stages
from arc_eval_db.dashboards.web.canary_panel import canary_panel, canary_source
from arc_eval_db.dashboards.web.data.dead_letters import LetterCounts, letter_counts
from arc_eval_db.dashboards.web.data.pipeline import LagPoint, bucket_of, lag_history
from arc_eval_db.dashboards.web.elements import (
    Chart,
    Column,
    DataTable,
    Figures,
    Moment,
    Row,
    Series,
    badge,
    figure,
    tag,
)
from arc_eval_db.dashboards.web.elements.data_table import Cell, Unit
from arc_eval_db.dashboards.web.frame import page
from arc_eval_db.dashboards.web.letter_rows import count_columns, count_rows
from arc_eval_db.dashboards.web.live import Source
from arc_eval_db.dashboards.web.monitor import lag_source
from arc_eval_db.dashboards.web.ranges import RANGES, range_links
from arc_eval_db.dashboards.web.status import LAG_TONES, Badge, in_words
from arc_eval_db.dashboards.web.view import View

_STAGES = {
    "emit_to_broker": "emit to broker",
    "broker_to_consumer": "broker to consumer",
    "consumer_to_commit": "consumer to commit",
    "broker_to_commit": "broker to commit",
    "commit_to_aggregate": "commit to aggregate",
}


@page("/", "Pipeline", key="p", order=10)
async def pipeline(view: View) -> None:
    """Build the page."""
    monitor = view.dashboard.monitor
    chosen = view.parameter("range", "1h", allowed=list(RANGES))
    with tag("div", classes="page-head"):
        tag("h1", "Pipeline")
        tag("p", f"Consumer group {monitor.group}. What each number and state means: docs/lag.md")
    lag = lag_source(monitor)
    with tag("div", classes="grid"):
        view.panel("State", lag, _state)
        with tag("div"):
            range_links(view, chosen)
        since = RANGES[chosen]
        history = history_source(view, since)
        view.panel("Unread messages", history, lambda: _lines("messages", "count", since), classes="half")
        view.panel("Age of the oldest unread", history, lambda: _lines("seconds", "seconds", since), classes="half")
        view.panel("Throughput", history, lambda: _throughput(since), classes="half")
        view.panel("Dead letters", letter_counts_source(view), _dead_letters, classes="half")
        if view.dashboard.canary is not None:
            view.panel("Canary", canary_source(view.dashboard.canary), canary_panel)
        view.panel("Topics", lag, _topics)
        view.panel("Partitions", lag, _partitions)
        view.panel("Stages", lag, _stages, hint="How long the parts of the way took lately, as far as it can be known.")


def history_source(view: View, since: timedelta) -> Source[tuple[LagPoint, ...]]:
    """Samples of the database and what this server has seen, for a range."""
    dashboard = view.dashboard
    stored = dashboard.source(
        "lag history", since, load=lambda session: lag_history(session, dashboard.monitor.group, since)
    )

    async def load() -> tuple[LagPoint, ...]:
        return tuple(dashboard.history.with_own(await stored.load(), since, datetime.now(UTC)))

    interval_s = max(stored.interval_s, bucket_of(since).total_seconds() / 4)
    return Source(stored.key, load, min(interval_s, 60.0), stored.timeout_s)


def letter_counts_source(view: View) -> Source[LetterCounts]:
    """Unresolved dead letters by topic and reason."""
    return view.dashboard.source("dead letters", "counts", load=letter_counts)


def _state() -> Callable[[LagReport], None]:
    with tag("dl", classes="figures"):
        with tag("div"):
            tag("dt", "State")
            with tag("dd"):
                state = Badge(data_figure="state")
        shown = {}
        for name, label in (
            ("messages", "Unread messages"),
            ("seconds", "Oldest unread"),
            ("lost", "Lost messages"),
            ("in", "In"),
            ("out", "Out"),
            ("catch_up", "Caught up in"),
            ("workers", "Workers"),
        ):
            with tag("div"):
                tag("dt", label)
                shown[name] = tag("dd", data_figure=name)
        with tag("div"):
            tag("dt", "Measured")
            with tag("dd", classes="small"):
                measured = Moment(None)
    reasons = DataTable(
        "Partitions that need attention",
        [Column("state"), Column("where"), Column("why", is_wide=True), Column("next step", is_wide=True)],
        empty="Every partition is ok.",
    )
    warnings = tag("p", classes="hint")

    def fill(report: LagReport) -> None:
        state.show(in_words(report.state), LAG_TONES[report.state])
        for name, text in _figures(report).items():
            shown[name].text = text
        measured.show(report.measured_at)
        reasons.show(_reasons(report))
        warnings.text = " ".join(f"{warning}." for warning in report.warnings)

    return fill


def _figures(report: LagReport) -> dict[str, str]:
    ins = [topic.rates.in_per_s for topic in report.topics]
    outs = [topic.rates.out_per_s for topic in report.topics]
    catch_up = [topic.catch_up_s for topic in report.topics]
    unread = sum(topic.lag_messages for topic in report.topics)
    return {
        "messages": f"{unread:,}",
        "seconds": seconds_in_words(max((t.lag_s for t in report.topics if t.lag_s is not None), default=None)),
        "lost": f"{sum(each.lag.lost_messages for each in report.partitions):,}",
        "in": _rate(ins),
        "out": _rate(outs),
        "catch_up": seconds_in_words(None if None in catch_up else max(filter(None, catch_up), default=0.0)),
        "workers": "-" if report.workers is None else str(report.workers),
    }


def _rate(rates: Sequence[float | None]) -> str:
    known = [rate for rate in rates if rate is not None]
    return f"{sum(known):,.1f}/s" if known and len(known) == len(rates) else "-"


def seconds_in_words(seconds: float | None) -> str:
    """A span for people.

    >>> seconds_in_words(90), seconds_in_words(7200), seconds_in_words(None)
    ('90.0 s', '2.0 h', '-')
    """
    if seconds is None:
        return "-"
    for unit_s, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * unit_s:
            return f"{seconds / unit_s:,.1f} {name}"
    return f"{seconds:.1f} s"


def _reasons(report: LagReport) -> list[Row]:
    order = list(LagState)
    found = [each for each in report.partitions if each.verdict.state is not LagState.OK]
    found.sort(key=lambda each: -order.index(each.verdict.state))
    rows = []
    for each in found:
        verdict, tone = each.verdict, LAG_TONES[each.verdict.state]
        state, where = badge(in_words(verdict.state), tone), str(each.lag.partition)
        cells: list[Cell | str] = [state, where, verdict.reason, verdict.next_step or "-"]
        rows.append(Row(str(each.lag.partition), cells, tone))
    return rows


def _lines(name: str, unit: Unit, since: timedelta) -> Callable[[Sequence[LagPoint]], None]:
    label = {"messages": "unread messages by topic", "seconds": "age of the oldest unread event by topic"}[name]
    chart = Chart(label, empty="No worker has kept a sample in this range; workers take one every 15 seconds.")

    def fill(points: Sequence[LagPoint]) -> None:
        series = [
            Series(topic, [(_ms(point.time), getattr(point, name)) for point in points if point.topic == topic])
            for topic in sorted({point.topic for point in points})
        ]
        chart.show(_over_time(series, unit, since))

    return fill


def _throughput(since: timedelta) -> Callable[[Sequence[LagPoint]], None]:
    chart = Chart("events a second into the log and into the database", empty="No samples in this range.")

    def fill(points: Sequence[LagPoint]) -> None:
        times = sorted({point.time for point in points})
        series = []
        for name, label in (("in_per_s", "into the log"), ("out_per_s", "into the database")):
            by_time: dict[datetime, float] = {}
            for point in points:
                if (rate := getattr(point, name)) is not None:
                    by_time[point.time] = by_time.get(point.time, 0.0) + rate
            line = [(_ms(time), by_time.get(time)) for time in times]
            series.append(Series(label, line, is_dashed=name == "in_per_s"))
        chart.show(_over_time(series, "rate", since))

    return fill


def _over_time(series: Sequence[Series], unit: Unit, since: timedelta) -> Figures:
    now = datetime.now(UTC)
    return Figures("time", unit, series, is_filled=True, start_ms=_ms(now - since), end_ms=_ms(now))


def _ms(time: datetime) -> float:
    return time.timestamp() * 1000


def _dead_letters() -> Callable[[LetterCounts], None]:
    table = DataTable("Unresolved dead letters by reason", count_columns(), empty="No unresolved dead letters.")
    tag("a", "All dead letters", href="/dead-letters")

    def fill(counts: LetterCounts) -> None:
        table.show(count_rows(counts))

    return fill


def _topics() -> Callable[[LagReport], None]:
    columns = [
        Column("topic"),
        Column("state"),
        Column("unread", is_figure=True),
        Column("oldest unread", is_figure=True),
        Column("in", is_figure=True),
        Column("out", is_figure=True),
        Column("caught up in", is_figure=True),
        Column("retention used", is_figure=True, hint="By the oldest unread record; at 100 % it may be deleted."),
    ]
    table = DataTable("Topics", columns, empty="Kafka has none of the topics; make them: arc-eval-db topics create")

    def fill(report: LagReport) -> None:
        table.show(
            [
                Row(
                    topic.topic,
                    [
                        topic.topic,
                        badge(in_words(topic.state), LAG_TONES[topic.state]),
                        figure(topic.lag_messages),
                        figure(topic.lag_s, "seconds"),
                        figure(topic.rates.in_per_s, "rate"),
                        figure(topic.rates.out_per_s, "rate"),
                        figure(topic.catch_up_s, "seconds"),
                        figure(topic.retention_share, "percent"),
                    ],
                )
                for topic in report.topics
            ]
        )

    return fill


def _partitions() -> Callable[[LagReport], None]:
    columns = [
        Column("topic"),
        Column("partition", is_figure=True),
        Column("state"),
        Column("unread", is_figure=True),
        Column("oldest unread", is_figure=True),
        Column("lost", is_figure=True, hint="Deleted by retention before the group read them."),
        Column("next offset", is_figure=True),
        Column("log start", is_figure=True),
        Column("log end", is_figure=True),
        Column("in", is_figure=True),
        Column("out", is_figure=True),
        Column("why", is_wide=True),
    ]
    table = DataTable("Partitions", columns, empty="No partitions.")

    def fill(report: LagReport) -> None:
        table.show([_partition_row(each) for each in report.partitions])

    return fill


def _partition_row(each: PartitionReport) -> Row:
    lag = each.lag
    cells: list[Cell | str] = [
        lag.partition.topic,
        figure(lag.partition.partition),
        badge(in_words(each.verdict.state), LAG_TONES[each.verdict.state]),
        figure(each.lag_messages),
        figure(each.lag_s, "seconds"),
        figure(lag.lost_messages),
        figure(lag.next_offset),
        figure(lag.log_start),
        figure(lag.log_end),
        figure(each.rates.in_per_s, "rate"),
        figure(each.rates.out_per_s, "rate"),
        each.verdict.reason,
    ]
    return Row(str(lag.partition), cells)


def _stages() -> Callable[[LagReport], None]:
    columns = [
        Column("topic"),
        Column("stage"),
        Column("p50", is_figure=True),
        Column("p95", is_figure=True),
        Column("max", is_figure=True),
        Column("of", is_figure=True),
        Column("note", is_wide=True),
    ]
    table = DataTable("Stages", columns, empty="No topics.")

    def fill(report: LagReport) -> None:
        rows = []
        for topic in report.topics:
            for each in fields(Stages):
                stage: Stage = getattr(topic.stages, each.name)
                cells: list[Cell | str] = [
                    topic.topic,
                    _STAGES[each.name],
                    figure(stage.p50_s, "seconds"),
                    figure(stage.p95_s, "seconds"),
                    figure(stage.max_s, "seconds"),
                    figure(stage.count),
                    stage.why or "",
                ]
                rows.append(Row(f"{topic.topic} {each.name}", cells))
        table.show(rows)

    return fill
