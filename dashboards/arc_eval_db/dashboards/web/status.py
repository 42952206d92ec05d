"""How the pipeline and the database are, in a word each, on every page."""

from __future__ import annotations

from arc_eval_db.consumers.lag import LagReport, LagState
from arc_eval_db.dashboards.web.elements import tag
from arc_eval_db.dashboards.web.elements.data_table import Tone
from arc_eval_db.dashboards.web.live import Seen
from arc_eval_db.dashboards.web.monitor import health_source, lag_source
from arc_eval_db.dashboards.web.view import View
from arc_eval_db.health import HealthReport, State

LAG_TONES: dict[LagState, Tone] = {
    LagState.OK: "ok",
    LagState.REPLAYING: "info",
    LagState.LAGGING: "warn",
    LagState.REWOUND: "info",
    LagState.PAUSED: "warn",
    LagState.STOPPED: "critical",
    LagState.STALLED: "critical",
    LagState.LOSING_DATA: "critical",
}
HEALTH_TONES: dict[State, Tone] = {
    State.OK: "ok",
    State.WARN: "warn",
    State.CRITICAL: "critical",
    State.UNKNOWN: "unknown",
}
MARKS: dict[Tone, str] = {"ok": "●", "info": "◆", "warn": "▲", "critical": "■", "unknown": "○"}


def in_words(state: LagState) -> str:
    """A state's name for people.

    >>> in_words(LagState.LOSING_DATA)
    'losing data'
    """
    return state.value.replace("_", " ")


class Badge:
    """A word with a colour and a mark, which can change."""

    def __init__(self, classes: str = "", *, name: str = "span", **attributes: str) -> None:
        with tag(name, classes=f"badge {classes}", **attributes) as self._tag:
            self._mark = tag("span", aria_hidden="true")
            self._text = tag("span")
        self._tone = ""

    def show(self, text: str, tone: Tone) -> None:
        """Another word."""
        self._mark.text, self._text.text = MARKS[tone], text
        if self._tone != tone:
            self._tag.classes(remove=f"tone-{self._tone}", add=f"tone-{tone}")
            self._tone = tone


def status_chips(view: View) -> None:
    """Both, as links to their pages."""
    with tag("span", classes="tools", role="status", aria_label="State") as inside:
        pipeline = Badge("chip", name="a", href="/", data_status="pipeline")
        database = Badge("chip", name="a", href="/health", data_status="database")
    pipeline.show("Pipeline: …", "unknown")
    database.show("Database: …", "unknown")

    def show_lag(seen: Seen[LagReport]) -> None:
        if seen.problem is not None or seen.value is None:
            pipeline.show("Pipeline: not seen", "unknown")
        else:
            pipeline.show(f"Pipeline: {in_words(seen.value.state)}", LAG_TONES[seen.value.state])

    def show_health(seen: Seen[HealthReport]) -> None:
        if seen.problem is not None or seen.value is None:
            database.show("Database: not seen", "unknown")
        else:
            database.show(f"Database: {seen.value.state.value}", HEALTH_TONES[seen.value.state])

    view.follow(lag_source(view.dashboard.monitor), show_lag, inside=inside)
    view.follow(health_source(view.dashboard.monitor), show_health, inside=inside)
