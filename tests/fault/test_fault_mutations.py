"""The runner of the mutation proof: it must tell guards that are needed from others, and from broken entries."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fault.mutations import runner
from fault.mutations.__main__ import main
from fault.mutations.guards import MUTATIONS
from fault.mutations.mutation import Mutation, MutationError
from fault.mutations.runner import FOLDERS, ROOT, Finding, Result, TestRun, Workshop
from fault.mutations.table import BEGIN, END, as_markdown, line_of, write_docs

LIMITS = "schemas/arc_eval_db/schemas/limits.py"
DEPTH = "JSON_DEPTH_MAX = 32"

NEEDS_THE_LIMIT = """
from arc_eval_db.schemas.limits import JSON_DEPTH_MAX

def test_it():
    assert JSON_DEPTH_MAX == 32
"""

LONG_OPTION = """
def pytest_addoption(parser):
    parser.addoption("--long", action="store_true")
"""


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """Runs tests of a made-up project, on a copy of the real product."""
    root = tmp_path / "project"
    for folder in FOLDERS:
        (root / folder).mkdir(parents=True)
    shutil.copytree(ROOT / "schemas" / "arc_eval_db", root / "schemas" / "arc_eval_db")
    tests = root / "tests"
    tests.mkdir()
    (tests / "conftest.py").write_text(
        'def pytest_addoption(parser):\n    parser.addoption("--long", action="store_true")\n'
    )
    (tests / "test_needs.py").write_text(NEEDS_THE_LIMIT)
    (tests / "test_passes.py").write_text("def test_it():\n    pass\n")
    (tests / "test_fails.py").write_text("def test_it():\n    assert False\n")
    (tests / "test_skips.py").write_text("import pytest\n\ndef test_it():\n    pytest.skip('not here')\n")
    (root / "pytest.ini").write_text("[pytest]\n")
    return Workshop(tmp_path / "work", root)


def mutation(text: str = DEPTH, without: str = "JSON_DEPTH_MAX = 33", test: str = "needs") -> Mutation:
    return Mutation("depth", "Not too deep", LIMITS, text, without, (f"tests/test_{test}.py::test_it",))


def test_a_guard_that_its_test_needs_is_proved(workshop: Workshop) -> None:
    finding = workshop.prove(mutation())
    assert (finding.result, finding.test) == (Result.FAILS, "tests/test_needs.py::test_it")
    assert finding.is_proof
    assert "AssertionError" in finding.detail


def test_a_guard_that_no_test_misses_survives(workshop: Workshop) -> None:
    whole = (workshop._copy / LIMITS).read_text()
    finding = workshop.prove(mutation(test="passes"))
    assert (finding.result, finding.is_proof) == (Result.SURVIVED, False)
    assert (workshop._copy / LIMITS).read_text() == whole, "the guard is back for the next one"


@pytest.mark.parametrize(
    ("broken", "detail"),
    [
        (mutation(text="no such text"), "stands 0 times in schemas/arc_eval_db/schemas/limits.py, instead of once"),
        (mutation(text="_MAX = "), "times in schemas/arc_eval_db/schemas/limits.py, instead of once"),
        (mutation(without="JSON_DEPTH_MAX ="), "invalid syntax"),
        (mutation(without=""), "ImportError"),
        (mutation(test="skips"), "no test ran"),
    ],
)
def test_what_proves_nothing_is_broken(workshop: Workshop, broken: Mutation, detail: str) -> None:
    finding = workshop.prove(broken)
    assert finding.result is Result.BROKEN, finding
    assert detail in finding.detail
    assert not finding.is_proof


def test_a_test_that_fails_with_the_guard_proves_nothing(workshop: Workshop) -> None:
    needed, failing = mutation(), mutation(test="fails")
    workshop.baseline([needed, failing])
    assert "1 failed" in workshop.baseline_output
    assert workshop.prove(needed).result is Result.FAILS
    finding = workshop.prove(failing)
    assert (finding.result, finding.detail) == (
        Result.BROKEN,
        "does not pass with the guard: tests/test_fails.py::test_it",
    )


def test_a_module_that_is_not_the_copys_is_broken(workshop: Workshop) -> None:
    """As where a module was moved, or an installed package comes first: the guard was there all the time."""
    (workshop._copy / "schemas" / "arc_eval_db" / "elsewhere").mkdir()
    moved = "schemas/arc_eval_db/elsewhere/limits.py"
    (workshop._copy / moved).write_text(DEPTH)
    (workshop._copy / "schemas" / "arc_eval_db" / "elsewhere" / "__init__.py").write_text("raise OSError('not here')")
    entry = Mutation("x", "x", moved, DEPTH, "JSON_DEPTH_MAX = 33", ("tests/test_passes.py::test_it",))
    finding = workshop.prove(entry)
    assert finding.result is Result.BROKEN
    assert "OSError: not here" in finding.detail


HANGS_ONCE = """
import threading
from pathlib import Path

