"""Real runs through a real database: five recorded models, and the grid agent with two configurations."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from scipy import stats

from arc_eval_db.client import ArcEvalDBClient
from arc_eval_db.database import DatabaseSettings
from arc_eval_db.migrations import Edition
from arc_eval_db.recommendations import (
    ComparisonOptions,
    ComparisonReport,
    Difference,
    Metric,
    VerdictKind,
    compare,
)
from arc_eval_db.records import ExecutionStart, Outcome, ToolUse
from grid_agent.agent import run_agent
from grid_agent.configurations import SHALLOW_GREEDY, WIDE_BEAM, Configuration
from grid_agent.puzzles import Puzzle, make_puzzles
from support.databases import temporary_database
from support.recorded_runs import recorded_runs

pytestmark = pytest.mark.database

MODELS = (
    "deepseek-chat-v2",
    "deepseek-coder-v2",
    "doubao-pro-128k",
    "gpt-4o-2024-05-13",
    "gpt-4o-mini-2024-07-18",
)
PAIRS = list(itertools.combinations(MODELS, 2))
# Nine or seven of ninety-one against one: on their own significant, and not any more for whoever looks at ten pairs.
FOUND = {
    ("deepseek-chat-v2", "doubao-pro-128k"),
    ("deepseek-chat-v2", "gpt-4o-mini-2024-07-18"),
    ("deepseek-coder-v2", "doubao-pro-128k"),
}

Run = dict[str, Any]


@pytest.fixture(scope="module")
async def client(
    database_server: DatabaseSettings, template: tuple[DatabaseSettings, Edition]
) -> AsyncIterator[ArcEvalDBClient]:
    """With all recorded runs: a model is a configuration, a task a scenario."""
    runs = recorded_runs()
    name = template[0].database_url.get_secret_value().partition("?")[0].rpartition("/")[2]
    async with (
        temporary_database(database_server, template=name) as settings,
        ArcEvalDBClient(
            settings.model_copy(update={"database_pool_size_min": 4, "database_pool_size_max": 4})
        ) as opened,
    ):
        for first in range(0, len(runs), 50):
            await asyncio.gather(*(record(opened, run) for run in runs[first : first + 50]))
        yield opened


async def record(client: ArcEvalDBClient, run: Run) -> None:
    execution = await client.record_execution_start(ExecutionStart(run["task"], {"name": run["model"]}))
    await client.record_tool_usage(
        [ToolUse(execution, step["tool"], success=step["error"] is None, error=step["error"]) for step in run["steps"]]
    )
    await client.record_execution_outcome(
        Outcome(execution, status(run), score=float(run["resolved"]), cost_usd=run["cost_usd"])
    )


def status(run: Run) -> str:
    if run["resolved"]:
        return "succeeded"
    return "failed" if run["exit_status"] is not None else "errored"


def of(model: str) -> dict[str, Run]:
    """A model's runs by task: one each."""
    return {run["task"]: run for run in recorded_runs() if run["model"] == model}


def values(runs: Mapping[str, Run], tasks: list[str], metric: Metric) -> np.ndarray:
    def measure(run: Run) -> float:
        if metric is Metric.COST:
            return float(run["cost_usd"])
        if metric is Metric.TOOL_ERRORS:
            return float(sum(step["error"] is not None for step in run["steps"]))
        return float(run["resolved"])

    return np.array([measure(runs[task]) for task in tasks])


def newcombe(b: np.ndarray, a: np.ndarray) -> tuple[float, float]:
    """Square-and-add, of two Wilson intervals."""
    p, q = b.mean(), a.mean()
    (l1, u1), (l2, u2) = (stats.binomtest(int(side.sum()), len(side)).proportion_ci(method="wilson") for side in (b, a))
    return p - q - ((p - l1) ** 2 + (u2 - q) ** 2) ** 0.5, p - q + ((u1 - p) ** 2 + (q - l2) ** 2) ** 0.5


def bonett_price(b: np.ndarray, a: np.ndarray) -> tuple[float, float]:
    """From the four cells, as published."""
    n, better, worse = len(a), int((b > a).sum()), int((b < a).sum())
    p, q = (better + 1) / (n + 2), (worse + 1) / (n + 2)
    half = stats.norm.ppf(0.975) * ((p + q - (p - q) ** 2) / (n + 2)) ** 0.5
    return p - q - half, p - q + half


