"""docs/reliability.md names tests and guards: they exist, and the tests are as fast as it says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from fault.mutations.guards import MUTATIONS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text()
TESTS = {path.name: path for path in (ROOT / "tests").rglob("test_*.py")}
_PACE = r"(?:fast|long)(?: \([^)|]*\))?"
NAMED = re.findall(rf"`(test_\w+\.py) (test_\w+)` \| ({_PACE}(?:, {_PACE})*) \|", PAGE)


def functions(path: Path) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    return {
        node.name: node
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def is_long(mark: ast.expr) -> bool:
    return "pytest.mark.long" in ast.unparse(mark)


def long_and_fast_cases(function: ast.FunctionDef | ast.AsyncFunctionDef) -> tuple[set[str], set[str]]:
    """The names of a test's cases by pace, where some of them are marked by themselves; of any other test ""."""
    decorators = function.decorator_list
    if any(ast.unparse(decorator) == "pytest.mark.long" for decorator in decorators):
        return {""}, set()
    cases: dict[bool, set[str]] = {True: set(), False: set()}
    for call in (node for decorator in decorators for node in ast.walk(decorator) if isinstance(node, ast.Call)):
        if ast.unparse(call.func) == "pytest.param":
            given = {keyword.arg: keyword.value for keyword in call.keywords}
            name = ast.literal_eval(given["id"]) if "id" in given else ast.unparse(call.args[0])
            cases["marks" in given and is_long(given["marks"])].add(name)
    return (cases[True], cases[False]) if cases[True] else (set(), {""})


@pytest.mark.parametrize(("file", "name", "pace"), NAMED, ids=[name for _, name, _ in NAMED])
def test_a_test_of_the_matrix_exists(file: str, name: str, pace: str) -> None:
    long, fast = long_and_fast_cases(functions(TESTS[file])[name])
    told = dict(re.findall(r"(long|fast)(?: \(([^)]*)\))?", pace))
    assert {key for key, cases in (("long", long), ("fast", fast)) if cases} == set(told)
    for key, cases in (("long", long), ("fast", fast)):
        assert all(case in told[key] for case in cases), "each case's name stands in the brackets"


def test_the_paces_of_a_tests_cases_are_understood() -> None:
    file = "@pytest.mark.parametrize('x', [pytest.param(1, marks=pytest.mark.long, id='a'), pytest.param(2, id='b')])"
    (mixed,) = ast.parse(f"{file}\ndef test(x): pass").body
    (whole,) = ast.parse(f"@pytest.mark.long\n{file}\ndef test(x): pass").body
    (plain,) = ast.parse("@pytest.mark.parametrize('x', [pytest.param(1, id='a')])\ndef test(x): pass").body
    for function, cases in ((mixed, ({"a"}, {"b"})), (whole, ({""}, set())), (plain, (set(), {""}))):
        assert isinstance(function, ast.FunctionDef)
        assert long_and_fast_cases(function) == cases


def test_every_test_that_is_named_is_looked_at() -> None:
    assert len(re.findall(r"`test_\w+\.py test_\w+`", PAGE.partition("<!-- mutations: begin")[0])) == len(NAMED)


def test_the_matrix_is_complete() -> None:
    rows = re.findall(r"^\| F(\d+)(?: to F(\d+))? \|", PAGE, re.MULTILINE)
    numbers = [number for first, last in rows for number in range(int(first), int(last or first) + 1)]
    assert numbers == list(range(1, 35))


def test_the_tables_that_runs_fill_have_their_markers() -> None:
    for name in ("mutations", "nemesis"):
        assert len(re.findall(rf"<!-- {name}: begin\b", PAGE)) == PAGE.count(f"<!-- {name}: end -->") == 1


def filled(name: str) -> str:
    """What stands between the markers."""
    return PAGE.partition(f"<!-- {name}: begin")[2].partition("-->")[2].partition(f"<!-- {name}: end")[0].strip()


def test_every_guard_is_in_the_table_of_the_proof() -> None:
    proved = set(re.findall(r"^\| (.+?) \| `", filled("mutations"), re.MULTILINE))
    guards = {mutation.guard for mutation in MUTATIONS}
    assert proved == guards, "make it again with `python -m fault.mutations --write-docs`"


def test_the_random_faults_were_run() -> None:
    assert filled("nemesis") not in ("", "Not run yet.")
