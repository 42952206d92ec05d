"""The SQL files of this project, as data: `migrations/` and `queries/`."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from types import MappingProxyType

_NAME = re.compile(r"^-- name: (\w+)[ \t]*$", re.MULTILINE)


def read_file(path: str) -> str:
    """The text of a file such as "migrations/0001_core_tables.up.sql"."""
    return resources.files(__name__).joinpath(path).read_text(encoding="utf-8")


def list_files(folder: str) -> list[str]:
    """The names of the SQL files in a folder, sorted."""
    return sorted(
        file.name for file in resources.files(__name__).joinpath(folder).iterdir() if file.name.endswith(".sql")
    )


@cache
def queries(name: str) -> MappingProxyType[str, str]:
    """The named statements of `queries/<name>.sql`: everything after a line `-- name: …` up to the next one."""
    parts = _NAME.split(read_file(f"queries/{name}.sql"))
    statements = dict(zip(parts[1::2], (text.strip().rstrip(";") for text in parts[2::2]), strict=True))
    assert len(statements) == len(parts) // 2, f"{name}.sql names a statement twice"
    return MappingProxyType(statements)
