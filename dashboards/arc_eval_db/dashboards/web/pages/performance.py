"""How good configurations and scenarios are: rates with how sure they are, over time and beside each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from arc_eval_db.dashboards.web.data.performance import (
    Percentiles,
    Performance,
    ScenarioPerformance,
    read_durations,
    read_performance,
    read_scenarios,
    read_series,
)
from arc_eval_db.dashboards.web.data.performance import (
    Series as VersionSeries,
)
from arc_eval_db.dashboards.web.data.selections import Filters, Selection
from arc_eval_db.dashboards.web.data.tools import Calls, read_tools
from arc_eval_db.dashboards.web.data.windows import Window
from arc_eval_db.dashboards.web.elements import (
    Chart,
    Column,
    DataTable,
    Figures,
    Moment,
    Row,
    Series,
    figure,
    link,
    tag,
)
from arc_eval_db.dashboards.web.elements.data_table import Cell
from arc_eval_db.dashboards.web.figure_cells import (
    count_line,
    count_text,
    duration_text,
    figure_list,
    interval_text,
    number_text,
    over_time,
    percent,
    rate_cell,
    usd_text,
)
from arc_eval_db.dashboards.web.filtering import address, filter_form, read_filters, selected
from arc_eval_db.dashboards.web.frame import page
from arc_eval_db.dashboards.web.view import View
from arc_eval_db.database import Session

NOTHING = "No execution ended in this range. Choose a longer one, or clear the filters; what runs now: see Running."
_BARS_MAX = 15
_STATUSES = (
    ("succeeded", "ok"),
    ("failed", "warn"),
    ("errored", "critical"),
    ("timed_out", "unknown"),
    ("cancelled", "info"),
)


@dataclass(frozen=True, slots=True)
class PerformanceLook:
    """What the panels of configurations show, of one look."""

    window: Window
    performance: Performance
    series: tuple[VersionSeries, ...]
    durations: dict[UUID, Percentiles]
    tools: dict[UUID, Calls]
    tools_total: Calls | None
    """None: tools are not known by scenario."""


async def look(session: Session, selection: Selection) -> PerformanceLook:
    """All figures by configuration."""
    performance = await read_performance(session, selection)
    versions = [row.version for row in performance.configurations]
    tools = None if selection.scenario_id is not None else await read_tools(session, selection, percentiles=False)
    return PerformanceLook(
        window=selection.window,
        performance=performance,
        series=await read_series(session, selection, versions),
        durations=await read_durations(session, selection, [version.id for version in versions]),
        tools=dict(tools.versions) if tools else {},
        tools_total=tools.total if tools else None,
    )


@page("/performance", "Performance", key="f", order=30)
async def performance(view: View) -> None:
    """Build the page."""
    with tag("div", classes="page-head"):
        tag("h1", "Performance")
        tag("p", "Of executions that ended in the range; whole hours up to three days, whole days beyond, in UTC.")
    filters = read_filters(view)
    filter_form(view, filters)
    source = selected(view, "performance", filters, look)
    with tag("div", classes="grid"):
        view.panel("All together", source, _together)
        view.panel("Success rate", source, lambda: _rates(_Trend("success_rate", "percent")), classes="half")
        view.panel("Ends by status", source, _ends, classes="half")
        view.panel("Score", source, lambda: _rates(_Trend("score", "number")), classes="half")
        view.panel("Duration", source, lambda: _rates(_Trend("duration_ms", "milliseconds")), classes="half")
        view.panel("Success by configuration", source, _bars)
        view.panel(
            "Configurations",
            source,
            lambda: _configurations(filters),
            hint="p50 and p95 are of the latest 1,000 executions of each version in the range.",
        )
        scenarios = selected(view, "scenarios", filters, read_scenarios)
        view.panel("Scenarios", scenarios, lambda: _scenarios(filters))


def _together() -> Callable[[PerformanceLook], None]:
    with tag("p", classes="hint"):
        since = Moment(None, before="from")
        tag("span", ", ")
        until = Moment(None, before="up to")
    shown = figure_list(
        (
            ("executions", "Executions"),
            ("success_rate", "Success"),
            ("score", "Mean score"),
            ("cost", "Cost"),
            ("cost_per_success", "Cost of a success"),
            ("duration", "Mean duration"),
            ("tokens", "Tokens in / out"),
            ("tool_errors", "Tool errors"),
        )
    )

    def fill(seen: PerformanceLook) -> None:
        total, tools = seen.performance.total, seen.tools_total
        since.show(seen.window.since)
        until.show(seen.window.until)
        shown["executions"].text = count_text(total.executions)
        interval = total.success_interval
        shown["success_rate"].text = (
            "-"
            if total.success_rate is None or interval is None
            else f"{percent(total.success_rate)} % ({interval_text(interval)})"
        )
        shown["score"].text = number_text(total.score)
        shown["cost"].text = usd_text(total.cost_usd)
        shown["cost_per_success"].text = usd_text(total.cost_usd_per_success)
        shown["duration"].text = duration_text(total.duration_ms)
        shown["tokens"].text = f"{count_text(total.input_tokens)} / {count_text(total.output_tokens)}"
        shown["tool_errors"].text = (
            "-"
            if tools is None or tools.error_rate is None
            else f"{percent(tools.error_rate)} % of {count_text(tools.calls)}"
        )

    return fill


@dataclass(frozen=True, slots=True)
class _Trend:
    measure: str
    unit: Any


def _rates(trend: _Trend) -> Callable[[PerformanceLook], None]:
    words = trend.measure.removesuffix("_ms").replace("_", " ")
    chart = Chart(f"{words} over time, of all and of the most frequent configurations", empty=NOTHING)

    def fill(seen: PerformanceLook) -> None:
        lines = [Series("all", over_time(seen.performance.buckets, seen.window, trend.measure), is_dashed=True)]
        if len(seen.series) > 1:
            lines += [
                Series(each.version.text, over_time(each.buckets, seen.window, trend.measure)) for each in seen.series
            ]
        chart.show(time_chart(seen.window, trend.unit, lines if seen.performance.buckets else []))

    return fill


def time_chart(window: Window, unit: Any, series: list[Series], *, is_stacked: bool = False) -> Figures:
    """A chart over all of a window."""
    start, end = window.since.timestamp() * 1000, (window.until - window.step.duration).timestamp() * 1000
    return Figures("time", unit, series, is_stacked=is_stacked, start_ms=start, end_ms=end)


def _ends() -> Callable[[PerformanceLook], None]:
    chart = Chart("executions that ended, by status, over time", empty=NOTHING)

    def fill(seen: PerformanceLook) -> None:
        buckets, total = seen.performance.buckets, seen.performance.total
        if total.failed is None:
            names = [("succeeded", "ok"), ("executions", "unknown")]
        else:
            names = [(name, tone) for name, tone in _STATUSES if getattr(total, name)]
        lines = [
            Series(name.replace("_", " "), count_line(buckets, seen.window, name), tone=tone) for name, tone in names
        ]
        # Those of a scenario are known together only, so that the two lines are not parts of a whole.
        chart.show(time_chart(seen.window, "count", lines if buckets else [], is_stacked=total.failed is not None))

    return fill


def _bars() -> Callable[[PerformanceLook], None]:
    chart = Chart("success rate of each configuration with its 95 % interval", height_px=340, empty=NOTHING)

    def fill(seen: PerformanceLook) -> None:
        points = []
        for row in seen.performance.configurations[:_BARS_MAX]:
            interval = row.figures.success_interval
            if interval is not None:
                points.append((row.version.text, row.figures.success_rate, interval.low, interval.high))
        chart.show(Figures("bars", "percent", [Series("success rate", points)]))

    return fill


def _configurations(filters: Filters) -> Callable[[PerformanceLook], None]:
    columns = [
        Column("configuration"),
        Column("executions", is_figure=True),
        Column("success", is_figure=True, hint="With its 95 % interval (Wilson)."),
        Column("score", is_figure=True, hint="Mean of those that have one."),
        Column("cost", is_figure=True),
        Column("of a run", is_figure=True, hint="Cost of an execution, in the mean."),
        Column("of a success", is_figure=True, hint="All that was spent, for each success."),
        Column("p50", is_figure=True, hint="Half took no longer; of the latest 1,000."),
        Column("p95", is_figure=True, hint="Of the latest 1,000."),
        Column("tokens in", is_figure=True),
        Column("tokens out", is_figure=True),
        Column("tool errors", is_figure=True, hint="Of all calls of tools."),
    ]
    table = DataTable("Configurations, the most executions first", columns, empty=NOTHING)
    note = tag("p", classes="hint")

    def fill(seen: PerformanceLook) -> None:
        rows = seen.performance.configurations
        table.show([_configuration_row(seen, index, filters) for index in range(len(rows))])
        left = seen.performance.configurations_all - len(rows)
        note.text = f"{left:,} more have fewer executions; filter by one to see it." if left else ""

    return fill


def _configuration_row(seen: PerformanceLook, index: int, filters: Filters) -> Row:
    row = seen.performance.configurations[index]
    figures, calls, percentiles = row.figures, seen.tools.get(row.version.id), seen.durations.get(row.version.id)
    cells: list[Cell | str] = [
        link(row.version.text, address("/performance", filters, configuration=row.version.reference)),
        figure(figures.executions, href=address("/executions", filters, configuration=row.version.reference)),
        rate_cell(figures.success_rate, figures.success_interval),
        figure(figures.score, "number"),
        figure(figures.cost_usd, "usd"),
        figure(figures.cost_usd_per_execution, "usd"),
        figure(figures.cost_usd_per_success, "usd"),
        figure(percentiles.p50_ms if percentiles else None, "milliseconds"),
        figure(percentiles.p95_ms if percentiles else None, "milliseconds"),
        figure(figures.input_tokens),
        figure(figures.output_tokens),
        figure(calls.error_rate if calls else None, "percent"),
    ]
    return Row(str(row.version.id), cells)


def _scenarios(filters: Filters) -> Callable[[ScenarioPerformance], None]:
    columns = [
        Column("scenario", is_wide=True),
        Column("executions", is_figure=True),
        Column("success", is_figure=True, hint="With its 95 % interval (Wilson)."),
        Column("score", is_figure=True, hint="Mean of those that have one."),
        Column("cost", is_figure=True),
        Column("of a run", is_figure=True, hint="Cost of an execution, in the mean."),
        Column("mean duration", is_figure=True),
        Column("p50", is_figure=True, hint="Of the latest executions of all scenarios."),
        Column("p95", is_figure=True, hint="Of the latest executions of all scenarios."),
    ]
    with tag("p", classes="hint"):
        since = Moment(None, before="p50 and p95 are of executions that ended since")
    table = DataTable("Scenarios, the most executions first", columns, empty=NOTHING)
    note = tag("p", classes="hint")

    def fill(seen: ScenarioPerformance) -> None:
        table.show([_scenario_row(seen, index, filters) for index in range(len(seen.scenarios))])
        left = seen.scenarios_all - len(seen.scenarios)
        note.text = f"{left:,} more have fewer executions; filter by one to see it." if left else ""
        since.show(seen.durations_since)

    return fill


def _scenario_row(seen: ScenarioPerformance, index: int, filters: Filters) -> Row:
    row = seen.scenarios[index]
    figures, percentiles = row.figures, seen.durations.get(row.id)
    cells: list[Cell | str] = [
        link(row.scenario, address("/performance", filters, scenario=row.reference)),
        figure(figures.executions, href=address("/executions", filters, scenario=row.reference)),
        rate_cell(figures.success_rate, figures.success_interval),
        figure(figures.score, "number"),
        figure(figures.cost_usd, "usd"),
        figure(figures.cost_usd_per_execution, "usd"),
        figure(figures.duration_ms, "milliseconds"),
        figure(percentiles.p50_ms if percentiles else None, "milliseconds"),
        figure(percentiles.p95_ms if percentiles else None, "milliseconds"),
    ]
    return Row(str(row.id), cells)
