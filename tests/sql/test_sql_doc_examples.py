"""The Python blocks of some pages: each page is one program, run against the real database."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from arc_eval_db.database import DatabaseSettings

pytestmark = pytest.mark.database

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = [page for page in ("client.md", "recorder.md", "dead-letters.md", "replay.md") if (DOCS / page).is_file()]

_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks_of(page: Path) -> list[CodeType]:
    """The blocks, compiled so that errors name the line in the page."""
    text = page.read_text()
    return [
        compile(
            "\n" * text[: match.start(1)].count("\n") + match[1],
            str(page),
            "exec",
            flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
        )
        for match in _BLOCK.finditer(text)
    ]


def run(blocks: list[CodeType]) -> None:
    """Like `python -m asyncio`: one namespace, `await` at the top level, also of programs that bring their own loop."""
    namespace: dict[str, Any] = {"__name__": "example"}
    with asyncio.Runner() as runner:
        for block in blocks:
            result = eval(block, namespace)
            if inspect.iscoroutine(result):
                runner.run(result)


@pytest.mark.parametrize("page", PAGES)
async def test_the_examples_run(page: str, database: DatabaseSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARC_EVAL_DATABASE_URL", database.database_url.get_secret_value())
    blocks = blocks_of(DOCS / page)
    assert blocks
    # In a thread, which has no running loop.
    await asyncio.wait_for(asyncio.to_thread(run, blocks), 60)
