"""What goes wrong, and with which tools."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from arc_eval_db.dashboards.web.data.errors import ErrorRow, Errors, Patterns, read_errors, read_patterns
from arc_eval_db.dashboards.web.data.performance import Performance, read_performance
from arc_eval_db.dashboards.web.data.selections import Filters, Selection
from arc_eval_db.dashboards.web.data.tools import ToolRow, Tools, read_tools
from arc_eval_db.dashboards.web.elements import (
    Chart,
    Column,
    DataTable,
    Figures,
    Moment,
    Row,
    Series,
    at,
    badge,
    figure,
    link,
    tag,
)
from arc_eval_db.dashboards.web.elements.data_table import Cell
from arc_eval_db.dashboards.web.figure_cells import count_text, cut, figure_list, percent
from arc_eval_db.dashboards.web.filtering import address, filter_form, read_filters, selected
from arc_eval_db.dashboards.web.frame import page
from arc_eval_db.dashboards.web.view import View
from arc_eval_db.database import Session

_BARS_MAX = 15
_NO_ERRORS = "No execution ended otherwise than successful in this range."
_NO_FAILURES = "No failure was recorded in this range."
_NO_TOOLS = "No tool was used in this range. Choose a longer one, or clear the filters."


@dataclass(frozen=True, slots=True)
class ErrorsLook:
    """Errors, and of how many executions they are."""

    performance: Performance
    errors: Errors


async def look(session: Session, selection: Selection) -> ErrorsLook:
    """Errors and executions of the same range."""
    return ErrorsLook(await read_performance(session, selection), await read_errors(session, selection))


@page("/errors", "Errors and tools", key="e", order=50)
async def errors(view: View) -> None:
    """Build the page."""
    with tag("div", classes="page-head"):
        tag("h1", "Errors and tools")
        tag("p", "How executions ended that did not succeed, what went wrong inside of them, and the tools they used.")
    filters = read_filters(view)
    # Errors and tools are not kept by scenario: a field that narrows nothing down would mislead.
    filter_form(view, filters, fields=("configuration", "simulation"))
    if filters.scenario:
        text = "Errors and tools are not kept by scenario: these are of all. One scenario's: see Executions."
        tag("p", text, "notice notice-info")
    source = selected(view, "errors", filters, look)
    tools = selected(view, "tools", filters, read_tools)
    with tag("div", classes="grid"):
        view.panel("All together", source, _together)
        view.panel("How executions ended", source, lambda: _ends(filters), classes="half")
        view.panel("What was recorded inside", source, _failures, classes="half")
        view.panel("Patterns of failures", selected(view, "patterns", filters, read_patterns), _patterns)
        view.panel("Tools", tools, _tools)


def _together() -> Callable[[ErrorsLook], None]:
    shown = figure_list(
        (("executions", "Executions"), ("errors", "Not successful"), ("failures", "Failures recorded inside"))
    )

    def fill(seen: ErrorsLook) -> None:
        total = seen.performance.total
        bad = total.executions - total.succeeded
        shown["executions"].text = count_text(total.executions)
        rate = f" ({percent(bad / total.executions)} %)" if total.executions else ""
        shown["errors"].text = f"{bad:,}{rate}"
        shown["failures"].text = count_text(sum(row.occurrences for row in seen.errors.failures))

    return fill


def _ends(filters: Filters) -> Callable[[ErrorsLook], None]:
    columns = [
        Column("status"),
        Column("kind", is_wide=True),
        Column("executions", is_figure=True),
        Column("rate", is_figure=True, hint="Of all executions that ended in the range."),
        Column("versions", is_figure=True, hint="Configuration versions in which it came."),
    ]
    table = DataTable("Executions that did not succeed, by kind of error", columns, empty=_NO_ERRORS)

    def fill(seen: ErrorsLook) -> None:
        total = seen.performance.total.executions
        table.show([_end_row(row, total, filters) for row in seen.errors.outcomes])

    return fill


def _end_row(row: ErrorRow, total: int, filters: Filters) -> Row:
    status = row.status or ""
    href = address("/executions", filters, state=status, text=row.kind or "")
    cells: list[Cell | str] = [
        badge(status.replace("_", " "), "critical" if status == "errored" else "warn"),
        link(row.kind, href) if row.kind else link("not said", href),
        figure(row.occurrences),
        figure(row.occurrences / total if total else None, "percent"),
        figure(row.versions),
    ]
    return Row(f"{status} {row.kind}", cells)


def _failures() -> Callable[[ErrorsLook], None]:
    columns = [
        Column("kind", is_wide=True),
        Column("failures", is_figure=True),
        Column("of an execution", is_figure=True, hint="Failures for each execution that ended in the range."),
        Column("versions", is_figure=True, hint="Configuration versions in which it came."),
    ]
    table = DataTable("Failures that were recorded inside of executions, by kind", columns, empty=_NO_FAILURES)

    def fill(seen: ErrorsLook) -> None:
        total = seen.performance.total.executions
        table.show(
            [
                Row(
                    str(row.kind),
                    [
                        str(row.kind),
                        figure(row.occurrences),
                        figure(row.occurrences / total if total else None, "number"),
                        figure(row.versions),
                    ],
                )
                for row in seen.errors.failures
            ]
        )

    return fill


def _patterns() -> Callable[[Patterns], None]:
    columns = [
        Column("kind"),
        Column("pattern", is_wide=True, hint="Messages that differ only in numbers, ids, paths and quoted values."),
        Column("failures", is_figure=True),
        Column("executions", is_figure=True),
        Column("versions", is_figure=True),
        Column("for example", is_wide=True),
        Column("first seen"),
        Column("last seen"),
    ]
    with tag("p", classes="hint"):
        since = Moment(None, before="of failures since")
    table = DataTable("The most frequent patterns among the latest failures", columns, empty=_NO_FAILURES)

    def fill(seen: Patterns) -> None:
        since.show(seen.since)
        table.show(
            [
                Row(
                    str(row.id),
                    [
                        row.kind,
                        cut(row.signature),
                        figure(row.failures),
                        figure(row.executions),
                        figure(row.versions),
                        cut(row.example),
                        at(row.first_seen_at),
                        at(row.last_seen_at),
                    ],
                )
                for row in seen.patterns
            ]
        )

    return fill


def _tools() -> Callable[[Tools], None]:
    shown = figure_list((("calls", "Calls"), ("tool_errors", "Failed"), ("tools", "Tools")))
    chart = Chart("calls of the most used tools, by whether they failed", height_px=300, empty=_NO_TOOLS)
    columns = [
        Column("tool"),
        Column("calls", is_figure=True),
        Column("failed", is_figure=True),
        Column("share failed", is_figure=True),
        Column("mean", is_figure=True),
        Column("p50", is_figure=True, hint="Of the latest calls of all tools."),
        Column("p95", is_figure=True, hint="Of the latest calls of all tools."),
        Column("longest", is_figure=True),
        Column("result bytes", is_figure=True),
    ]
    with tag("p", classes="hint"):
        since = Moment(None, before="p50 and p95 are of calls since")
    table = DataTable("Tools, the most used first", columns, empty=_NO_TOOLS)

    def fill(seen: Tools) -> None:
        shown["calls"].text = count_text(seen.total.calls)
        rate = f" ({percent(seen.total.error_rate)} %)" if seen.total.error_rate is not None else ""
        shown["tool_errors"].text = f"{seen.total.errors:,}{rate}"
        shown["tools"].text = count_text(seen.tools_all)
        chart.show(_bars(seen.tools[:_BARS_MAX]))
        since.show(seen.percentiles_since)
        table.show([_tool_row(row) for row in seen.tools])

    return fill


def _bars(tools: Sequence[ToolRow]) -> Figures:
    good = Series("succeeded", [(row.tool, row.calls - row.errors) for row in tools], tone="ok")
    bad = Series("failed", [(row.tool, row.errors) for row in tools], tone="critical")
    return Figures("bars", "count", [good, bad], is_stacked=True)


def _tool_row(row: ToolRow) -> Row:
    cells: list[Cell | str] = [
        row.tool,
        figure(row.calls),
        figure(row.errors),
        figure(row.error_rate, "percent"),
        figure(row.duration_ms, "milliseconds"),
        figure(row.p50_ms, "milliseconds"),
        figure(row.p95_ms, "milliseconds"),
        figure(row.duration_ms_max, "milliseconds"),
        figure(row.result_bytes, "bytes"),
    ]
    return Row(row.tool, cells)
