"""What each primitive promises, checked on generated grids."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grid_agent.grids import CELLS_MAX, Grid, GridTooLargeError, cells, colour_counts, right_cells, shape
from grid_agent.primitives import PRIMITIVES, ColourChoices, Step, run_program, steps_of

# No deadline: the machine may be busy. No database: a failing grid prints itself, and grids are small.
quick = settings(deadline=None, database=None, max_examples=50)


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    columns = draw(st.integers(1, 6))
    row = st.tuples(*[st.integers(0, 4)] * columns)
    return tuple(draw(st.lists(row, min_size=1, max_size=6)))


def times(name: str, count: int, grid: Grid) -> Grid:
    return run_program((Step(name),) * count, grid)


@quick
@given(grids())
@pytest.mark.parametrize("name", ["flip_horizontal", "flip_vertical", "transpose", "rotate180"])
def test_twice_is_nothing(name: str, grid: Grid) -> None:
    assert times(name, 2, grid) == grid


@quick
@given(grids())
def test_four_quarter_turns_are_nothing_and_two_are_half_a_turn(grid: Grid) -> None:
    assert times("rotate90", 4, grid) == grid
    assert times("rotate90", 2, grid) == times("rotate180", 1, grid)


@quick
@given(grids())
def test_swapping_colours_twice_is_nothing(grid: Grid) -> None:
    assert run_program((Step("swap_colours", (1, 2)),) * 2, grid) == grid


@quick
@given(grids())
@pytest.mark.parametrize("name", ["gravity_down", "gravity_right"])
def test_gravity_keeps_every_cell_and_is_over_at_once(name: str, grid: Grid) -> None:
    fallen = times(name, 1, grid)
    assert colour_counts(fallen) == colour_counts(grid)
    assert times(name, 1, fallen) == fallen


@quick
@given(grids())
@pytest.mark.parametrize(("name", "factor"), [("scale2", 4), ("tile2", 4), ("mirror_right", 2), ("mirror_down", 2)])
def test_growing_multiplies_every_colour(name: str, factor: int, grid: Grid) -> None:
    grown = times(name, 1, grid)
    assert colour_counts(grown) == {colour: factor * count for colour, count in colour_counts(grid).items()}


@quick
@given(grids())
@pytest.mark.parametrize(("grow", "shrink"), [("mirror_right", "left_half"), ("mirror_down", "top_half")])
def test_half_a_mirrored_grid_is_the_grid(grow: str, shrink: str, grid: Grid) -> None:
    assert run_program((Step(grow), Step(shrink)), grid) == grid


@quick
@given(grids())
@pytest.mark.parametrize("name", ["fill_enclosed", "outline", "fill_background"])
def test_filling_changes_background_only(name: str, grid: Grid) -> None:
    filled = Step(name, (9,))(grid)
    assert shape(filled) == shape(grid)
    assert all(after in (before, 9) if before == 0 else after == before for before, after in zip_cells(grid, filled))


def zip_cells(one: Grid, other: Grid) -> list[tuple[int, int]]:
    return list(zip(cells(one), cells(other), strict=True))


def test_what_is_enclosed() -> None:
    ring = ((1, 1, 1, 0), (1, 0, 1, 0), (1, 1, 1, 0))
    assert Step("fill_enclosed", (5,))(ring) == ((1, 1, 1, 0), (1, 5, 1, 0), (1, 1, 1, 0))


def test_what_is_outlined() -> None:
    assert Step("outline", (3,))(((0, 0, 0), (0, 1, 0), (0, 0, 0))) == ((0, 3, 0), (3, 1, 3), (0, 3, 0))


def test_colours_are_kept_removed_and_recoloured() -> None:
    grid = ((1, 2, 0),)
    assert Step("keep_colour", (1,))(grid) == ((1, 0, 0),)
    assert Step("remove_colour", (1,))(grid) == ((0, 2, 0),)
    assert Step("recolour", (1, 7))(grid) == ((7, 2, 0),)


def test_cropping_keeps_the_content() -> None:
    assert Step("crop_to_content")(((0, 0, 0), (0, 1, 0), (0, 0, 2))) == ((1, 0), (0, 2))


def test_cropping_nothing_raises() -> None:
    with pytest.raises(ValueError, match="empty"):
        Step("crop_to_content")(((0, 0), (0, 0)))


@pytest.mark.parametrize("name", ["scale2", "tile2", "mirror_right", "mirror_down"])
def test_growth_has_a_limit(name: str) -> None:
    with pytest.raises(GridTooLargeError):
        Step(name)(((1,) * CELLS_MAX,))


def test_steps_take_colours_of_their_roles_and_no_colour_twice() -> None:
    colours: ColourChoices = {"input": {1, 2}, "output": {2, 3}, "lost": {1}, "kept": {2}}
    steps = steps_of(PRIMITIVES["recolour"], colours)
    assert [str(step) for step in steps] == ["recolour(1, 2)", "recolour(1, 3)", "recolour(2, 3)"]
    assert list(steps_of(PRIMITIVES["rotate90"], colours)) == [Step("rotate90")]


def test_right_cells() -> None:
    assert right_cells(((1, 2), (3, 4)), ((1, 2), (3, 0))) == 0.75
    assert right_cells(((1, 2),), ((1,), (2,))) == 0.0
