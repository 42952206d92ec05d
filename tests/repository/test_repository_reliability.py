"""docs/reliability.md names tests: they exist, and are as fast as it says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text()
TESTS = {path.name: path for path in (ROOT / "tests").rglob("test_*.py")}
NAMED = re.findall(r"`(test_\w+\.py) (test_\w+)` \| (fast|long) \|", PAGE)


def functions(path: Path) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    return {
        node.name: node
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


@pytest.mark.parametrize(("file", "name", "pace"), NAMED, ids=[name for _, name, _ in NAMED])
def test_a_test_of_the_matrix_exists(file: str, name: str, pace: str) -> None:
    function = functions(TESTS[file])[name]
    marks = {ast.unparse(decorator).partition("(")[0] for decorator in function.decorator_list}
    assert ("pytest.mark.long" in marks) == (pace == "long")


def test_every_test_that_is_named_is_looked_at() -> None:
    assert len(re.findall(r"`test_\w+\.py test_\w+`", PAGE.partition("<!-- mutations: begin")[0])) == len(NAMED)


def test_the_matrix_is_complete() -> None:
    rows = re.findall(r"^\| F(\d+)(?: to F(\d+))? \|", PAGE, re.MULTILINE)
    numbers = [number for first, last in rows for number in range(int(first), int(last or first) + 1)]
    assert numbers == list(range(1, 35))


def test_the_tables_that_runs_fill_have_their_markers() -> None:
    for name in ("mutations", "nemesis"):
        assert len(re.findall(rf"<!-- {name}: begin\b", PAGE)) == PAGE.count(f"<!-- {name}: end -->") == 1
