"""What is running now: simulations and how far they are, and executions that belong to none."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from arc_eval_db.dashboards.web.data.selections import Filters, reference_to
from arc_eval_db.dashboards.web.data.simulations import ALONE_MAX, Running, RunningSimulation, read_running
from arc_eval_db.dashboards.web.elements import Chart, Column, DataTable, Figures, Row, Series, at, figure, link, tag
from arc_eval_db.dashboards.web.elements.data_table import Cell
from arc_eval_db.dashboards.web.figure_cells import count_text, figure_list, rate_cell, usd_text
from arc_eval_db.dashboards.web.filtering import address, range_covering
from arc_eval_db.dashboards.web.frame import page
from arc_eval_db.dashboards.web.view import View
from arc_eval_db.schemas.ids import simulation_id

_NOTHING = "Nothing is running. Executions appear here with their first event; those that ended: see Executions."
_BARS_MAX = 12


@page("/simulations", "Running", key="r", order=20)
async def simulations(view: View) -> None:
    """Build the page."""
    with tag("div", classes="page-head"):
        tag("h1", "Running now")
        tag(
            "p",
            "An execution without an end runs as long as it was heard of within the last hour; then it is abandoned.",
        )
    source = view.dashboard.source("running", load=read_running)
    with tag("div", classes="grid"):
        view.panel("Together", source, _together)
        view.panel("Progress", source, _progress)
        view.panel(
            "Simulations",
            source,
            _table,
            hint="The end is expected as if those that run went on ending as in the last 15 minutes, and no more were "
            "started: nobody says beforehand how many there will be.",
        )
        view.panel("Without a simulation", source, _alone)


def _together() -> Callable[[Running], None]:
    shown = figure_list(
        (
            ("simulations", "Simulations"),
            ("running", "Running"),
            ("completed", "Ended"),
            ("abandoned", "Abandoned"),
            ("cost", "Cost so far"),
        )
    )

    def fill(running: Running) -> None:
        every = running.simulations
        shown["simulations"].text = count_text(len(every))
        shown["running"].text = count_text(sum(each.running for each in every) + len(running.alone))
        shown["completed"].text = count_text(sum(each.completed for each in every))
        shown["abandoned"].text = count_text(sum(each.abandoned for each in every))
        costs = [each.cost_usd for each in every if each.cost_usd is not None]
        shown["cost"].text = usd_text(sum(costs) if costs else None)

    return fill


def _progress() -> Callable[[Running], None]:
    chart = Chart("executions of each running simulation by state", height_px=240, empty=_NOTHING)

    def fill(running: Running) -> None:
        every = running.simulations[:_BARS_MAX]
        parts: tuple[tuple[str, str, Callable[[RunningSimulation], int]], ...] = (
            ("succeeded", "ok", lambda each: each.succeeded),
            ("ended otherwise", "warn", lambda each: each.completed - each.succeeded),
            ("running", "info", lambda each: each.running),
            ("abandoned", "unknown", lambda each: each.abandoned),
        )
        series = [Series(name, [(each.simulation, of(each)) for each in every], tone=tone) for name, tone, of in parts]
        chart.show(Figures("bars", "count", series if every else [], is_stacked=True))

    return fill


def _table() -> Callable[[Running], None]:
    columns = [
        Column("simulation"),
        Column("executions", is_figure=True, hint="That have been heard of."),
        Column("running", is_figure=True),
        Column("ended", is_figure=True),
        Column("abandoned", is_figure=True, hint="Without an end, and silent for long."),
        Column("success so far", is_figure=True),
        Column("cost so far", is_figure=True),
        Column("ends a minute", is_figure=True, hint="By the last 15 minutes."),
        Column("end expected"),
        Column("began"),
        Column("last stirred"),
    ]
    table = DataTable("Running simulations", columns, empty=_NOTHING)

    def fill(running: Running) -> None:
        now = datetime.now(UTC)
        table.show([_row(each, now) for each in running.simulations])

    return fill


def _row(each: RunningSimulation, now: datetime) -> Row:
    filters = Filters(
        range=range_covering(each.started_at, now),
        simulation=reference_to(each.simulation, each.simulation_id, simulation_id),
    )
    cells: list[Cell | str] = [
        link(each.simulation, address("/performance", filters)),
        figure(each.executions),
        figure(each.running, href=address("/executions", filters, state="running")),
        figure(each.completed, href=address("/executions", filters)),
        figure(each.abandoned, href=address("/executions", filters, state="abandoned")),
        rate_cell(each.success_rate, each.success_interval),
        figure(each.cost_usd, "usd"),
        figure(each.ends_per_minute, "number"),
        at(each.end_expected_at(now)),
        at(each.started_at),
        at(each.last_activity_at),
    ]
    return Row(str(each.simulation_id), cells)


def _alone() -> Callable[[Running], None]:
    columns = [Column("execution"), Column("configuration"), Column("scenario", is_wide=True), Column("began")]
    table = DataTable(
        f"Running executions that belong to no simulation, the latest {ALONE_MAX}",
        [*columns, Column("source", is_wide=True)],
        empty="None: every running execution belongs to a simulation.",
    )

    def fill(running: Running) -> None:
        table.show(
            [
                Row(
                    str(each.execution_id),
                    [
                        link(str(each.execution_id), f"/executions/{each.execution_id}"),
                        each.version.text,
                        each.scenario,
                        at(each.started_at),
                        each.source or "-",
                    ],
                )
                for each in running.alone
            ]
        )

    return fill
