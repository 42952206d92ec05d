"""The steps that a program can be made of: a registry of named functions from grid to grid.

A primitive's colour arguments have roles, so that the search tries only colours that can matter: an `input` colour is
one that the puzzle's inputs show, an `output` colour one that its outputs show, a `lost` one is only in the inputs, a
`kept` one in both.
"""

from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from itertools import product
from typing import Literal

from grid_agent.grids import BACKGROUND, NEIGHBOURS, Grid, checked_size, freeze, shape

ColourRole = Literal["input", "output", "lost", "kept"]
ColourChoices = Mapping[ColourRole, Set[int]]


@dataclass(frozen=True, slots=True)
class Primitive:
    """A named function from a grid and some colours to a grid."""

    name: str
    roles: tuple[ColourRole, ...]
    function: Callable[..., Grid]


@dataclass(frozen=True, slots=True)
class Step:
    """A primitive with its colours chosen."""

    name: str
    colours: tuple[int, ...] = ()

    def __call__(self, grid: Grid) -> Grid:
        """Apply the step; raises GridTooLargeError, and whatever the primitive raises."""
        return PRIMITIVES[self.name].function(grid, *self.colours)

    def __str__(self) -> str:
        return f"{self.name}({', '.join(map(str, self.colours))})" if self.colours else self.name


Program = tuple[Step, ...]

PRIMITIVES: dict[str, Primitive] = {}


def run_program(program: Program, grid: Grid) -> Grid:
    """Apply the steps one after the other."""
    for step in program:
        grid = step(grid)
    return grid


def steps_of(primitive: Primitive, choices: ColourChoices) -> Iterator[Step]:
    """Every way of choosing different colours for a primitive's arguments."""
    for colours in product(*(sorted(choices[role]) for role in primitive.roles)):
        if len(set(colours)) == len(colours):
            yield Step(primitive.name, colours)


def _primitive(*roles: ColourRole) -> Callable[[Callable[..., Grid]], Callable[..., Grid]]:
    def register(function: Callable[..., Grid]) -> Callable[..., Grid]:
        PRIMITIVES[function.__name__] = Primitive(function.__name__, roles, function)
        return function

    return register


@_primitive()
def rotate90(grid: Grid) -> Grid:
    """A quarter turn clockwise."""
    return tuple(zip(*grid[::-1], strict=True))


@_primitive()
def rotate180(grid: Grid) -> Grid:
    """A half turn."""
    return tuple(row[::-1] for row in grid[::-1])


@_primitive()
def flip_horizontal(grid: Grid) -> Grid:
    """Left becomes right."""
    return tuple(row[::-1] for row in grid)


@_primitive()
def flip_vertical(grid: Grid) -> Grid:
    """Top becomes bottom."""
    return grid[::-1]


@_primitive()
def transpose(grid: Grid) -> Grid:
    """Rows become columns."""
    return tuple(zip(*grid, strict=True))


@_primitive("input", "output")
def recolour(grid: Grid, old: int, new: int) -> Grid:
    """Every cell of one colour takes another."""
    return tuple(tuple(new if cell == old else cell for cell in row) for row in grid)


@_primitive("input", "output")
def swap_colours(grid: Grid, one: int, other: int) -> Grid:
    """Two colours change places."""
    swapped = {one: other, other: one}
    return tuple(tuple(swapped.get(cell, cell) for cell in row) for row in grid)


@_primitive("lost")
def remove_colour(grid: Grid, colour: int) -> Grid:
    """Every cell of the colour becomes background."""
    return recolour(grid, colour, BACKGROUND)


@_primitive("kept")
def keep_colour(grid: Grid, colour: int) -> Grid:
    """Every cell of another colour becomes background."""
    return tuple(tuple(cell if cell == colour else BACKGROUND for cell in row) for row in grid)


@_primitive()
def crop_to_content(grid: Grid) -> Grid:
    """The smallest rectangle that holds all content. Raises ValueError where there is none."""
    rows = [index for index, row in enumerate(grid) if any(row)]
    columns = [index for index, column in enumerate(zip(*grid, strict=True)) if any(column)]
    left, right = min(columns), max(columns) + 1
    return tuple(row[left:right] for row in grid[min(rows) : max(rows) + 1])


@_primitive("output")
def fill_background(grid: Grid, colour: int) -> Grid:
    """Every background cell takes the colour."""
    return recolour(grid, BACKGROUND, colour)


@_primitive("output")
def fill_enclosed(grid: Grid, colour: int) -> Grid:
    """Background that content cuts off from the border takes the colour."""
    outside = _background_reached_from_border(grid)
    return freeze(
        (colour if cell == BACKGROUND and (row, column) not in outside else cell for column, cell in enumerate(line))
        for row, line in enumerate(grid)
    )


def _background_reached_from_border(grid: Grid) -> set[tuple[int, int]]:
    rows, columns = shape(grid)
    border = [(row, column) for row in range(rows) for column in (0, columns - 1)]
    border += [(row, column) for row in (0, rows - 1) for column in range(columns)]
    reached = {(row, column) for row, column in border if grid[row][column] == BACKGROUND}
    waiting = list(reached)
    while waiting:
        row, column = waiting.pop()
        for cell in ((row + down, column + right) for down, right in NEIGHBOURS):
            inside = 0 <= cell[0] < rows and 0 <= cell[1] < columns
            if inside and cell not in reached and grid[cell[0]][cell[1]] == BACKGROUND:
                reached.add(cell)
                waiting.append(cell)
    return reached


@_primitive("output")
def outline(grid: Grid, colour: int) -> Grid:
    """Background beside content (above, below, left, right) takes the colour."""
    empty = (BACKGROUND,) * len(grid[0])
    above, below = (empty, *grid[:-1]), (*grid[1:], empty)
    return freeze(
        (
            cell or (colour if up or down or left or right else BACKGROUND)
            for cell, up, down, left, right in zip(
                row, high, low, (BACKGROUND, *row[:-1]), (*row[1:], BACKGROUND), strict=True
            )
        )
        for row, high, low in zip(grid, above, below, strict=True)
    )


@_primitive()
def gravity_down(grid: Grid) -> Grid:
    """Content falls to the bottom of its column."""
    return transpose(gravity_right(transpose(grid)))


@_primitive()
def gravity_right(grid: Grid) -> Grid:
    """Content slides to the right end of its row."""
    return tuple((BACKGROUND,) * row.count(BACKGROUND) + tuple(filter(None, row)) for row in grid)


@_primitive()
def scale2(grid: Grid) -> Grid:
    """Every cell becomes two by two."""
    wide = (tuple(cell for cell in row for _ in range(2)) for row in checked_size(grid, 4))
    return tuple(row for row in wide for _ in range(2))


@_primitive()
def tile2(grid: Grid) -> Grid:
    """Two by two copies side by side."""
    return tuple(row * 2 for row in checked_size(grid, 4)) * 2


@_primitive()
def mirror_right(grid: Grid) -> Grid:
    """The grid and, to its right, its mirror image."""
    return tuple(row + row[::-1] for row in checked_size(grid, 2))


@_primitive()
def mirror_down(grid: Grid) -> Grid:
    """The grid and, below it, its mirror image."""
    return checked_size(grid, 2) + grid[::-1]


@_primitive()
def left_half(grid: Grid) -> Grid:
    """The left half, with the middle column of an odd number."""
    return tuple(row[: (len(row) + 1) // 2] for row in grid)


@_primitive()
def top_half(grid: Grid) -> Grid:
    """The upper half, with the middle row of an odd number."""
    return grid[: (len(grid) + 1) // 2]
