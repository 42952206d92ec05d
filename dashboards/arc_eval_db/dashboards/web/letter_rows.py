"""Dead letters as rows of tables."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from urllib.parse import urlencode

from arc_eval_db.dashboards.web.data.dead_letters import LetterCounts
from arc_eval_db.dashboards.web.elements import Column, Row, at, badge, figure, link
from arc_eval_db.dashboards.web.elements.data_table import Cell, Tone
from arc_eval_db.replay import LetterState, StoredLetter

_TONES: dict[LetterState, Tone] = {
    LetterState.OPEN: "warn",
    LetterState.QUARANTINED: "critical",
    LetterState.RESOLVED: "ok",
}


def count_columns() -> list[Column]:
    """The columns of `count_rows`."""
    return [
        Column("reason"),
        Column("topic"),
        Column("open", is_figure=True),
        Column("quarantined", is_figure=True, hint="Tried too often; a retry leaves them alone unless asked."),
        Column("resolved", is_figure=True),
        Column("oldest"),
        Column("newest"),
    ]


def count_rows(counts: LetterCounts) -> list[Row]:
    """A row a topic and reason, which leads to the letters."""
    rows = []
    for count in counts.counts:
        cells: list[Cell | str] = [
            link(count.reason, f"/dead-letters?{urlencode({'reason': count.reason, 'topic': count.topic})}"),
            count.topic,
            figure(count.open),
            figure(count.quarantined),
            figure(count.resolved),
            at(count.oldest_at),
            at(count.newest_at),
        ]
        rows.append(Row(f"{count.topic} {count.reason}", cells))
    return rows


def letter_columns() -> list[Column]:
    """The columns of `letter_row`."""
    return [
        Column("id"),
        Column("state"),
        Column("set aside"),
        Column("place", hint="Topic, partition and offset"),
        Column("reason"),
        Column("attempts", is_figure=True),
        Column("detail", is_wide=True),
        Column(""),
    ]


def letter_row(letter: StoredLetter, *, may_change: bool) -> Row:
    """A letter without its content."""
    can_retry = may_change and letter.state is not LetterState.RESOLVED
    cells: list[Cell | str] = [
        link(str(letter.id), f"/dead-letters/{letter.id}"),
        badge(letter.resolution or letter.state.value, _TONES[letter.state]),
        at(letter.dead_lettered_at),
        place_of(letter),
        letter.reason,
        figure(letter.attempts),
        letter.last_detail or letter.detail,
        Cell("Retry", action="retry", hint=f"Retry dead letter {letter.id}") if can_retry else "",
    ]
    return Row(str(letter.id), cells)


def place_of(letter: StoredLetter) -> str:
    """Where it stands in the log."""
    return f"{letter.topic}/{letter.log_partition}@{letter.log_offset}"


def letter_facts(letter: StoredLetter) -> Iterator[tuple[str, str]]:
    """Everything but the content, as words."""
    shown: dict[str, object] = {
        "State": letter.state.value,
        "Place": place_of(letter),
        "In the log since": _time(letter.log_timestamp),
        "Set aside": f"{_time(letter.dead_lettered_at)} by {letter.consumer_group}, {letter.consumer_version}",
        "Reason": letter.reason,
        "Detail": letter.detail,
        "Error": letter.error_class + (f" ({letter.sqlstate})" if letter.sqlstate else ""),
        "Event": letter.event_id,
        "Type": letter.event_type,
        "Attempts": letter.attempts,
        "Last attempt": _time(letter.last_attempt_at),
        "Refused then for": letter.last_detail,
        "Quarantined": _time(letter.quarantined_at),
        "Resolved": _time(letter.resolved_at),
        "Resolution": letter.resolution,
        "Resolved by": letter.resolved_by,
    }
    for name, value in shown.items():
        if value is not None:
            yield name, str(value)


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}Z"
