"""Makes the pictures of docs/views.md: what the queries on the page answer over the recorded runs.

PYTHONPATH=tests python -m support.pictures postgresql://postgres@127.0.0.1:5432/postgres
"""

from __future__ import annotations

import asyncio
import io
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.migrations import Migrator
from benchmarks.dataset import fill, prepare
from support.databases import connect, temporary_database
from support.views_page import pictures, questions

_THEME = TerminalTheme((255, 255, 255), (36, 41, 47), [(36, 41, 47)] * 8, [(110, 119, 129)] * 8)
_BAR_CELLS = 12
_BAR_COLOUR = "#4f8cc9"

# rich's own frame is a window with a title bar and loads fonts from elsewhere.
_FORMAT = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<!-- Made by tests/support/pictures.py. Not to be edited. -->
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, Menlo, Consolas, monospace; font-size: {char_height}px; line-height: {line_height}px;
}}
{styles}
</style>
<rect width="100%" height="100%" rx="6" fill="#ffffff"/>
<g class="{unique_id}-matrix" transform="translate(12, 6)">{backgrounds}{matrix}</g>
</svg>
"""


async def _make(server: DatabaseSettings) -> None:
    async with temporary_database(server) as settings, await connect(settings) as session:
        await Migrator(session).up()
        runs = await prepare(session)
        until = datetime.now(UTC)
        # Two quiet weeks, and today enough for several to be running at any moment.
        yesterday = until - timedelta(days=1)
        for since, end, executions in ((until - timedelta(days=16), yesterday, 800), (yesterday, until, 8000)):
            await fill(
                session, runs=runs, since=since, until=end, executions_per_day=executions, steps=1000, report=print
            )
        for view, (question, statement) in questions().items():
            await _draw(session, view, question, statement)


async def _draw(session: Session, view: str, question: str, statement: str) -> None:
    rows = await session.fetch(statement)
    assert rows, f"{view}: the question has no answer"
    path = pictures()[view]
    path.write_text(_svg(question, rows))
    print(f"wrote {path.name}: {len(rows)} rows")


def _svg(question: str, rows: Sequence[Mapping[str, Any]]) -> str:
    table = Table(
        box=None, title=question, title_justify="left", title_style="bold", pad_edge=False, header_style="dim"
    )
    for name, value in rows[0].items():
        table.add_column(name, justify="left" if isinstance(value, str) or _is_rate(name) else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(_cell(name, value, rows) for name, value in row.items()))
    width = Console(width=200).measure(table).maximum
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(table)
    drawn = console.export_svg(title="", theme=_THEME, code_format=_FORMAT, unique_id="picture")
    return re.sub(r' clip-path="[^"]*"', "", drawn)


def _is_rate(name: str) -> bool:
    return name.endswith("rate") or name == "share"


def _cell(name: str, value: Any, rows: Sequence[Mapping[str, Any]]) -> str | Text:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if _is_rate(name):
        most = max(float(row[name] or 0) for row in rows) or 1
        return Text(f"{float(value):6.1%} ").append("█" * round(_BAR_CELLS * float(value) / most), style=_BAR_COLOUR)
    if isinstance(value, float):
        return f"{value:+,.3f}" if name.endswith("change") else f"{value:,.2f}"
    if isinstance(value, str) or name.endswith("_id"):
        return str(value)
    return f"{value:,.0f}"


if __name__ == "__main__":
    asyncio.run(_make(DatabaseSettings.load(database_url=sys.argv[1], database_command_timeout_s=600)))
