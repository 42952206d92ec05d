"""The database's health: every check, the worst first, with what to do."""

from __future__ import annotations

from collections.abc import Callable

from arc_eval_db.dashboards.web.elements import Column, DataTable, Moment, Row, badge, figure, tag
from arc_eval_db.dashboards.web.elements.data_table import Cell
from arc_eval_db.dashboards.web.frame import page
from arc_eval_db.dashboards.web.monitor import health_source
from arc_eval_db.dashboards.web.status import HEALTH_TONES, Badge
from arc_eval_db.dashboards.web.view import View
from arc_eval_db.health import CheckResult, HealthReport, State

_SEVERITY = (State.CRITICAL, State.WARN, State.UNKNOWN, State.OK)
_TOP = frozenset({State.CRITICAL, State.WARN})


@page("/health", "Health", key="h", order=70)
async def health(view: View) -> None:
    """Build the page."""
    with tag("div", classes="page-head"):
        tag("h1", "Database health")
        tag("p", "What each check means: docs/health.md. The same on a terminal: arc-eval-db health")
    source = health_source(view.dashboard.monitor)
    with tag("div", classes="grid"):
        view.panel("Overall", source, _overall)
        view.panel("Checks", source, _checks)


def _overall() -> Callable[[HealthReport], None]:
    with tag("dl", classes="figures"):
        with tag("div"):
            tag("dt", "State")
            with tag("dd"):
                state = Badge(data_figure="state")
        counts = {}
        for each in _SEVERITY:
            with tag("div"):
                tag("dt", each.value)
                counts[each] = tag("dd", data_figure=each.value)
        with tag("div"):
            tag("dt", "Edition")
            edition = tag("dd", classes="small")
        with tag("div"):
            tag("dt", "Looked")
            with tag("dd", classes="small"):
                looked = Moment(None)
    lost = tag("p", classes="hint")

    def fill(report: HealthReport) -> None:
        state.show(report.state.value, HEALTH_TONES[report.state])
        for each, counted in counts.items():
            counted.text = str(sum(result.state is each for result in report.results))
        edition.text = report.edition or "not known"
        looked.show(report.checked_at)
        lost.text = f"Without TimescaleDB: {'; '.join(report.lost)}." if report.lost else ""

    return fill


def _checks() -> Callable[[HealthReport], None]:
    columns = [
        Column("state", hint="critical: look now; warn: look today; unknown: could not be seen"),
        Column("check"),
        Column("figure", is_figure=True),
        Column("unit"),
        Column("found", is_wide=True),
        Column("next step", is_wide=True),
    ]
    table = DataTable("Checks of the database, the worst first", columns)

    def fill(report: HealthReport) -> None:
        table.show([_row(result) for result in sorted(report.results, key=lambda one: _SEVERITY.index(one.state))])

    return fill


def _row(result: CheckResult) -> Row:
    tone = HEALTH_TONES[result.state]
    cells: list[Cell | str] = [
        badge(result.state.value, tone),
        result.check,
        figure(result.value, "number"),
        result.unit,
        result.found,
        result.next_step or "-",
    ]
    return Row(result.check, cells, tone if result.state in _TOP else None)
