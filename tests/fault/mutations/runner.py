"""Runs tests against copies of the product."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from fault.mutations.mutation import Mutation, MutationError
from fault.mutations.witness import MODULE_VARIABLE, REPORT_VARIABLE

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = ("schemas", "producers", "sql", "consumers", "replay", "recommendations", "dashboards", "local", "cli")

# A test's own limit is shorter: what takes longer than this hangs.
_TEST_TIMEOUT_S = 60
_RUN_TIMEOUT_S = 150
_BASELINE_TIMEOUT_S = 900


class Result(StrEnum):
    """What taking out a guard brought about."""

    FAILS = "fails without it"
    HANGS = "hangs without it"
    SURVIVED = "SURVIVED"
    """No test noticed."""
    BROKEN = "BROKEN"
    """The tests could not be run: this proves nothing."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A row of the table."""

    mutation: Mutation
    result: Result
    seconds: float
    test: str = ""
    """The test that failed first."""
    detail: str = ""
    """How it failed, or what is broken."""

    @property
    def is_proof(self) -> bool:
        """Whether the guard was shown to be needed."""
        return self.result in (Result.FAILS, Result.HANGS)


@dataclass(frozen=True, slots=True)
class TestRun:
    """What a run of pytest reported."""

    __test__ = False  # for pytest, which looks for tests by this name

    origin: str | None
    """The file of the module under suspicion."""
    endings: Sequence[Mapping[str, Any]]
    timed_out: bool
    output: str

    @property
    def passed(self) -> set[str]:
        """The tests that ran and passed."""
        failed = {ending["test"] for ending in self.endings if ending["outcome"] != "passed"}
        return {ending["test"] for ending in self.endings if ending["when"] == "call"} - failed


class Workshop:
    """A copy of the product's folders, in which one guard at a time is missing."""

    def __init__(self, directory: Path, root: Path = ROOT) -> None:
        self._root = root
        self._directory = directory
        self._copy = directory / "copy"
        self._unfit: set[str] = set()
        self.baseline_output = ""
        """The end of what pytest said of the baseline, where something did not pass."""
        for folder in FOLDERS:
            ignored = shutil.ignore_patterns("__pycache__")
            # The SQL files are reached by links inside the portion: kept as links, they lead to the copies.
            shutil.copytree(root / folder, self._copy / folder, symlinks=True, ignore=ignored)

    def baseline(self, mutations: Sequence[Mutation]) -> None:
        """Run all tests on the copy as it is: what fails with all guards in place proves nothing without one."""
        tests = sorted({test for mutation in mutations for test in mutation.tests})
        run = self._run_tests(tests, None, _BASELINE_TIMEOUT_S)
        failed = {ending["test"] for ending in run.endings if ending["outcome"] != "passed"}
        for test in tests:
            passed = any(_is_of(test, ended) for ended in run.passed)
            if not passed or any(_is_of(test, ended) for ended in failed):
                self._unfit.add(test)
        self.baseline_output = run.output if self._unfit else ""

    def prove(self, mutation: Mutation) -> Finding:
        """Run the guard's tests without the guard."""
        started = time.monotonic()
        if unfit := self._unfit & set(mutation.tests):
            return Finding(mutation, Result.BROKEN, 0.0, detail=f"does not pass with the guard: {sorted(unfit)[0]}")
        try:
            with self._without(mutation):
                finding = self._attempt(mutation)
                # A slow machine must not make a proof.
                return self._attempt(mutation) if finding.result is Result.HANGS else finding
        except (MutationError, OSError, SyntaxError) as error:
            return Finding(mutation, Result.BROKEN, time.monotonic() - started, detail=str(error))

    def _attempt(self, mutation: Mutation) -> Finding:
        started = time.monotonic()
        run = self._run_tests(mutation.tests, mutation.module, _RUN_TIMEOUT_S)
        return self._judge(mutation, run, time.monotonic() - started)

    @contextlib.contextmanager
    def _without(self, mutation: Mutation) -> Iterator[None]:
        file = self._copy / mutation.file
        source = file.read_text()
        changed = mutation.apply(source)
        if file.suffix == ".py":
            compile(changed, mutation.file, "exec")
        file.write_text(changed)
        try:
            yield
        finally:
            file.write_text(source)

    def _run_tests(self, tests: Sequence[str], module: str | None, timeout_s: float) -> TestRun:
        report = self._directory / "report.json"
        report.unlink(missing_ok=True)
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "-p",
            "no:cacheprovider",
            "-p",
            "fault.mutations.witness",
        ]
        command += ["--long", f"--timeout={_TEST_TIMEOUT_S}", "--tb=short", *tests]
        if module is None:
            command.remove("-x")
        with tempfile.TemporaryFile(mode="w+") as output:
            process = subprocess.Popen(
                command,
                cwd=self._root,
                env=self._environment(report, module),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                process.wait(timeout_s)
                timed_out = False
            except subprocess.TimeoutExpired:
                timed_out = True
            finally:
                # Tests start processes of their own; none may outlive the run.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            output.seek(0)
            text = output.read()[-4000:]
        said = json.loads(report.read_text()) if report.exists() else {"origin": None, "endings": []}
        return TestRun(said["origin"], said["endings"], timed_out, text)

    def _environment(self, report: Path, module: str | None) -> dict[str, str]:
        # An editable install adds its folders behind these.
        path = [*(str(self._copy / folder) for folder in FOLDERS), str(ROOT / "tests"), str(ROOT / "examples")]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
        return {
            **kept,
            "PYTHONPATH": os.pathsep.join(path),
            "PYTHONDONTWRITEBYTECODE": "1",
            REPORT_VARIABLE: str(report),
            MODULE_VARIABLE: module or "",
        }

    def _judge(self, mutation: Mutation, run: TestRun, seconds: float) -> Finding:
        # A run that was ended reports nothing.
        is_foreign = run.origin is not None and not Path(run.origin).is_relative_to(self._copy)
        if is_foreign or (run.origin is None and not run.timed_out):
            return Finding(mutation, Result.BROKEN, seconds, detail=f"{mutation.module} came from {run.origin}")
        if run.timed_out:
            return Finding(mutation, Result.HANGS, seconds, mutation.tests[0], f"not done within {_RUN_TIMEOUT_S} s")
        failed = [ending for ending in run.endings if ending["outcome"] == "failed"]
        if broken := [ending for ending in failed if ending["is_broken"] or ending["when"] in ("collect", "setup")]:
            return Finding(mutation, Result.BROKEN, seconds, broken[0]["test"], _text(broken[0]))
        if failed:
            hangs = failed[0]["text"].startswith("Timeout (>")
            result = Result.HANGS if hangs else Result.FAILS
            return Finding(mutation, result, seconds, failed[0]["test"], _text(failed[0]))
        if not run.passed:
            return Finding(mutation, Result.BROKEN, seconds, detail=f"no test ran: {run.output[-500:]}")
        return Finding(mutation, Result.SURVIVED, seconds)


def _text(ending: Mapping[str, Any]) -> str:
    return f"{ending['error'] or 'error'}: {ending['text']}".partition("\n")[0]


def _is_of(name: str, test: str) -> bool:
    """Whether a test is the one of that name, or that one with parameters, or in the file of that name."""
    return test == name or test.startswith((f"{name}[", f"{name}::"))