@pytest.mark.parametrize(("a", "b"), PAIRS)
async def test_two_models_are_compared_as_a_direct_computation_does(client: ArcEvalDBClient, a: str, b: str) -> None:
    report = await compare(client, a, b)
    runs_a, runs_b = of(a), of(b)
    common = sorted(runs_a.keys() & runs_b.keys())
    assert report.common_scenarios == len(common)
    assert (report.a.runs, report.b.runs) == (len(runs_a), len(runs_b))
    assert (report.a.scenarios_alone, report.b.scenarios_alone) == (
        len(runs_a.keys() - runs_b.keys()),
        len(runs_b.keys() - runs_a.keys()),
    )
    for metric in (Metric.SUCCESS, Metric.SCORE, Metric.COST, Metric.TOOL_ERRORS):
        check_metric(report, metric, runs_a, runs_b, common)
    assert report.metric(Metric.DURATION).paired is None, "nobody measured it"
    assert report.metric(Metric.DURATION).a_missing == len(runs_a)
    before, after = (values(side, common, Metric.SUCCESS) for side in (runs_a, runs_b))
    assert [flip.scenario for flip in report.flips if flip.kind == "newly_passing"] == [
        task for task, x, y in zip(common, before, after, strict=True) if y > x
    ]
    assert [flip.scenario for flip in report.flips if flip.kind == "newly_failing"] == [
        task for task, x, y in zip(common, before, after, strict=True) if y < x
    ]


def check_metric(
    report: ComparisonReport, metric: Metric, runs_a: dict[str, Run], runs_b: dict[str, Run], common: list[str]
) -> None:
    found = report.metric(metric)
    assert found.paired is not None
    assert found.overall is not None
    assert (found.a_missing, found.b_missing) == (0, 0)
    a, b = values(runs_a, common, metric), values(runs_b, common, metric)
    check_means(found.paired, a, b)
    all_a, all_b = values(runs_a, sorted(runs_a), metric), values(runs_b, sorted(runs_b), metric)
    check_means(found.overall, all_a, all_b)
    if metric is Metric.SUCCESS:
        assert found.paired.interval == pytest.approx(bonett_price(b, a))
        assert found.overall.interval == pytest.approx(newcombe(all_b, all_a))
        angles = 2 * np.arcsin(np.sqrt([a.mean(), b.mean()]))
        assert found.paired.effect_size == pytest.approx(angles[1] - angles[0])
        return
    if not (b - a).any():  # one and the same task resolved: nothing varies
        assert (found.paired.interval, found.paired.p_value) == (None, 1)
        return
    direct = stats.ttest_rel(b, a)
    assert found.overall.interval is not None
    assert found.paired.interval == pytest.approx(tuple(direct.confidence_interval(0.95)))
    assert found.paired.p_value == pytest.approx(direct.pvalue)
    spread = ((a.var(ddof=1) + b.var(ddof=1)) / 2) ** 0.5
    corrected = (b - a).mean() / spread * (1 - 3 / (4 * (2 * len(common) - 2) - 1))
    assert found.paired.effect_size == pytest.approx(corrected)


def check_means(found: Difference, a: np.ndarray, b: np.ndarray) -> None:
    assert (found.a_mean, found.b_mean) == pytest.approx((a.mean(), b.mean()))
    assert found.difference == pytest.approx(b.mean() - a.mean(), abs=1e-12)
    assert found.ratio == pytest.approx(b.mean() / a.mean())
    assert found.interval is None or found.interval.contains(found.difference)


async def test_twenty_four_successes_show_little(client: ArcEvalDBClient) -> None:
    """Seven pairs show nothing, and say what there may be. Who looks at all ten must ask for more: then none does."""
    ten = ComparisonOptions(alpha=0.05 / len(PAIRS))
    for pair in PAIRS:
        report = await compare(client, *pair)
        expected = VerdictKind.WORSE if pair in FOUND else VerdictKind.NO_DIFFERENCE_FOUND
        assert report.verdict.kind is expected, report.verdict.text
        paired = report.metric("success").paired
        assert paired is not None
        assert paired.interval is not None
        exact = stats.binomtest(sum(flip.kind == "newly_passing" for flip in report.flips), len(report.flips) or 1)
        assert bool(exact.pvalue < 0.05) is (pair in FOUND), "McNemar's exact test says the same"
        if pair not in FOUND:
            assert "the data are compatible with anything from" in report.verdict.text
            assert report.verdict.detectable_difference is not None
            assert report.verdict.detectable_difference > 0.045
        assert (await compare(client, *pair, ten)).verdict.kind is VerdictKind.NO_DIFFERENCE_FOUND


