"""Puzzles made from a seed: a hidden program, two or three training pairs and one held-out test pair."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import get_args

from grid_agent.grids import COLOURS, Grid, GridTooLargeError, freeze, has_content, shape
from grid_agent.primitives import PRIMITIVES, ColourChoices, ColourRole, Program, Step, steps_of

TURNS = frozenset({"rotate90", "rotate180", "flip_horizontal", "flip_vertical", "transpose"})
FAMILIES: dict[str, tuple[str, ...]] = {
    "geometry": (*sorted(TURNS), "crop_to_content", "left_half", "top_half", "gravity_down"),
    "colour": ("recolour", "swap_colours", "remove_colour", "keep_colour", "fill_background"),
    "objects": ("fill_enclosed", "outline", "gravity_down", "gravity_right", "crop_to_content", "recolour"),
    "tiling": ("scale2", "tile2", "mirror_right", "mirror_down", "left_half", "top_half", "rotate90"),
    "mixed": tuple(PRIMITIVES),
}
"""The primitives that the hidden programs of each family are made of."""

STEP_COUNT_WEIGHTS = {1: 25, 2: 35, 3: 25, 4: 15}
DIFFICULTIES = {1: "easy", 2: "medium", 3: "hard", 4: "very-hard"}
LARGE_SHARE = 0.1  # grids of up to 28 x 28, on which the same search takes many times longer
ATTEMPTS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Pair:
    """An input grid and the output that is wanted for it."""

    input: Grid
    output: Grid


@dataclass(frozen=True, slots=True)
class Puzzle:
    """What an agent sees (training, test.input) and what it must not see (test.output, hidden_program)."""

    name: str
    family: str
    difficulty: str
    training: tuple[Pair, ...]
    test: Pair
    hidden_program: Program


@dataclass(frozen=True, slots=True)
class _Sizes:
    smallest: int
    largest: int
    objects: int


_SMALL, _LARGE = _Sizes(4, 8, 3), _Sizes(22, 28, 14)


def make_puzzles(puzzle_count: int, seed: int) -> list[Puzzle]:
    """The first puzzles of a seed. Puzzle number n does not depend on how many are made."""
    return [make_puzzle(index, seed) for index in range(puzzle_count)]


def make_puzzle(index: int, seed: int) -> Puzzle:
    """Puzzle number `index` of a seed: always the same, on every machine."""
    random = Random(f"grid-agent/{seed}/{index}")
    family = list(FAMILIES)[index % len(FAMILIES)]
    [step_count] = random.choices(list(STEP_COUNT_WEIGHTS), list(STEP_COUNT_WEIGHTS.values()))
    sizes = _LARGE if random.random() < LARGE_SHARE else _SMALL
    for _ in range(ATTEMPTS_MAX):
        palette = random.sample(COLOURS, 4)
        program = _random_program(random, family, step_count, palette)
        pairs = _pairs(random, program, sizes, palette)
        if pairs is not None:
            return Puzzle(f"grid-{index:04}", family, DIFFICULTIES[step_count], pairs[:-1], pairs[-1], program)
    raise RuntimeError(f"no puzzle {index} of family {family} with {step_count} steps in {ATTEMPTS_MAX} attempts")


def _random_program(random: Random, family: str, step_count: int, palette: list[int]) -> Program:
    """Different primitives, at most one of them a turn: two turns are one turn, and the puzzle easier than it says."""
    names: list[str] = []
    while len(names) < step_count:
        name = random.choice(FAMILIES[family])
        if name not in names and not (name in TURNS and TURNS.intersection(names)):
            names.append(name)
    return tuple(_random_step(random, name, frozenset(palette)) for name in names)


def _random_step(random: Random, name: str, palette: frozenset[int]) -> Step:
    choices: ColourChoices = dict.fromkeys(get_args(ColourRole), palette)
    return random.choice(list(steps_of(PRIMITIVES[name], choices)))


def _pairs(random: Random, program: Program, sizes: _Sizes, palette: list[int]) -> tuple[Pair, ...] | None:
    """Two or three training pairs and the test pair, or None if the program does nothing of interest to them."""
    training = [palette[:3]] * random.choice((2, 3))
    pairs = []
    for colours in (*training, palette):  # only the test shows the last colour: a program can fit and still be wrong
        grid = _random_grid(random, sizes, colours)
        states = _states(program, grid)
        if states is None:
            return None
        pairs.append(Pair(grid, states[-1]))
    return tuple(pairs)


def _states(program: Program, grid: Grid) -> list[Grid] | None:
    """The grid after every step, or None if a step fails, empties the grid or leads back to where it has been."""
    states = [grid]
    for step in program:
        if not has_content(states[-1]):
            return None
        try:
            states.append(step(states[-1]))
        except GridTooLargeError:
            return None
    return states if has_content(states[-1]) and len(set(states)) == len(states) else None


def _random_grid(random: Random, sizes: _Sizes, palette: list[int]) -> Grid:
    rows, columns = (random.randint(sizes.smallest, sizes.largest) for _ in range(2))
    canvas = [[0] * columns for _ in range(rows)]
    for _ in range(random.randint(1, sizes.objects)):
        colour = random.choice(palette)
        for row, column in _random_object(random, shape(freeze(canvas))):
            canvas[row][column] = colour
    return freeze(canvas)


def _random_object(random: Random, bounds: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """The cells of a box, hollow or solid, or of a line or dot, inside the bounds."""
    height, width = (random.randint(1, min(5, bound - 1)) for bound in bounds)
    top, left = (random.randint(0, bound - size) for bound, size in zip(bounds, (height, width), strict=True))
    hollow = random.random() < 0.6
    for row in range(top, top + height):
        for column in range(left, left + width):
            on_edge = row in (top, top + height - 1) or column in (left, left + width - 1)
            if on_edge or not hollow:
                yield row, column
