"""The generator and the configurations."""

import json
from collections import Counter
from pathlib import Path

import pytest

from grid_agent.configurations import CONFIGURATIONS, SHALLOW_GREEDY, WIDE_BEAM, Configuration, load_configuration
from grid_agent.grids import has_content
from grid_agent.primitives import run_program
from grid_agent.puzzles import DIFFICULTIES, FAMILIES, Puzzle, make_puzzle, make_puzzles

PUZZLES = make_puzzles(100, seed=7)


def test_a_seed_always_gives_the_same_puzzles() -> None:
    assert make_puzzles(10, seed=7) == PUZZLES[:10]
    assert make_puzzle(42, seed=7) == PUZZLES[42]
    assert make_puzzles(10, seed=8) != PUZZLES[:10]


def test_names_families_and_difficulties() -> None:
    assert PUZZLES[42].name == "grid-0042"
    assert Counter(puzzle.family for puzzle in PUZZLES) == dict.fromkeys(FAMILIES, 20)
    assert {puzzle.difficulty for puzzle in PUZZLES} == set(DIFFICULTIES.values())


@pytest.mark.parametrize("puzzle", PUZZLES, ids=lambda puzzle: puzzle.name)
def test_the_hidden_program_solves_a_puzzle_that_is_not_trivial(puzzle: Puzzle) -> None:
    assert len(puzzle.training) in (2, 3)
    assert puzzle.difficulty == DIFFICULTIES[len(puzzle.hidden_program)]
    for pair in (*puzzle.training, puzzle.test):
        assert run_program(puzzle.hidden_program, pair.input) == pair.output
        assert pair.input != pair.output
        assert has_content(pair.output)


@pytest.mark.parametrize("configuration", CONFIGURATIONS.values(), ids=str)
def test_a_configuration_survives_json(configuration: Configuration, tmp_path: Path) -> None:
    file = tmp_path / "configuration.json"
    file.write_text(json.dumps(configuration.to_dict()))
    assert load_configuration(str(file)) == configuration
    assert load_configuration(configuration.name) is configuration


def test_the_two_configurations_differ_as_their_names_say() -> None:
    assert SHALLOW_GREEDY.search_depth < WIDE_BEAM.search_depth
    assert SHALLOW_GREEDY.beam_width < WIDE_BEAM.beam_width
    assert SHALLOW_GREEDY.time_budget_s < WIDE_BEAM.time_budget_s
    assert set(SHALLOW_GREEDY.primitives) < set(WIDE_BEAM.primitives)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"search_depth": 0}, "search_depth"),
        ({"primitives": ["rotate91"]}, "rotate91"),
        ({"beam": 3}, "beam"),
    ],
)
def test_a_wrong_configuration_is_named(change: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Configuration.from_dict(WIDE_BEAM.to_dict() | change)


def test_an_unknown_configuration_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="shallow-greedy"):
        load_configuration("wide")