async def test_costs_differ_where_successes_do_not(client: ArcEvalDBClient) -> None:
    pair = ("deepseek-coder-v2", "gpt-4o-mini-2024-07-18")
    assert (await compare(client, *pair)).verdict.kind is VerdictKind.NO_DIFFERENCE_FOUND
    assert (await compare(client, *pair, ComparisonOptions(metric=Metric.COST))).verdict.kind is VerdictKind.WORSE


@dataclass
class RecordedCall:
    message: str | None = None

    def result(self, value: object, /) -> None:
        """What it returned is not kept."""

    def error(self, message: str, /) -> None:
        self.message = message


@dataclass
class RecordedRun:
    """What the agent reports, to be recorded afterwards."""

    tools: list[tuple[str, str | None]] = field(default_factory=list)
    outcome: dict[str, Any] = field(default_factory=lambda: {"status": "errored"})

    @contextlib.contextmanager
    def tool(self, name: str, arguments: Mapping[str, Any], /) -> Iterator[RecordedCall]:
        call = RecordedCall()
        try:
            yield call
        except Exception as error:
            call.error(str(error) or type(error).__name__)
            raise
        finally:
            self.tools.append((name, call.message))

    def progress(self, message: str, /, *, step: int) -> None:
        """Not kept."""

    def failure(self, kind: str, message: str, /, *, details: dict[str, Any]) -> None:
        """Not kept."""

    def complete(self, **outcome: Any) -> None:
        self.outcome = outcome


class StepClock:
    """Time by how often it is looked at: the same on every machine."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        self.seconds += 0.00025
        return self.seconds


def solve(puzzle: Puzzle, configuration: Configuration) -> tuple[RecordedRun, float]:
    """One run of the real agent, and its milliseconds."""
    run, clock = RecordedRun(), StepClock()
    with contextlib.suppress(IndexError, ValueError):  # what the agent's author did not think of: the run is errored
        run_agent(puzzle, configuration, run, clock=clock)
    return run, clock.seconds * 1000


async def test_a_better_agent_is_found_to_be_better(database: DatabaseSettings) -> None:
    settings = database.model_copy(update={"database_pool_size_min": 1, "database_pool_size_max": 2})
    puzzles = make_puzzles(40, 7)
    solved: dict[str, list[bool]] = {}
    async with ArcEvalDBClient(settings) as client:
        for configuration in (SHALLOW_GREEDY, WIDE_BEAM):
            for puzzle in puzzles:
                run, duration_ms = solve(puzzle, configuration)
                execution = await client.record_execution_start(ExecutionStart(puzzle.name, configuration.to_dict()))
                await client.record_tool_usage(
                    [ToolUse(execution, name, success=error is None, error=error) for name, error in run.tools]
                )
                await client.record_execution_outcome(Outcome(execution, duration_ms=duration_ms, **run.outcome))
                solved.setdefault(configuration.name, []).append(run.outcome["status"] == "succeeded")
        report = await compare(client, "shallow-greedy", "wide-beam")
        back = await compare(client, "wide-beam", "shallow-greedy")
    a, b = (np.array(solved[name], float) for name in ("shallow-greedy", "wide-beam"))
    paired, cost = report.metric("success").paired, report.metric("cost_usd").paired
    assert paired is not None
    assert paired.interval == pytest.approx(bonett_price(b, a))
    assert report.verdict.kind is VerdictKind.BETTER
    assert paired.interval is not None
    assert paired.interval.low > 0.3
    assert back.verdict.kind is VerdictKind.WORSE
    assert sum(flip.kind == "newly_passing" for flip in report.flips) == int((b > a).sum())
    assert cost is not None
    assert cost.interval is not None
    assert cost.interval.low > 0, "it costs more, too"
