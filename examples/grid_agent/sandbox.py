"""One execution, in a process of its own: what a sandbox would run.

    python -m grid_agent.sandbox --puzzle 42 --configuration wide-beam --simulation demo-1

Exit codes: 0 solved, 1 not solved, 2 wrong arguments, 3 crashed. Where the events go is set by ARC_EVAL_* variables.
"""

import argparse
import sys
import traceback
from collections.abc import Sequence
from uuid import UUID

from arc_eval_db.producers import execution
from arc_eval_db.schemas.ids import ExecutionId
from grid_agent.agent import Verdict, run_agent
from grid_agent.configurations import CONFIGURATIONS, Configuration, load_configuration
from grid_agent.puzzles import make_puzzle

EXIT_SOLVED, EXIT_UNSOLVED, EXIT_CRASHED = 0, 1, 3


def run_sandbox(
    index: int, seed: int, configuration: Configuration, simulation: str, execution_id: ExecutionId | None = None
) -> Verdict:
    """Make the puzzle, run the agent on it and report through the SDK. Raises what the agent raises."""
    puzzle = make_puzzle(index, seed)
    metadata = {"family": puzzle.family, "difficulty": puzzle.difficulty, "puzzle": index, "seed": seed}
    with execution(
        scenario=puzzle.name,
        configuration=configuration.to_dict(),
        simulation=simulation,
        metadata=metadata,
        execution_id=execution_id,
    ) as run:
        return run_agent(puzzle, configuration, run)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one execution and return its exit code."""
    options = _parse(arguments)
    try:
        verdict = run_sandbox(
            options.puzzle, options.seed, options.configuration, options.simulation, options.execution_id
        )
    except Exception:  # noqa: BLE001 - Python's own exit code for a crash is 1, which here means not solved
        traceback.print_exc()
        return EXIT_CRASHED
    return EXIT_SOLVED if verdict.status == "succeeded" else EXIT_UNSOLVED


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="grid_agent.sandbox", description="Let the agent try one puzzle, and report.")
    parser.add_argument("--puzzle", type=int, required=True, metavar="INDEX", help="number of the puzzle, from 0")
    parser.add_argument("--seed", type=int, default=7, help="seed of the puzzles (default: %(default)s)")
    parser.add_argument(
        "--configuration",
        type=_configuration,
        required=True,
        metavar="NAME_OR_FILE",
        help=f"{', '.join(CONFIGURATIONS)}, or a JSON file with the same keys",
    )
    parser.add_argument("--simulation", default="by-hand", help="what to file the run under (default: %(default)s)")
    parser.add_argument(
        "--execution-id",
        type=_execution_id,
        metavar="UUID",
        help="a UUIDv7, where the launcher has to know it (default: a new one)",
    )
    return parser.parse_args(arguments)


def _execution_id(text: str) -> ExecutionId:
    try:
        identifier = UUID(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if identifier.version != 7:
        raise argparse.ArgumentTypeError("not a UUIDv7")
    return ExecutionId(identifier)


def _configuration(name_or_file: str) -> Configuration:
    try:
        return load_configuration(name_or_file)
    except (ValueError, OSError) as error:
        raise argparse.ArgumentTypeError(str(error)) from error


if __name__ == "__main__":
    sys.exit(main())
