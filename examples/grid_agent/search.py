"""Beam search for a program that maps every training input to its output. Pure: the caller reports and decides."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from grid_agent.configurations import Configuration
from grid_agent.grids import Grid, GridTooLargeError, cells, colour_counts, has_content, right_cells, shape
from grid_agent.primitives import PRIMITIVES, ColourChoices, Program, Step, steps_of
from grid_agent.puzzles import Pair

Clock = Callable[[], float]
"""Seconds that only ever grow."""

States = tuple[Grid, ...]
"""What a program makes of each training input."""


class TimeBudgetExceededError(TimeoutError):
    """The search used up its time before it found a program."""

    def __init__(self, elapsed_s: float, evaluations: int) -> None:
        super().__init__(f"no program after {elapsed_s:.2f} s of CPU time and {evaluations} evaluations")
        self.elapsed_s = elapsed_s
        self.evaluations = evaluations


class Candidate(NamedTuple):
    """A program, and how near it comes to the training outputs (0 to 1; 1 only if it fits them all)."""

    similarity: float
    program: Program
    states: States


@dataclass(frozen=True, slots=True)
class Level:
    """What the search knows after trying all extensions of its beam by one step."""

    depth: int
    evaluations: int
    """Program evaluations so far, those of earlier levels included."""
    kept: int
    """Programs that go on to the next level."""
    best: Candidate
    """The nearest program of all levels."""
    improved: bool
    """Whether this level found a nearer one."""
    last: bool
    """Whether the search ends here: solved, at full depth, or with nothing new to try."""


def candidate_steps(pairs: Sequence[Pair], configuration: Configuration) -> list[Step]:
    """Every step worth trying: the allowed primitives with the colours that the training pairs show."""
    shown = {cell for pair in pairs for cell in cells(pair.input) if cell}
    wanted = {cell for pair in pairs for cell in cells(pair.output) if cell}
    choices: ColourChoices = {"input": shown, "output": wanted, "lost": shown - wanted, "kept": shown & wanted}
    return [step for name in configuration.primitives for step in steps_of(PRIMITIVES[name], choices)]


def search_levels(
    pairs: Sequence[Pair], steps: Sequence[Step], configuration: Configuration, clock: Clock
) -> Iterator[Level]:
    """Search one step deeper at a time, up to the level that says it is the last.

    Raises TimeBudgetExceededError, and whatever a primitive raises for a grid that it cannot work on.
    """
    search = _Search(pairs, steps, configuration, clock)
    level = search.expand()
    yield level
    while not level.last:
        level = search.expand()
        yield level


class _Search:
    def __init__(
        self, pairs: Sequence[Pair], steps: Sequence[Step], configuration: Configuration, clock: Clock
    ) -> None:
        self._steps = steps
        self._beam_width = configuration.beam_width
        self._budget_s = configuration.time_budget_s
        self._clock = clock
        self._started_s = clock()
        self._depth_max = configuration.search_depth
        self._depth = 0
        self._evaluations = 0
        self._targets = [(pair.output, colour_counts(pair.output)) for pair in pairs]
        start = tuple(pair.input for pair in pairs)
        self._best = Candidate(self._similarity(start), (), start)
        self._beam = [self._best]
        self._seen = {start}

    def expand(self) -> Level:
        self._depth += 1
        best_before = self._best.similarity
        found = sorted(self._extensions(), key=lambda candidate: -candidate.similarity)
        self._beam = found[: self._beam_width]
        if found and found[0].similarity > best_before:
            self._best = found[0]
        return Level(
            depth=self._depth,
            evaluations=self._evaluations,
            kept=len(self._beam),
            best=self._best,
            improved=self._best.similarity > best_before,
            last=self._best.similarity == 1.0 or self._depth == self._depth_max or not self._beam,
        )

    def _extensions(self) -> Iterator[Candidate]:
        """Every new program one step longer than one of the beam, up to the first that fits."""
        for parent in self._beam:
            for step in self._steps:
                states = self._evaluate(step, parent.states)
                if states is None or states in self._seen:
                    continue
                self._seen.add(states)
                candidate = Candidate(self._similarity(states), (*parent.program, step), states)
                yield candidate
                if candidate.similarity == 1.0:
                    return

    def _evaluate(self, step: Step, states: States) -> States | None:
        elapsed_s = self._clock() - self._started_s
        if elapsed_s > self._budget_s:
            raise TimeBudgetExceededError(elapsed_s, self._evaluations)
        self._evaluations += 1
        try:
            return tuple(map(step, states))
        except GridTooLargeError:
            return None

    def _similarity(self, states: States) -> float:
        """A program is as near as its worst pair shows it."""
        return min(
            1.0 if state == output else _nearness(state, output, counts)
            for state, (output, counts) in zip(states, self._targets, strict=True)
        )


def _nearness(grid: Grid, output: Grid, output_counts: dict[int, int]) -> float:
    """How near a grid is to an output that it is not, 0 to less than 1: right cells, then colours, then shape.

    Colours and shape give a direction where no cell is in its place yet, as after the first of two turns.
    """
    if not has_content(grid):
        return 0.0
    rows, columns = shape(grid)
    wanted_rows, wanted_columns = shape(output)
    flat = cells(grid)
    shared = sum(min(flat.count(colour), wanted) for colour, wanted in output_counts.items())
    colours = shared / max(len(flat), wanted_rows * wanted_columns)
    sides = min(rows, wanted_rows) * min(columns, wanted_columns)
    shapes = sides / (max(rows, wanted_rows) * max(columns, wanted_columns))
    return 0.5 * right_cells(grid, output) + 0.3 * colours + 0.2 * shapes
