"""An execution's events as bars on an axis of time."""

from __future__ import annotations

from collections.abc import Iterable

from arc_eval_db.dashboards.web.data.executions import ExecutionStory
from arc_eval_db.dashboards.web.data.timelines import Kind, Span, TimelineEvent
from arc_eval_db.dashboards.web.elements import Figures, Series
from arc_eval_db.dashboards.web.elements.data_table import Tone
from arc_eval_db.dashboards.web.figure_cells import cut

_LANES_MAX = 24
_OTHERS = "other tools"


def timeline_figures(story: ExecutionStory) -> Figures:
    """Bars by what lasted, one lane for each tool and kind; a moment is a bar as thin as can be seen."""
    span = Span.of(story.events, story.head.started_at)
    lanes = _lanes(story.events)
    points: dict[str, list[tuple[str, float, float, str]]] = {}
    for event in story.events if span is not None else ():
        assert span is not None
        begin = (event.began_at - span.begin).total_seconds() * 1000
        end = (event.time - span.begin).total_seconds() * 1000
        lane = _lane(event)
        label = f"#{event.sequence} {cut(event.name or event.message or '')}"
        points.setdefault(_series_name(event), []).append((lane if lane in lanes else _OTHERS, begin, end, label))
    series = [Series(name, points[name], tone=tone) for name, tone in _SERIES if name in points]
    return Figures("spans", "milliseconds", series)


_SERIES: tuple[tuple[str, Tone], ...] = (
    ("started, progress", "info"),
    ("tool", "ok"),
    ("tool that failed", "warn"),
    ("failure", "critical"),
    ("outcome", "ok"),
    ("outcome, not successful", "critical"),
    ("other", "unknown"),
)


def _series_name(event: TimelineEvent) -> str:
    if event.kind in (Kind.STARTED, Kind.PROGRESS):
        return "started, progress"
    if event.kind is Kind.TOOL:
        return "tool that failed" if event.is_bad else "tool"
    if event.kind is Kind.OUTCOME:
        return "outcome, not successful" if event.is_bad else "outcome"
    return event.kind.value


def _lane(event: TimelineEvent) -> str:
    if event.kind is Kind.TOOL:
        return event.name or _OTHERS
    return "execution" if event.kind is not Kind.FAILURE else "failures"


def _lanes(events: Iterable[TimelineEvent]) -> set[str]:
    found: dict[str, int] = {}
    for event in events:
        found[_lane(event)] = found.get(_lane(event), 0) + 1
    return set(sorted(found, key=lambda lane: (lane != "execution", -found[lane]))[:_LANES_MAX])