def test_it():
    seen = Path(__file__).with_suffix(".seen")
    is_first = not seen.exists()
    seen.touch()
    if is_first:
        threading.Event().wait()
"""


@pytest.mark.long
def test_a_hang_counts_only_when_it_comes_again(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a slow machine would make a proof."""
    monkeypatch.setattr(runner, "_TEST_TIMEOUT_S", 1)
    (workshop._root / "tests" / "test_hangs_once.py").write_text(HANGS_ONCE)
    assert workshop.prove(mutation(test="hangs_once")).result is Result.SURVIVED
    hangs_always = "import threading\n\ndef test_it():\n    threading.Event().wait()\n"
    (workshop._root / "tests" / "test_hangs.py").write_text(hangs_always)
    assert workshop.prove(mutation(test="hangs")).result is Result.HANGS


def test_a_run_that_was_ended_proves_nothing_of_another_module(workshop: Workshop) -> None:
    foreign = TestRun("/elsewhere/limits.py", [], timed_out=True, output="")
    assert workshop._judge(mutation(), foreign, 1.0).result is Result.BROKEN
    unknown = TestRun(None, [], timed_out=True, output="")
    assert workshop._judge(mutation(), unknown, 1.0).result is Result.HANGS


def test_every_entry_fits_the_code() -> None:
    for entry in MUTATIONS:
        entry.apply((ROOT / entry.file).read_text())
        for test in entry.tests:
            file, *names = test.partition("[")[0].split("::")
            assert all(re.search(rf"(def|class) {name}\b", (ROOT / file).read_text()) for name in names), test
    assert [name for name, count in Counter(entry.name for entry in MUTATIONS).items() if count > 1] == []
    assert len(MUTATIONS) >= 30


def test_an_entry_that_does_not_fit_names_its_guard() -> None:
    with pytest.raises(MutationError, match="depth: its text stands 2 times"):
        mutation(text="a").apply("aa")


def test_the_list_and_a_name_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list", "compare-and-set"]) == 0
    assert "sql/queries/offsets.sql:" in capsys.readouterr().out
    assert main(["no-such-guard"]) == 2
    assert "no such guard: no-such-guard" in capsys.readouterr().err


def test_the_table_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    entry = MUTATIONS[0]
    findings = [
        Finding(entry, Result.FAILS, 2.5, "tests/sql/test_x.py::test_y[1]", "boom"),
        Finding(entry, Result.SURVIVED, 1.0),
    ]
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_docs(as_markdown(findings, "Kafka 1, PostgreSQL 2", datetime(2026, 1, 2, tzinfo=UTC)), page)
    text = page.read_text()
    assert text.startswith(f"before\n{BEGIN}\nRun on 2026-01-02 with Python 3.")
    assert "1 of 2 guards are needed by their tests (4 s)" in text
    assert f"| {entry.guard} | `{entry.file}` | `test_x.py test_y` | fails without it | 2 |" in text
    assert "old" not in text
    assert text.endswith(f"{END}\nafter\n")
    with pytest.raises(ValueError, match="must hold the markers"):
        write_docs("x", Path(shutil.copy(ROOT / "README.md", tmp_path)))
    assert "SURVIVED" in line_of(findings[1])
