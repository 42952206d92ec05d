"""The agent: analyse the pairs, search a program, answer the test, and report each of these as it happens."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from grid_agent.configurations import Configuration
from grid_agent.grids import right_cells, shape
from grid_agent.primitives import Program, Step, run_program
from grid_agent.puzzles import Pair, Puzzle
from grid_agent.search import Candidate, Clock, Level, TimeBudgetExceededError, candidate_steps, search_levels

USD_PER_1000_EVALUATIONS = 0.02
"""A made-up price. It stands in for the bill of a model that would propose the programs."""

Status = Literal["succeeded", "failed", "timed_out"]


class ToolCall(Protocol):
    """The part of the SDK's tool call that the agent uses."""

    def result(self, value: Any, /) -> None:
        """Keep the size of what the tool returned."""

    def error(self, message: str, /) -> None:
        """Mark the tool use as unsuccessful."""


class Run(Protocol):
    """The part of the SDK's run that the agent uses; tests give a fake. Nothing here blocks or raises."""

    def tool(self, name: str, arguments: Mapping[str, Any], /) -> AbstractContextManager[ToolCall]:
        """Measure a tool use. An exception inside marks it as unsuccessful, and goes on."""

    def progress(self, message: str, /, *, step: int) -> None:
        """Say how far the run has come."""

    def failure(self, kind: str, message: str, /, *, details: dict[str, Any]) -> None:
        """Say what went wrong."""

    def complete(self, *, status: Status, score: float, cost_usd: float, error_kind: str | None) -> None:
        """End the run."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an execution ended. `score` is the share of right test cells, 0 to 1."""

    status: Status
    score: float
    evaluations: int
    error_kind: str | None = None

    @property
    def cost_usd(self) -> float:
        """The evaluations at USD_PER_1000_EVALUATIONS."""
        return self.evaluations * USD_PER_1000_EVALUATIONS / 1000


def run_agent(puzzle: Puzzle, configuration: Configuration, run: Run, *, clock: Clock = time.thread_time) -> Verdict:
    """Solve one puzzle and complete the run.

    Raises what a primitive raises for a grid that it cannot work on: the author of this agent did not think of it, so
    that the run ends as errored.

    The clock is the CPU time of this thread. Sixteen sandboxes on two cores wait for each other most of the time; by a
    clock on the wall, who solves what would depend on the load. The SDK's own threads do not count either.
    """
    try:
        level = _search(puzzle, configuration, run, clock)
    except TimeBudgetExceededError as late:
        run.failure("time_out", str(late), details={"evaluations": late.evaluations, "elapsed_s": late.elapsed_s})
        verdict = Verdict("timed_out", 0.0, late.evaluations, "time_out")
    else:
        verdict = _answer(puzzle, level, run)
    run.complete(status=verdict.status, score=verdict.score, cost_usd=verdict.cost_usd, error_kind=verdict.error_kind)
    return verdict


def _search(puzzle: Puzzle, configuration: Configuration, run: Run, clock: Clock) -> Level:
    steps = _analyse(puzzle, configuration, run)
    levels = search_levels(puzzle.training, steps, configuration, clock)
    level = _expand(levels, 1, run)
    while not level.last:
        level = _expand(levels, level.depth + 1, run)
    return level


def _analyse(puzzle: Puzzle, configuration: Configuration, run: Run) -> list[Step]:
    shapes = [[shape(pair.input), shape(pair.output)] for pair in puzzle.training]
    with run.tool("analyse_pairs", {"shapes": shapes}) as call:
        steps = candidate_steps(puzzle.training, configuration)
        call.result([str(step) for step in steps])
    return steps


def _expand(levels: Iterator[Level], depth: int, run: Run) -> Level:
    with run.tool("expand_beam", {"depth": depth}) as call:
        level = next(levels)
        call.result(_described(level.best))
        if not level.improved:
            call.error(f"no program of {depth} steps is nearer than the best before")
    run.progress(f"searched depth {depth}: similarity {level.best.similarity:.3f}", step=depth)
    return level


def _answer(puzzle: Puzzle, level: Level, run: Run) -> Verdict:
    """Answer with the best program, even one that does not fit: a part of the cells may be right."""
    fits = _verify("training", level.best.program, puzzle.training, run) == 1.0
    score = _verify("held-out", level.best.program, (puzzle.test,), run)
    if fits and score == 1.0:
        return Verdict("succeeded", score, level.evaluations)
    kind, message = "wrong_answer", f"a program that fits the training pairs has {score:.0%} of the test cells right"
    if not fits:
        kind, message = "search_exhausted", f"no program of at most {level.depth} steps fits the training pairs"
    run.failure(kind, message, details=_described(level.best))
    return Verdict("failed", score, level.evaluations, kind)


def _verify(which: str, program: Program, pairs: Sequence[Pair], run: Run) -> float:
    """The share of right cells over the pairs, 0 to 1."""
    with run.tool("verify_program", {"pairs": which, "program": list(map(str, program))}) as call:
        share = sum(right_cells(run_program(program, pair.input), pair.output) for pair in pairs) / len(pairs)
        call.result(share)
        if share < 1.0:
            call.error(f"{share:.1%} of the {which} cells are right")
    return share


def _described(best: Candidate) -> dict[str, Any]:
    return {"program": list(map(str, best.program)), "similarity": best.similarity}
