"""Where the money goes: over time, by configuration, by scenario."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from arc_eval_db.dashboards.web.data.figures import Figures as Sums
from arc_eval_db.dashboards.web.data.performance import (
    Performance,
    ScenarioPerformance,
    read_performance,
    read_scenarios,
    read_series,
)
from arc_eval_db.dashboards.web.data.performance import (
    Series as VersionSeries,
)
from arc_eval_db.dashboards.web.data.selections import Filters, Selection
from arc_eval_db.dashboards.web.data.windows import Window
from arc_eval_db.dashboards.web.elements import Chart, Column, DataTable, Figures, Row, Series, figure, link, tag
from arc_eval_db.dashboards.web.elements.data_table import Cell
from arc_eval_db.dashboards.web.figure_cells import count_line, count_text, figure_list, over_time, percent, usd_text
from arc_eval_db.dashboards.web.filtering import address, filter_form, read_filters, selected
from arc_eval_db.dashboards.web.frame import page
from arc_eval_db.dashboards.web.pages.performance import NOTHING, time_chart
from arc_eval_db.dashboards.web.view import View
from arc_eval_db.database import Session

_BARS_MAX = 15


@dataclass(frozen=True, slots=True)
class CostLook:
    """What the panels show, of one look."""

    window: Window
    performance: Performance
    series: tuple[VersionSeries, ...]


async def look(session: Session, selection: Selection) -> CostLook:
    """Costs by configuration, and of the dearest over time."""
    performance = await read_performance(session, selection)
    dearest = sorted(performance.configurations, key=lambda row: -(row.figures.cost_usd or 0))
    series = await read_series(session, selection, [row.version for row in dearest])
    return CostLook(selection.window, performance, series)


@page("/cost", "Cost", key="c", order=40)
async def cost(view: View) -> None:
    """Build the page."""
    with tag("div", classes="page-head"):
        tag("h1", "Cost")
        tag("p", "As sandboxes said it when executions ended. What said nothing of its cost is in no sum and no mean.")
    filters = read_filters(view)
    filter_form(view, filters)
    source = selected(view, "cost", filters, look)
    scenarios = selected(view, "scenarios", filters, read_scenarios)
    with tag("div", classes="grid"):
        view.panel("All together", source, _together)
        view.panel("Cost over time", source, _over_time, classes="half")
        view.panel("Cost of an execution", source, _of_an_execution, classes="half")
        view.panel("Configurations", source, lambda: _configurations(filters))
        view.panel("Scenarios", scenarios, lambda: _scenarios(filters))


def _together() -> Callable[[CostLook], None]:
    shown = figure_list(
        (
            ("cost", "Cost"),
            ("cost_per_execution", "Of an execution"),
            ("cost_per_success", "Of a success"),
            ("unknown", "Cost not said"),
            ("tokens", "Tokens in / out"),
        )
    )

    def fill(seen: CostLook) -> None:
        total = seen.performance.total
        shown["cost"].text = usd_text(total.cost_usd)
        shown["cost_per_execution"].text = usd_text(total.cost_usd_per_execution)
        shown["cost_per_success"].text = usd_text(total.cost_usd_per_success)
        shown["unknown"].text = f"{total.executions - total.cost_usd_count:,} of {total.executions:,}"
        shown["tokens"].text = f"{count_text(total.input_tokens)} / {count_text(total.output_tokens)}"

    return fill


def _over_time() -> Callable[[CostLook], None]:
    chart = Chart("cost over time, by the dearest configurations", empty=NOTHING)

    def fill(seen: CostLook) -> None:
        lines = [Series(each.version.text, count_line(each.buckets, seen.window, "cost_usd")) for each in seen.series]
        chart.show(time_chart(seen.window, "usd", lines, is_stacked=True))

    return fill


def _of_an_execution() -> Callable[[CostLook], None]:
    chart = Chart("mean cost of an execution over time, by the dearest configurations", empty=NOTHING)

    def fill(seen: CostLook) -> None:
        measure = "cost_usd_per_execution"
        lines = [Series(each.version.text, over_time(each.buckets, seen.window, measure)) for each in seen.series]
        chart.show(time_chart(seen.window, "usd", lines))

    return fill


def _columns(first: Column) -> list[Column]:
    return [
        first,
        Column("cost", is_figure=True),
        Column("share", is_figure=True, hint="Of all that was spent in the range."),
        Column("of a run", is_figure=True, hint="Cost of an execution, in the mean."),
        Column("of a success", is_figure=True, hint="All that was spent, for each success."),
        Column("executions", is_figure=True),
        Column("succeeded", is_figure=True),
        Column("tokens in", is_figure=True),
        Column("tokens out", is_figure=True),
    ]


def _cells(name: Cell, sums: Sums, total: float | None) -> list[Cell | str]:
    share = sums.cost_usd / total if sums.cost_usd is not None and total else None
    return [
        name,
        figure(sums.cost_usd, "usd"),
        figure(share, "percent"),
        figure(sums.cost_usd_per_execution, "usd"),
        figure(sums.cost_usd_per_success, "usd"),
        figure(sums.executions),
        figure(sums.succeeded),
        figure(sums.input_tokens),
        figure(sums.output_tokens),
    ]


def _configurations(filters: Filters) -> Callable[[CostLook], None]:
    chart = Chart("cost of each configuration", height_px=300, empty=NOTHING)
    table = DataTable("Configurations, the dearest first", _columns(Column("configuration")), empty=NOTHING)

    def fill(seen: CostLook) -> None:
        total = seen.performance.total.cost_usd
        rows = sorted(seen.performance.configurations, key=lambda row: -(row.figures.cost_usd or 0))
        points = [
            (row.version.text, row.figures.cost_usd) for row in rows[:_BARS_MAX] if row.figures.cost_usd is not None
        ]
        chart.show(Figures("bars", "usd", [Series("cost", points)]))
        shown = []
        for row in rows:
            name = link(row.version.text, address("/cost", filters, configuration=row.version.reference))
            shown.append(Row(str(row.version.id), _cells(name, row.figures, total)))
        table.show(shown)

    return fill


def _scenarios(filters: Filters) -> Callable[[ScenarioPerformance], None]:
    table = DataTable("Scenarios, the dearest first", _columns(Column("scenario", is_wide=True)), empty=NOTHING)
    note = tag("p", classes="hint")

    def fill(seen: ScenarioPerformance) -> None:
        rows = sorted(seen.scenarios, key=lambda row: -(row.figures.cost_usd or 0))
        known = [row.figures.cost_usd for row in rows if row.figures.cost_usd is not None]
        total = sum(known) if known else None
        table.show(
            [
                Row(
                    str(row.id),
                    _cells(link(row.scenario, address("/cost", filters, scenario=row.reference)), row.figures, total),
                )
                for row in rows
            ]
        )
        dear = sum(cost for cost in known[:10])
        note.text = f"The ten dearest took {percent(dear / total)} % of it." if total and len(known) > 10 else ""

    return fill
