"""One execution: what it is, how it ended, everything that it said in order, and what is missing."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode
from uuid import UUID

import orjson

from arc_eval_db.dashboards.web.completeness import completeness
from arc_eval_db.dashboards.web.data.executions import (
    EVENTS_MAX,
    After,
    ExecutionHead,
    ExecutionStory,
    read_execution,
)
from arc_eval_db.dashboards.web.data.searching import State
from arc_eval_db.dashboards.web.data.selections import Filters, reference_to
from arc_eval_db.dashboards.web.data.spans import prepare
from arc_eval_db.dashboards.web.data.timelines import Kind, TimelineEvent
from arc_eval_db.dashboards.web.elements import (
    Chart,
    Column,
    DataTable,
    Moment,
    Row,
    Tag,
    at,
    badge,
    figure,
    link,
    tag,
)
from arc_eval_db.dashboards.web.elements.data_table import Cell, Tone
from arc_eval_db.dashboards.web.figure_cells import (
    count_text,
    cut,
    duration_text,
    figure_item,
    number_text,
    usd_text,
)
from arc_eval_db.dashboards.web.filtering import address
from arc_eval_db.dashboards.web.frame import page
from arc_eval_db.dashboards.web.pages.executions import TONES, state_words
from arc_eval_db.dashboards.web.status import Badge
from arc_eval_db.dashboards.web.timeline_chart import timeline_figures
from arc_eval_db.dashboards.web.view import View
from arc_eval_db.database import Session
from arc_eval_db.schemas.ids import scenario_id, simulation_id

_UNKNOWN = (
    "The database does not know this execution. Its events may be on their way (see Pipeline), or dead letters; this "
    "page shows it as soon as one is there."
)

_FIGURES = (
    ("score", "Score"),
    ("duration", "Duration"),
    ("cost", "Cost"),
    ("tokens", "Tokens in / out"),
    ("events", "Events on this page"),
)

_TONES: dict[Kind, Tone] = {
    Kind.STARTED: "info",
    Kind.PROGRESS: "info",
    Kind.TOOL: "ok",
    Kind.FAILURE: "critical",
    Kind.OUTCOME: "ok",
    Kind.OTHER: "unknown",
}


@dataclass(frozen=True, slots=True)
class _Look:
    """None: unknown."""

    story: ExecutionStory | None


@page("/executions/{execution_id}", "Execution", under="/executions")
async def execution(view: View) -> None:
    """Build the page."""
    text = str(view.request.path_params["execution_id"])
    with tag("div", classes="page-head"):
        tag("h1", "Execution")
        tag("p", text[:100])
    try:
        execution_id = UUID(text)
        after = _after(view.parameter("after"))
        chosen = UUID(event) if (event := view.parameter("event")) else None
    except ValueError:
        tag(
            "p",
            "This is no address of an execution. Search for it under Executions.",
            "notice notice-warn",
            role="alert",
        )
        return
    names = view.dashboard.topics

    async def load(session: Session) -> _Look:
        await prepare(session)
        return _Look(await read_execution(session, execution_id, names, after=after))

    source = view.dashboard.source("execution", execution_id, after, load=load)
    with tag("div", classes="grid"):
        view.panel("What it is", source, _head)
        view.panel("Are all events here", source, lambda: _known(completeness()))
        view.panel("Timeline", source, _timeline)
        if chosen is not None:
            view.panel("Event", source, lambda: _event(chosen, view.address(event=None)))
        view.panel(
            "Events",
            source,
            lambda: _events(view, execution_id, after),
            hint="Where an event came from: topic[partition]@offset. Times are those of the sandbox's clock.",
        )


def after_text(after: After) -> str:
    """For an address."""
    content = [after.time.isoformat(), after.sequence, str(after.event_id)]
    return base64.urlsafe_b64encode(orjson.dumps(content)).decode().rstrip("=")


def _after(text: str) -> After | None:
    if not text:
        return None
    try:
        moment, sequence, event = orjson.loads(base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True))
        found = After(datetime.fromisoformat(moment), int(sequence), UUID(event))
    except (TypeError, AttributeError) as error:
        raise ValueError("not a page of a timeline") from error
    if found.time.tzinfo is None or not -1 <= found.sequence < 2**63:
        raise ValueError("not a page of a timeline")
    return found


def _head() -> Callable[[_Look], None]:
    unknown = tag("p", _UNKNOWN, "notice notice-warn", role="status")
    with tag("div") as known:
        with tag("dl", classes="figures"):
            with tag("div"):
                tag("dt", "State")
                with tag("dd"):
                    state = Badge(data_figure="state")
            shown = {name: figure_item(name, label) for name, label in _FIGURES}
        error = tag("p", classes="notice notice-critical", data_figure="error")
        facts = _facts()

    def fill(look: _Look) -> None:
        story = look.story
        unknown.set_visibility(story is None)
        known.set_visibility(story is not None)
        if story is None:
            return
        found = _state(story)
        state.show(state_words(found), TONES[found])
        end = story.outcome
        shown["score"].text = number_text(end.score if end else None)
        shown["duration"].text = duration_text(_duration_ms(story))
        shown["cost"].text = usd_text(end.cost_usd if end else None)
        tokens = (end.input_tokens, end.output_tokens) if end else (None, None)
        shown["tokens"].text = f"{count_text(tokens[0])} / {count_text(tokens[1])}"
        shown["events"].text = count_text(len(story.events))
        said = ": ".join(filter(None, (end.error_kind, end.message))) if end else ""
        error.text = said
        error.set_visibility(bool(said))
        facts(story.head)

    unknown.set_visibility(False)
    known.set_visibility(False)
    return fill


def _facts() -> Callable[[ExecutionHead], None]:
    shown: dict[str, Tag] = {}
    with tag("dl", classes="facts"):
        for name in ("configuration", "scenario", "simulation"):
            tag("dt", name)
            with tag("dd"):
                shown[name] = tag("a", data_figure=name)
        for name in ("attempt", "source", "metadata"):
            tag("dt", name)
            shown[name] = tag("dd", data_figure=name)
        tag("dt", "started")
        with tag("dd"):
            started = Moment(None)
        tag("dt", "ended")
        with tag("dd"):
            ended = Moment(None)

    def fill(head: ExecutionHead) -> None:
        anywhere, simulation = Filters(range="30d"), ""
        if head.simulation_id is not None:
            simulation = reference_to(head.simulation, head.simulation_id, simulation_id)
        for name, value, reference in (
            ("configuration", head.version.text, head.version.reference),
            ("scenario", head.scenario, reference_to(head.scenario, head.scenario_id, scenario_id)),
            ("simulation", head.simulation or "-", simulation),
        ):
            shown[name].text = value
            shown[name].props["href"] = address("/executions", anywhere, **{name: reference})
        shown["attempt"].text = str(head.attempt)
        shown["source"].text = head.source or "-"
        shown["metadata"].text = head.metadata or "-"
        started.show(head.started_at)
        ended.show(head.ended_at)

    return fill


def _state(story: ExecutionStory) -> State:
    if story.outcome is not None and story.outcome.name is not None:
        return State(story.outcome.name)
    if story.head.ended_at is not None:
        return State.COMPLETED
    return State.RUNNING if story.head.is_running else State.ABANDONED


def _duration_ms(story: ExecutionStory) -> float | None:
    if story.outcome is not None and story.outcome.duration_ms is not None:
        return story.outcome.duration_ms
    head = story.head
    if head.started_at is None or head.ended_at is None:
        return None
    return (head.ended_at - head.started_at).total_seconds() * 1000


def _known(fill: Callable[[ExecutionStory], None]) -> Callable[[_Look], None]:
    """Fill only where there is something to tell of."""

    def fill_known(look: _Look) -> None:
        if look.story is not None:
            fill(look.story)

    return fill_known


def _timeline() -> Callable[[_Look], None]:
    chart = Chart(
        "what happened when, in milliseconds since it began", height_px=420, empty="No events are here to be drawn."
    )

    def fill(look: _Look) -> None:
        if look.story is not None:
            chart.show(timeline_figures(look.story))

    return fill


def _event(event_id: UUID, without: str) -> Callable[[_Look], None]:
    facts = {}
    with tag("dl", classes="facts"):
        for name in ("event id", "type", "sequence", "name", "from the log"):
            tag("dt", name)
            facts[name] = tag("dd", data_figure=name.replace(" ", "-"))
        for name in ("said", "details"):
            tag("dt", name)
            with tag("dd"):
                facts[name] = tag("pre", classes="raw", tabindex="0", data_figure=name)
    tag("a", "Close", "button", href=without)

    def fill(look: _Look) -> None:
        event = next((each for each in look.story.events if each.event_id == event_id), None) if look.story else None
        facts["event id"].text = str(event_id)
        facts["type"].text = event.type if event else "not on this page of the timeline"
        facts["sequence"].text = str(event.sequence) if event else "-"
        facts["name"].text = (event.name if event else None) or "-"
        facts["from the log"].text = str(event.place) if event and event.place else "-"
        facts["said"].text = (": ".join(filter(None, (event.error_kind, event.message))) if event else "") or "-"
        facts["details"].text = (event.details if event else None) or "-"

    return fill


def _events(view: View, execution_id: UUID, after: After | None) -> Callable[[_Look], None]:
    columns = [
        Column("#", is_figure=True, hint="Its number within the execution; 0: said from outside of it."),
        Column("time"),
        Column("what"),
        Column("name"),
        Column("took", is_figure=True),
        Column("said", is_wide=True),
        Column("details", is_wide=True, hint="JSON: arguments, details or metadata; cut where it is long."),
        Column("from the log"),
        Column("whole", hint="All that is kept of its texts, up to 4,000 characters each."),
    ]
    table = DataTable(
        f"Events in the order of time, {EVENTS_MAX} a page", columns, empty="No events are here any more."
    )
    path = f"/executions/{execution_id}"
    with tag("nav", classes="pager", aria_label="Pages of events"):
        if after is not None:
            tag("a", "First events", "button", href=path)
        later = tag("a", "Later events", "button", rel="next")
    later.set_visibility(False)

    def fill(look: _Look) -> None:
        story = look.story
        if story is None:
            return
        table.show([_event_row(event, view.address(event=str(event.event_id))) for event in story.events])
        later.set_visibility(story.next is not None)
        if story.next is not None:
            later.props["href"] = f"{path}?{urlencode({'after': after_text(story.next)})}"

    return fill


def _event_row(event: TimelineEvent, href: str) -> Row:
    tone: Tone = "critical" if event.is_bad else _TONES[event.kind]
    words = event.kind.value if event.kind is not Kind.OTHER else event.type
    cells: list[Cell | str] = [
        figure(event.sequence),
        at(event.time),
        badge(words, tone, hint=event.type),
        event.name or "-",
        figure(event.duration_ms, "milliseconds"),
        cut(event.message) or event.error_kind or "-",
        cut(event.details) if event.details not in (None, "{}") else "-",
        str(event.place) if event.place else "-",
        link("show", href),
    ]
    return Row(str(event.event_id), cells, "critical" if event.is_bad else None)
