"""What is open, what was lately, and what the alerts are made of."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from arc_eval_db.consumers.alerts import Alert, Alerts, Severity
from arc_eval_db.dashboards.web.elements import Column, DataTable, Row, at, badge, figure, tag
from arc_eval_db.dashboards.web.elements.data_table import Cell, Tone
from arc_eval_db.dashboards.web.frame import page
from arc_eval_db.dashboards.web.live import Source
from arc_eval_db.dashboards.web.view import View

_TONES: dict[Severity, Tone] = {Severity.WARNING: "warn", Severity.CRITICAL: "critical"}
# Only memory is looked at.
_INTERVAL_S = 1.0


@page("/alerts", "Alerts", key="a", order=80)
async def alerts(view: View) -> None:
    """Build the page."""
    with tag("div", classes="page-head"):
        tag("h1", "Alerts")
        tag("p", "Rules, receivers and thresholds: docs/alerts.md, or arc-eval-db alerts rules")
    source = alerts_source(view)
    with tag("div", classes="grid"):
        view.panel("Open", source, _open)
        view.panel("Resolved lately", source, _recent)


def alerts_source(view: View) -> Source[Alerts]:
    """The alerts of this server's own rules."""

    async def load() -> Alerts:
        return view.dashboard.alerts.alerts

    return Source(("alerts",), load, _INTERVAL_S)


def _open() -> Callable[[Alerts], None]:
    columns = [
        Column("severity"),
        Column("rule"),
        Column("where"),
        Column("what", is_wide=True),
        Column("figure", is_figure=True),
        Column("next step", is_wide=True),
        Column("opened"),
    ]
    table = DataTable("Open alerts", columns, empty="No alert is open.")

    def fill(found: Alerts) -> None:
        table.show([_open_row(alert) for alert in found.open])

    return fill


def _open_row(alert: Alert) -> Row:
    tone = _TONES[alert.severity]
    cells: list[Cell | str] = [
        badge(alert.severity.value, tone),
        alert.rule,
        _labels(alert),
        alert.summary,
        figure(alert.value, "number"),
        alert.next_step,
        at(_moment(alert.opened_at)),
    ]
    return Row(f"{alert.rule} {_labels(alert)}", cells, tone)


def _recent() -> Callable[[Alerts], None]:
    columns = [
        Column("severity"),
        Column("rule"),
        Column("where"),
        Column("what", is_wide=True),
        Column("opened"),
        Column("resolved"),
        Column("lasted", is_figure=True),
    ]
    table = DataTable("Alerts that were resolved lately", columns, empty="None was resolved since this server started.")

    def fill(found: Alerts) -> None:
        table.show([_recent_row(alert) for alert in found.recent])

    return fill


def _recent_row(alert: Alert) -> Row:
    resolved_at = alert.resolved_at
    cells: list[Cell | str] = [
        alert.severity.value,
        alert.rule,
        _labels(alert),
        alert.summary,
        at(_moment(alert.opened_at)),
        at(None if resolved_at is None else _moment(resolved_at)),
        figure(None if resolved_at is None else resolved_at - alert.opened_at, "seconds"),
    ]
    return Row(f"{alert.rule} {_labels(alert)} {alert.opened_at}", cells)


def _labels(alert: Alert) -> str:
    return ", ".join(f"{name}={value}" for name, value in alert.labels) or "-"


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
