"""docs/views.md as data: each view with the question that the page asks of it."""

from __future__ import annotations

import re
from pathlib import Path

_PAGE = Path(__file__).resolve().parents[2] / "docs" / "views.md"
_SECTION = re.compile(r"^## (\w+)\n\n\*(.+?)\*\n\n```sql\n(.+?);\n```\n\n!\[.+?\]\((.+?)\)$", re.MULTILINE | re.DOTALL)


def questions() -> dict[str, tuple[str, str]]:
    """By view: the question in words and in SQL."""
    return {view: (question, statement) for view, question, statement, _ in _SECTION.findall(_PAGE.read_text())}


def pictures() -> dict[str, Path]:
    """By view: where the picture of its answer is."""
    return {view: _PAGE.parent / path for view, _, _, path in _SECTION.findall(_PAGE.read_text())}
