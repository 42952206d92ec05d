"""Searching executions: by what they are, how they ended, what their error says, or the beginning of an id."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from arc_eval_db.dashboards.web.data.searching import (
    CHOICES,
    ID_DIGITS_MIN,
    PAGE_ROWS,
    TEXT_CHARACTERS_MAX,
    Cursor,
    FoundExecution,
    FoundPage,
    Search,
    State,
    find_by_id,
    id_range,
    search,
)
from arc_eval_db.dashboards.web.data.selections import Filters, Selection, clean
from arc_eval_db.dashboards.web.elements import Column, DataTable, Row, at, badge, figure, link, tag
from arc_eval_db.dashboards.web.elements.data_table import Cell, Tone
from arc_eval_db.dashboards.web.figure_cells import cut
from arc_eval_db.dashboards.web.filtering import address, filter_form, read_filters, selected
from arc_eval_db.dashboards.web.frame import page
from arc_eval_db.dashboards.web.live import Source
from arc_eval_db.dashboards.web.view import View
from arc_eval_db.database import Session

TONES: dict[State, Tone] = {
    State.RUNNING: "info",
    State.ABANDONED: "unknown",
    State.SUCCEEDED: "ok",
    State.FAILED: "warn",
    State.ERRORED: "critical",
    State.TIMED_OUT: "critical",
    State.CANCELLED: "unknown",
    State.COMPLETED: "unknown",
}
_NOTHING = "No execution fits. Choose a longer range, or clear a filter; one whose start is missing is found by its id."


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the address asks for."""

    filters: Filters
    id: str = ""
    state: State | None = None
    text: str = ""
    after: Cursor | None = None

    def more(self) -> dict[str, str]:
        """What the address holds besides the filters."""
        values = {"id": self.id, "state": self.state.value if self.state else "", "text": self.text}
        return {name: value for name, value in values.items() if value}


@page("/executions", "Executions", key="x", order=55)
async def executions(view: View) -> None:
    """Build the page."""
    with tag("div", classes="page-head"):
        tag("h1", "Executions")
        tag("p", "Newest first, by when they started.")
    asked = _read(view)
    filter_form(view, asked.filters, more=lambda: _fields(asked))
    bounds = id_range(asked.id) if asked.id else None
    if asked.id and bounds is None:
        text = f"An id is found by its first {ID_DIGITS_MIN} or more digits (0 to 9, a to f); this is none: {asked.id}"
        tag("p", text, "notice notice-warn", role="alert")
        return
    with tag("div", classes="grid"):
        view.panel("Executions found", _source(view, asked), lambda: _found(asked))


def state_words(state: State) -> str:
    """For people."""
    return state.value.replace("_", " ")


def _read(view: View) -> _Asked:
    filters = read_filters(view)
    state = view.parameter("state", allowed=[choice.value for choice in CHOICES])
    after: Cursor | None = None
    try:
        after = Cursor.of(text) if (text := view.parameter("after")) else None
    except ValueError as error:
        tag("p", f"This is the first page: {error}.", "notice notice-warn", role="alert")
    return _Asked(
        filters,
        id=clean(view.parameter("id")),
        state=State(state) if state else None,
        text=clean(view.parameter("text"), TEXT_CHARACTERS_MAX),
        after=after,
    )


def _fields(asked: _Asked) -> None:
    with tag("label", "Id begins with"):
        tag("input", type="search", name_="id", data_search="", autocomplete="off", **{"^value": asked.id})
    with tag("label", "Status"), tag("select", name_="state"):
        for value, words in (("", "any"), *((choice.value, state_words(choice)) for choice in CHOICES)):
            chosen = {"selected": ""} if value == (asked.state.value if asked.state else "") else {}
            tag("option", words, **{"^value": value}, **chosen)
    with tag("label", "Error contains"):
        tag("input", type="search", name_="text", autocomplete="off", **{"^value": asked.text})


def _source(view: View, asked: _Asked) -> Source[FoundPage]:
    if asked.id:
        bounds = id_range(asked.id)
        assert bounds is not None
        low, high = bounds
        return view.dashboard.source("executions by id", low, high, load=lambda session: find_by_id(session, low, high))

    async def load(session: Session, selection: Selection) -> FoundPage:
        return await search(session, Search(selection, asked.state, asked.text, asked.after))

    return selected(view, "executions", asked.filters, load, asked.state, asked.text, asked.after)


def _found(asked: _Asked) -> Callable[[FoundPage], None]:
    columns = [
        Column("started"),
        Column("execution"),
        Column("status"),
        Column("configuration"),
        Column("scenario", is_wide=True),
        Column("simulation"),
        Column("took", is_figure=True),
        Column("score", is_figure=True),
        Column("cost", is_figure=True),
        Column("error", is_wide=True),
    ]
    table = DataTable(f"Executions, {PAGE_ROWS} a page", columns, empty=_NOTHING)
    looked = tag("p", classes="hint")
    with tag("nav", classes="pager", aria_label="Pages of executions"):
        if asked.after is not None:
            tag("a", "First page", "button", href=address("/executions", asked.filters, **asked.more()))
        older = tag("a", "Older", "button", rel="next")
    older.set_visibility(False)

    def fill(found: FoundPage) -> None:
        table.show([_row(execution) for execution in found.executions])
        older.set_visibility(found.next is not None)
        if found.next is not None:
            following = address("/executions", asked.filters, **asked.more(), after=found.next.text())
            older.props["href"] = following
        if found.searched_to is not None:
            moment = found.searched_to.astimezone(UTC)
            looked.text = (
                f"{found.searched:,} executions were looked at, back to {moment:%Y-%m-%d %H:%M:%S}Z; "
                "older ones are on the next page."
            )
        else:
            looked.text = ""

    return fill


def _row(each: FoundExecution) -> Row:
    error = ": ".join(filter(None, (each.error_kind, each.error_message)))
    took_ms = each.duration_ms
    if took_ms is None and each.started_at is not None:
        end = each.ended_at or (datetime.now(UTC) if each.state is State.RUNNING else None)
        took_ms = (end - each.started_at).total_seconds() * 1000 if end else None
    cells: list[Cell | str] = [
        at(each.started_at),
        link(str(each.id), f"/executions/{each.id}"),
        badge(state_words(each.state), TONES[each.state]),
        each.version.text,
        each.scenario,
        each.simulation or "-",
        figure(took_ms, "milliseconds"),
        figure(each.score, "number"),
        figure(each.cost_usd, "usd"),
        cut(error) or "-",
    ]
    return Row(str(each.id), cells)
