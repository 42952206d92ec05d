"""`arc-eval-db compare`: what it shows, prints for programs, refuses, and its exit codes."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner, Result

from arc_eval_db.cli import compare as module
from arc_eval_db.cli.commands import cli
from arc_eval_db.client import ArcEvalDBClient
from arc_eval_db.database import DatabaseSettings
from arc_eval_db.records import Envelope, ExecutionStart, Outcome
from support.scripts import imported_with_all_commands

NOW = datetime.now(UTC) - timedelta(hours=1)


def invoke(database: DatabaseSettings, *arguments: str) -> Result:
    environment = {"ARC_EVAL_DATABASE_URL": database.database_url.get_secret_value()}
    return CliRunner().invoke(cli, ["compare", *arguments], env=environment)


@pytest.fixture
async def two(database: DatabaseSettings) -> DatabaseSettings:
    """A configuration that fails all of twelve scenarios, and one that passes ten of them; a third has one run."""
    settings = database.model_copy(update={"database_pool_size_min": 1, "database_pool_size_max": 2})
    runs = [("first", n, "failed") for n in range(12)]
    runs += [("second\x9b31m", n, "succeeded" if n < 10 else "timed_out") for n in range(12)]
    async with ArcEvalDBClient(settings) as client:
        for name, number, status in [*runs, ("third", 0, "failed")]:
            execution = await client.record_execution_start(ExecutionStart(f"task {number:02d}", {"name": name}))
            cost = number + 1 if name == "first" else None
            await client.record_execution_outcome(
                Outcome(execution, status, cost_usd=cost, envelope=Envelope(time=NOW))
            )
    return database


async def compare(two: DatabaseSettings, *arguments: str) -> Result:
    return await asyncio.to_thread(invoke, two, *arguments)


B = "second\x9b31m"


@pytest.mark.database
async def test_people_are_told_the_verdict_first(two: DatabaseSettings) -> None:
    result = await compare(two, "first", B)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith("better: B's success rate is 83.3 % against 0.0 %: +83.3 points (95%: +")
    assert lines[0].endswith("over 12 common scenarios")
    flips = "10 scenarios newly passing, 0 newly failing"
    for text in ("second\\x9b31m", "success rate", "A 0, B 12", flips, "task 09"):
        assert text in result.stdout
    assert "\x9b" not in result.stdout
    assert max(len(line) for line in lines[1:]) <= 120


@pytest.mark.database
async def test_few_flips_are_shown_where_few_are_wanted(two: DatabaseSettings) -> None:
    shown = (await compare(two, "first", B, "--flips", "3")).stdout
    assert "task 02" in shown
    assert "task 03" not in shown
    assert "and 7 more; --flips shows them" in shown


@pytest.mark.database
async def test_programs_get_everything(two: DatabaseSettings) -> None:
    result = await compare(two, "first", B, "--json", "--detect", "10", "--margin", "2", "--metric", "success")
    document: dict[str, Any] = json.loads(result.stdout)
    assert document["verdict"]["kind"] == "better"
    assert (document["options"]["detect"], document["options"]["margin"]) == (0.1, 0.02)
    assert document["b"]["statuses"]["timed_out"] == 2
    assert len(document["flips"]) == 10
    assert [one["metric"] for one in document["metrics"]] == list(module.METRICS)


@pytest.mark.database
@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [
        (("first", B), 0),
        (("first", B, "--fail-if", "worse"), 0),
        ((B, "first", "--fail-if", "worse"), 3),
        ((B, "first", "--fail-if", "too_few_runs", "--fail-if", "worse"), 3),
        (("first", "third", "--fail-if", "worse"), 0),
        (("first", "third", "--fail-if", "too_few_runs"), 3),
    ],
)
async def test_a_script_can_stop(two: DatabaseSettings, arguments: tuple[str, ...], exit_code: int) -> None:
    result = await compare(two, *arguments)
    assert result.exit_code == exit_code, result.output
    assert result.stdout, "the report is printed all the same"


@pytest.mark.database
async def test_a_window_can_be_given(two: DatabaseSettings) -> None:
    result = await compare(two, "first", B, "--since", "30m", "--json")
    document = json.loads(result.stdout)
    assert (document["a"]["runs"], document["verdict"]["kind"]) == (0, "too_few_runs")


@pytest.mark.database
@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (("first", "nobody"), 1, "there is no configuration nobody; those that are: arc-eval-db config list"),
        (("first", "first"), 1, "are the same configuration version: name two"),
        (("first",), 2, "Missing argument 'B'"),
        (("first", "x", "--detect", "0"), 2, "0 is not in the range"),
        (("first", "x", "--detect", "nan"), 2, "nan is not a finite number"),
        (("first", "x", "--margin", "inf"), 2, "inf is not a finite number"),
        (("first", "x", "--alpha", "nan"), 2, "nan is not a finite number"),
        (("first", "x", "--since", "1d", "--until", "2d"), 2, "must be before --until"),
        (("first", "x", "--alpha", "0.5"), 2, "0.5 is not in the range"),
        (("first", "x", "--metric", "speed"), 2, "'speed' is not one of"),
    ],
)
async def test_what_cannot_be_is_refused(
    two: DatabaseSettings, arguments: tuple[str, ...], exit_code: int, message: str
) -> None:
    result = await compare(two, *arguments)
    assert (result.exit_code, message in result.output) == (exit_code, True), result.output


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec

    def without(name: str) -> Any:
        return None if name == "statsmodels" else found(name)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    result = CliRunner().invoke(cli, ["compare", "A", "B"])
    assert result.exit_code == 1
    assert "pip install 'arc-eval-db[recommendations]'" in result.stderr


def test_no_other_command_waits_for_statistics() -> None:
    assert imported_with_all_commands("click", "numpy", "scipy", "statsmodels", "pandas") == ["click"]


def test_choices_are_those_of_the_library() -> None:
    from arc_eval_db.recommendations import DEFAULT_RUNS_MAX, ComparisonOptions, Metric, VerdictKind

    assert list(Metric) == list(module.METRICS)
    assert list(VerdictKind) == list(module.VERDICTS)
    default = {one.name: one.default for one in module.compare.params}
    options = ComparisonOptions()
    assert (default["runs_max"], default["scenarios_min"]) == (DEFAULT_RUNS_MAX, options.scenarios_min)
    assert (default["alpha"], default["power"], default["metric"]) == (options.alpha, options.power, options.metric)
    assert default["detect"] == 100 * options.detect
