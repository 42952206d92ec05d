"""The search and the agent, with a fake run and, once, with the real SDK."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import pytest

from arc_eval_db.producers import EventEmitter, MemoryTransport, execution
from grid_agent.agent import USD_PER_1000_EVALUATIONS, Verdict, run_agent
from grid_agent.configurations import SHALLOW_GREEDY, WIDE_BEAM, Configuration
from grid_agent.grids import Grid
from grid_agent.primitives import Program, Step, run_program
from grid_agent.puzzles import Pair, Puzzle, make_puzzles
from grid_agent.search import TimeBudgetExceededError, candidate_steps, search_levels

FIRST: Grid = ((1, 2, 0), (0, 1, 0), (0, 0, 0))
SECOND: Grid = ((0, 0, 1, 2), (0, 1, 1, 0))
THIRD: Grid = ((2, 0), (1, 1), (0, 2))


@dataclass
class FakeCall:
    value: object = None
    message: str | None = None

    def result(self, value: object, /) -> None:
        self.value = value

    def error(self, message: str, /) -> None:
        self.message = message


@dataclass
class FakeRun:
    tools: list[tuple[str, bool]] = field(default_factory=list)
    """Name, and whether it succeeded."""
    failures: list[str] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    outcome: dict[str, Any] | None = None

    @contextmanager
    def tool(self, name: str, arguments: Mapping[str, Any], /) -> Iterator[FakeCall]:
        call = FakeCall()
        try:
            yield call
        except Exception:
            call.error("raised")
            raise
        finally:
            self.tools.append((name, call.message is None))

    def progress(self, message: str, /, *, step: int) -> None:
        self.steps.append(step)

    def failure(self, kind: str, message: str, /, *, details: dict[str, Any]) -> None:
        self.failures.append(kind)

    def complete(self, **outcome: Any) -> None:
        self.outcome = outcome


def puzzle_of(program: Program, test: Grid = THIRD, *training: Grid) -> Puzzle:
    pairs = [Pair(grid, run_program(program, grid)) for grid in (*(training or (FIRST, SECOND)), test)]
    return Puzzle("grid-test", "mixed", "medium", tuple(pairs[:-1]), pairs[-1], program)


def stopped_clock() -> float:
    return 0.0


def attempt(puzzle: Puzzle, configuration: Configuration) -> Verdict | None:
    """None for a crash. Every evaluation takes the same made-up time, so that the load changes nothing."""
    evaluations = count()
    try:
        return run_agent(puzzle, configuration, FakeRun(), clock=lambda: 0.0003 * next(evaluations))
    except ValueError:
        return None


TWO_STEPS = puzzle_of((Step("transpose"), Step("recolour", (1, 5))))
ONLY_MIRRORS = replace(SHALLOW_GREEDY, primitives=("mirror_right",))


def test_the_search_finds_a_program_of_two_steps() -> None:
    steps = candidate_steps(TWO_STEPS.training, WIDE_BEAM)
    *_, last = search_levels(TWO_STEPS.training, steps, WIDE_BEAM, stopped_clock)
    assert last.depth == 2
    assert last.best.similarity == 1.0
    assert all(run_program(last.best.program, pair.input) == pair.output for pair in TWO_STEPS.training)


def test_the_search_stops_when_nothing_is_new() -> None:
    flips = replace(WIDE_BEAM, primitives=("flip_horizontal",), search_depth=9)
    levels = list(search_levels(TWO_STEPS.training, [Step("flip_horizontal")], flips, stopped_clock))
    assert [(level.depth, level.kept, level.last) for level in levels] == [(1, 1, False), (2, 0, True)]


def test_the_beam_limits_the_evaluations() -> None:
    puzzle = puzzle_of((Step("outline", (5,)), Step("mirror_down"), Step("gravity_right")))
    steps = candidate_steps(puzzle.training, WIDE_BEAM)

    def evaluations(beam_width: int) -> int:
        levels = search_levels(puzzle.training, steps, replace(WIDE_BEAM, beam_width=beam_width), stopped_clock)
        next(levels)
        return next(levels).evaluations

    assert evaluations(1) <= 2 * len(steps) < evaluations(4) <= 5 * len(steps)


def test_the_search_says_when_its_time_is_over() -> None:
    ticks = count()
    levels = search_levels(
        TWO_STEPS.training, [Step("outline", (9,))], replace(WIDE_BEAM, time_budget_s=1.5), lambda: next(ticks)
    )
    next(levels)
    with pytest.raises(TimeBudgetExceededError, match="1 evaluations") as late:
        next(levels)
    assert (late.value.elapsed_s, late.value.evaluations) == (2, 1)


def test_solved() -> None:
    run = FakeRun()
    verdict = run_agent(TWO_STEPS, WIDE_BEAM, run, clock=stopped_clock)
    assert verdict.status == "succeeded"
    assert run.outcome == {"status": "succeeded", "score": 1.0, "cost_usd": verdict.cost_usd, "error_kind": None}
    assert verdict.cost_usd == pytest.approx(verdict.evaluations * USD_PER_1000_EVALUATIONS / 1000)
    assert [name for name, _ in run.tools] == ["analyse_pairs", *["expand_beam"] * 2, *["verify_program"] * 2]
    assert run.tools[-1] == ("verify_program", True)
    assert run.steps == [1, 2]
    assert run.failures == []


def test_exhausted() -> None:
    run = FakeRun()
    verdict = run_agent(TWO_STEPS, ONLY_MIRRORS, run, clock=stopped_clock)
    assert (verdict.status, verdict.error_kind) == ("failed", "search_exhausted")
    assert 0.0 <= verdict.score < 1.0
    assert run.failures == ["search_exhausted"]
    assert ("expand_beam", False) in run.tools
    assert ("verify_program", False) in run.tools


def test_right_in_training_and_wrong_in_the_test() -> None:
    """The training inputs show no 2, so that recolouring 1 to 2 fits as well as swapping them."""
    swap = (Step("swap_colours", (1, 2)),)
    run = FakeRun()
    verdict = run_agent(puzzle_of(swap, THIRD, ((1, 0), (1, 3)), ((3, 1),)), SHALLOW_GREEDY, run, clock=stopped_clock)
    assert (verdict.status, verdict.error_kind) == ("failed", "wrong_answer")
    assert verdict.score == pytest.approx(4 / 6)
    assert run.failures == ["wrong_answer"]
    assert run.tools[-2:] == [("verify_program", True), ("verify_program", False)]


def test_timed_out() -> None:
    ticks = count()
    run = FakeRun()
    verdict = run_agent(TWO_STEPS, replace(WIDE_BEAM, time_budget_s=10), run, clock=lambda: next(ticks))
    assert (verdict.status, verdict.score, verdict.evaluations) == ("timed_out", 0.0, 10)
    assert run.failures == ["time_out"]
    assert run.tools[-1] == ("expand_beam", False)
    assert run.outcome is not None
    assert run.outcome["cost_usd"] > 0


def test_a_grid_that_a_step_emptied_crashes_the_agent() -> None:
    careless = replace(WIDE_BEAM, primitives=("left_half", "crop_to_content"))
    puzzle = puzzle_of((Step("flip_vertical"),), THIRD, ((0, 1, 0, 2), (0, 1, 1, 0)), ((0, 0, 0, 1), (0, 0, 1, 1)))
    run = FakeRun()
    with pytest.raises(ValueError, match="empty"):
        run_agent(puzzle, careless, run, clock=stopped_clock)
    assert run.outcome is None
    assert run.tools[-1] == ("expand_beam", False)


def test_the_configuration_changes_success_and_cost() -> None:
    puzzles = make_puzzles(30, seed=7)
    shallow = [attempt(puzzle, SHALLOW_GREEDY) for puzzle in puzzles]
    wide = [attempt(puzzle, WIDE_BEAM) for puzzle in puzzles]
    solved = [
        sum(verdict is not None and verdict.status == "succeeded" for verdict in side) for side in (shallow, wide)
    ]
    cost_usd = [sum(verdict.cost_usd for verdict in side if verdict) for side in (shallow, wide)]
    assert 8 <= solved[0] < solved[1] < 30
    assert cost_usd[1] > 2 * cost_usd[0]


def test_the_real_sdk_records_what_the_agent_does() -> None:
    memory = MemoryTransport()
    with (
        EventEmitter(transport=memory) as emitter,
        execution(TWO_STEPS.name, WIDE_BEAM.to_dict(), emitter=emitter) as run,
    ):
        verdict = run_agent(TWO_STEPS, WIDE_BEAM, run, clock=stopped_clock)
    events = [event.model_dump(mode="json") for event in memory.events()]
    kinds = [event["type"].split(".", 1)[1] for event in events]
    assert kinds[0] == "execution.started.v1"
    assert kinds.count("tool.used.v1") == 5
    assert kinds.count("execution.progressed.v1") == 2
    assert kinds[-1] == "execution.completed.v1"
    assert events[-1]["data"]["status"] == "succeeded"
    assert events[-1]["data"]["cost_usd"] == verdict.cost_usd
    assert events[0]["data"]["configuration"] == WIDE_BEAM.to_dict()


def test_the_real_sdk_records_a_crash_as_errored() -> None:
    memory = MemoryTransport()
    careless = replace(WIDE_BEAM, primitives=("left_half", "crop_to_content"))
    puzzle = puzzle_of((Step("flip_vertical"),), THIRD, ((0, 1, 0, 2), (0, 1, 1, 0)), ((0, 0, 0, 1), (0, 0, 1, 1)))
    with (
        pytest.raises(ValueError, match="empty"),
        EventEmitter(transport=memory) as emitter,
        execution(puzzle.name, careless.to_dict(), emitter=emitter) as run,
    ):
        run_agent(puzzle, careless, run, clock=stopped_clock)
    completed = memory.events()[-1].model_dump(mode="json")["data"]
    assert (completed["status"], completed["error_kind"]) == ("errored", "ValueError")
