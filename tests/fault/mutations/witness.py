"""A pytest plugin for the runs without a guard: what was imported from where, and how each test ended."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

REPORT_VARIABLE = "ARC_EVAL_TEST_WITNESS"
"""The file to report to."""
MODULE_VARIABLE = "ARC_EVAL_TEST_WITNESS_MODULE"
"""The module whose file is reported."""

# What Python raises for code that does not fit together; a failing guard raises something else.
_BROKEN_CODE = ("SyntaxError", "ImportError", "ModuleNotFoundError", "NameError", "UnboundLocalError")

_TEXT_CHARACTERS_MAX = 300

_endings: list[dict[str, Any]] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Iterator[None]:
    """Note the exception beside the outcome."""
    report: Any = yield
    error = call.excinfo
    _endings.append(
        {
            "test": report.nodeid,
            "when": report.when,
            "outcome": report.outcome,
            "error": error.typename if error else None,
            "text": str(error.value)[:_TEXT_CHARACTERS_MAX] if error else "",
            "is_broken": error is not None and error.typename in _BROKEN_CODE,
        }
    )
    return report  # type: ignore[no-any-return]  # a wrapper returns what it was given


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """A file that cannot be imported."""
    if report.failed:
        said = [line[1:].strip() for line in report.longreprtext.splitlines() if line.startswith("E ")]
        text = said[-1] if said else report.longreprtext
        _endings.append(
            {
                "test": report.nodeid,
                "when": "collect",
                "outcome": "failed",
                "error": None,
                "text": text[:_TEXT_CHARACTERS_MAX],
                "is_broken": True,
            }
        )


def pytest_sessionfinish() -> None:
    """Write the report."""
    module = os.environ.get(MODULE_VARIABLE)
    origin = None
    if module:
        try:
            origin = importlib.import_module(module).__file__
        except Exception as error:  # noqa: BLE001 - the report says so
            origin = f"{type(error).__name__}: {error}"
    Path(os.environ[REPORT_VARIABLE]).write_text(json.dumps({"origin": origin, "endings": _endings}))
