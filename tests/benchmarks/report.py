"""What the benchmarks share: where they ran, tables for people, JSON for programs."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from arc_eval_db.database import Session


async def where(session: Session) -> dict[str, Any]:
    """The machine and the server, without which no figure means anything."""
    version = await session.fetch_value("SELECT current_setting('server_version')")
    timescaledb = await session.fetch_value("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'")
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "postgresql": version,
        "timescaledb": timescaledb,
        "shared_buffers": await session.fetch_value("SELECT current_setting('shared_buffers')"),
    }


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table in Markdown, as docs/performance.md wants it."""
    print("| " + " | ".join(columns) + " |")
    print("| " + " | ".join("---" for _ in columns) + " |")
    for row in rows:
        print("| " + " | ".join(_cell(cell) for cell in row) + " |")


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def write_json(path: Path | None, report: dict[str, Any]) -> None:
    """Write the report where it was asked for."""
    if path is not None:
        path.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE, default=str))
        print(f"wrote {path}")
