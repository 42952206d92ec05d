"""Dead letters as rows of tables."""

from __future__ import annotations

from urllib.parse import urlencode

from arc_eval_db.dashboards.web.data.dead_letters import LetterCounts
from arc_eval_db.dashboards.web.elements import Column, Row, at, figure, link
from arc_eval_db.dashboards.web.elements.data_table import Cell


def count_columns() -> list[Column]:
    """The columns of `count_rows`."""
    return [
        Column("reason"),
        Column("topic"),
        Column("open", is_figure=True),
        Column("quarantined", is_figure=True, hint="Tried too often; a retry leaves them alone unless asked."),
        Column("oldest"),
        Column("newest"),
    ]


def count_rows(counts: LetterCounts) -> list[Row]:
    """A row a topic and reason, which leads to the letters."""
    return [
        Row(
            f"{count.topic} {count.reason}",
            _cells(
                link(count.reason, f"/dead-letters?{urlencode({'reason': count.reason, 'topic': count.topic})}"),
                count.topic,
                figure(count.open),
                figure(count.quarantined),
                at(count.oldest_at),
                at(count.newest_at),
            ),
        )
        for count in counts.counts
    ]


def _cells(*cells: Cell | str) -> tuple[Cell | str, ...]:
    return cells
