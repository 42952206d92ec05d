"""Grids of colours and what can be asked of them. Colour 0 is the background."""

from collections import Counter
from collections.abc import Iterable
from itertools import chain
from operator import eq

Grid = tuple[tuple[int, ...], ...]
"""Rows of colours, each 0 to 9; every row has the same length and there is at least one cell."""

BACKGROUND = 0
COLOURS = range(1, 10)
CELLS_MAX = 900  # 30 x 30, the limit of the ARC tasks that these puzzles imitate

NEIGHBOURS = ((-1, 0), (1, 0), (0, -1), (0, 1))


class GridTooLargeError(Exception):
    """A step would have made a grid of more than CELLS_MAX cells."""


def shape(grid: Grid) -> tuple[int, int]:
    """Rows and columns."""
    return len(grid), len(grid[0])


def freeze(rows: Iterable[Iterable[int]]) -> Grid:
    """The rows as a Grid, which is immutable and hashable."""
    return tuple(map(tuple, rows))


def cells(grid: Grid) -> list[int]:
    """All colours, row by row."""
    return list(chain.from_iterable(grid))


def colour_counts(grid: Grid) -> Counter[int]:
    """How many cells have each colour, the background included."""
    return Counter(chain.from_iterable(grid))


def has_content(grid: Grid) -> bool:
    """Whether any cell differs from the background."""
    return any(map(any, grid))


def right_cells(answer: Grid, expected: Grid) -> float:
    """The share of cells, 0 to 1, in which two grids agree; 0 when their shapes differ."""
    if shape(answer) != shape(expected):
        return 0.0
    agreeing = sum(sum(map(eq, row, wanted)) for row, wanted in zip(answer, expected, strict=True))
    return agreeing / (len(expected) * len(expected[0]))


def checked_size(grid: Grid, factor: int) -> Grid:
    """The grid itself, if `factor` times its cells are still allowed; raises GridTooLargeError otherwise."""
    rows, columns = shape(grid)
    if rows * columns * factor > CELLS_MAX:
        raise GridTooLargeError(f"{rows} x {columns} cells times {factor} are more than {CELLS_MAX}")
    return grid
