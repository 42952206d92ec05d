"""Whether all events of an execution are here, in words and figures."""

from __future__ import annotations

from collections.abc import Callable

import orjson

from arc_eval_db.dashboards.web.data.executions import ExecutionStory
from arc_eval_db.dashboards.web.data.timelines import TimelineEvent
from arc_eval_db.dashboards.web.elements import tag
from arc_eval_db.dashboards.web.elements.data_table import Tone
from arc_eval_db.dashboards.web.figure_cells import figure_list

_GAPS_SHOWN = 20


def completeness() -> Callable[[ExecutionStory], None]:
    """The panel: a verdict in words, and the accounts of the last three days."""
    verdict = tag("p", classes="notice", role="status", data_figure="gaps")
    shown = figure_list(
        (
            ("emitted", "Emitted"),
            ("stored", "Stored"),
            ("dead_lettered", "Dead letters"),
            ("dropped", "Dropped by the sandbox"),
            ("outstanding", "Outstanding"),
        )
    )
    note = tag("p", classes="hint")

    def fill(story: ExecutionStory) -> None:
        text, tone = gaps_in_words(story)
        verdict.text = text
        verdict.classes(replace=f"notice notice-{tone}")
        accounting = story.accounting
        for name, element in shown.items():
            element.text = "-" if accounting is None else f"{getattr(accounting, name):,}"
        note.text = (
            "What became of each event is known for three days, of executions that ended and number their events."
            if accounting is None
            else ""
        )

    return fill


def gaps_in_words(story: ExecutionStory) -> tuple[str, Tone]:
    """What is missing, with the next step, and how bad that is."""
    gaps = story.gaps
    if not any(event.sequence for event in story.events):
        return "Its events are not numbered, or none is here any more: what is missing cannot be told.", "info"
    if not gaps.missing:
        if not story.gaps_are_whole:
            return "None is missing among the first 100,000 numbers; of the rest nothing is said.", "info"
        if story.outcome is None:
            return "None is missing so far.", "ok"
        return "None is missing: every number from the first to the last is here.", "ok"
    some = ", ".join(map(str, gaps.gaps[:_GAPS_SHOWN]))
    more = " and more" if len(gaps.gaps) > _GAPS_SHOWN else ""
    dropped = _dropped(story.outcome)
    said = f" The sandbox said that it dropped {dropped}." if dropped else ""
    step = " Look for the rest among the dead letters, in the sandbox's spool, or in the lag of the pipeline."
    are = "is" if gaps.missing == 1 else "are"
    return f"{gaps.missing:,} {are} missing, by their numbers: {some}{more}.{said}{step}", "warn"


def _dropped(outcome: TimelineEvent | None) -> str:
    if outcome is None or outcome.dropped is None:
        return ""
    counts = orjson.loads(outcome.dropped)
    return ", ".join(f"{count} ({reason})" for reason, count in counts.items() if count)
