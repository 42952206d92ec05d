"""How the canary fares: the last execution that this server sent through the whole path."""

from __future__ import annotations

from collections.abc import Callable

from arc_eval_db.consumers.canary import Canary, CanaryReport
from arc_eval_db.dashboards.web.elements import Column, DataTable, Moment, Row, figure, tag
from arc_eval_db.dashboards.web.live import NotSeenYetError, Source
from arc_eval_db.dashboards.web.status import Badge

_INTERVAL_S = 1.0


def canary_source(canary: Canary) -> Source[CanaryReport]:
    """The last run."""

    async def load() -> CanaryReport:
        if canary.last is None:
            raise NotSeenYetError
        return canary.last

    return Source(("canary",), load, _INTERVAL_S)


def canary_panel() -> Callable[[CanaryReport], None]:
    """Its elements."""
    with tag("dl", classes="figures"):
        with tag("div"):
            tag("dt", "Last run")
            with tag("dd"):
                result = Badge(data_figure="canary")
        with tag("div"):
            tag("dt", "Started")
            with tag("dd", classes="small"):
                started = Moment(None)
    why = tag("p", classes="hint")
    columns = [
        Column("event"),
        Column("table"),
        Column("until Kafka had it", is_figure=True),
        Column("until it was seen", is_figure=True),
    ]
    events = DataTable("Events of the canary's last run", columns, empty="It sent no event.")

    def fill(report: CanaryReport) -> None:
        result.show(report.result.value.replace("_", " "), "ok" if report.has_arrived else "critical")
        started.show(report.started_at)
        why.text = ". Next step: ".join(filter(None, [report.reason, report.next_step]))
        rows = []
        for event in report.events:
            times = (figure(event.acknowledged_s, "seconds"), figure(event.visible_s, "seconds"))
            rows.append(Row(event.type, (event.type, event.relation, *times)))
        events.show(rows)

    return fill
