"""Two revisions in one interleaved run: `python -m arc_eval_db.bench.compare REVISION REVISION [SECTION...]`.

Each revision's folders are taken out of git into a temporary directory; "." is the working tree as it is. Both are
measured by the benchmark of this checkout, so that revisions without one can be compared too, on the same servers, with
the same topics, and each on a database that it has migrated itself.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from arc_eval_db.bench import report
from arc_eval_db.bench.arena import Arena, open_arena
from arc_eval_db.bench.code_under_test import Code
from arc_eval_db.bench.results import Result, ratio
from arc_eval_db.bench.running import run_rounds
from arc_eval_db.bench.sections import Candidate, Sizes, sdk
from arc_eval_db.bench.sections.throughput import sink_candidate, validate_candidate, workload
from arc_eval_db.bench.servers import Servers, embedded_servers, given_servers
from arc_eval_db.bench.workloads import DUPLICATES, LIFECYCLE, OUTCOMES
from arc_eval_db.errors import ArcEvalError, FatalError

WORKING_TREE = "."

_BENCH = "bench"
_GIT_TIMEOUT_S = 60.0


class UnknownRevisionError(FatalError):
    """git does not know the revision, or this is no checkout."""


def _sink(arena: Arena, sizes: Sizes, code: Code) -> list[Candidate]:
    works = ((OUTCOMES, 1), (OUTCOMES, 2), (LIFECYCLE, 1), (LIFECYCLE, 2), (DUPLICATES, 1))
    return [sink_candidate(arena, workload(name, sizes), workers, code=code) for name, workers in works]


def _validate(arena: Arena, sizes: Sizes, code: Code) -> list[Candidate]:
    return [
        validate_candidate(arena, workload(name, sizes), collector=False, environment=code.environment)
        for name in (OUTCOMES, LIFECYCLE)
    ]


def _emit(arena: Arena, sizes: Sizes, code: Code) -> list[Candidate]:
    return sdk.emit(arena, sizes, code)


SECTIONS: Mapping[str, Callable[[Arena, Sizes, Code], list[Candidate]]] = MappingProxyType(
    {"sink": _sink, "validate": _validate, "emit": _emit}
)
"""What can be compared."""

_FIGURES = {"emit": ("cpu_us", "import_ms")}
_LESS_IS_MORE = frozenset({"cpu_us", "import_ms"})


def take_out(revision: str, repository: Path, directory: Path) -> str:
    """The value of PYTHONPATH that makes a process import a revision, with the benchmark of this checkout.

    Raises:
        UnknownRevisionError: there is no such revision.
    """
    root = repository
    if revision != WORKING_TREE:
        command = ["git", "-C", str(repository), "archive", "--format=tar", revision]
        archive = subprocess.run(command, capture_output=True, timeout=_GIT_TIMEOUT_S, check=False)
        if archive.returncode != 0:
            raise UnknownRevisionError(archive.stderr.decode(errors="replace").strip())
        root = directory
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
            files.extractall(root, filter="data")
    portions = sorted(folder.parent for folder in root.glob("*/arc_eval_db") if folder.parent.name != _BENCH)
    return os.pathsep.join(map(str, [*portions, Path(__file__).parents[2]]))


def pairs(results: Sequence[Result]) -> list[tuple[str, str, str]]:
    """For each candidate of both revisions: its name, the figure, and the second against the first.

    Above 1 the second is better: more events a second, or less time.
    """
    half = len(results) // 2
    found = []
    for first, second in zip(results[:half], results[half:], strict=True):
        for figure in _FIGURES.get(first.section, ("per_second",)):
            better = (first, second) if figure in _LESS_IS_MORE else (second, first)
            if (times := ratio(*better, figure)) is not None:
                shown = f"{times.median:.3f} ({times.least:.3f} to {times.most:.3f})"
                found.append((f"{first.section}: {first.name}", figure, shown))
    return found


async def compare(
    servers: Servers, codes: Sequence[Code], sections: Sequence[str], sizes: Sizes, rounds: int, only: str | None
) -> list[Result]:
    """Run the same candidates with each code, in turn; the results of the first code come first."""

    def say(text: str) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(text + "\n")

    async with open_arena(servers, say) as arena:
        of_codes = [
            [
                candidate
                for section in sections
                for candidate in SECTIONS[section](arena, sizes, code)
                if only is None or only in candidate.name
            ]
            for code in codes
        ]
        # The two of a pair directly after one another, so that both meet the same machine.
        in_turn = [candidate for pair in zip(*of_codes, strict=True) for candidate in pair]
        results = await run_rounds(in_turn, rounds, say)
        return results[0::2] + results[1::2]


def main() -> None:
    """The command line."""
    options = _options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sizes = Sizes.quick() if options.quick else Sizes()
    sizes = dataclasses.replace(sizes, **({"events": options.events} if options.events else {}))
    repository = Path(__file__).parents[3]
    try:
        with tempfile.TemporaryDirectory(prefix="arc-eval-compare-") as directory:
            codes = []
            for letter, revision in zip("ab", options.revisions, strict=True):
                path = take_out(revision, repository, Path(directory) / letter)
                codes.append(Code({"PYTHONPATH": path}, f"revision_{letter}"))
            results = _run(options, codes, sizes)
    except ArcEvalError as error:
        sys.exit(f"{error}")
    except KeyboardInterrupt:
        sys.exit(130)
    if options.json:
        document = report.document(results, revisions=options.revisions, rounds=options.rounds)
        options.json.write_text(json.dumps(document, indent=2))
    print(f"{options.revisions[1]} against {options.revisions[0]}: above 1 is better\n")
    for name, figure, shown in pairs(results):
        print(f"{name:40} {figure:12} {shown}")


def _run(options: argparse.Namespace, codes: Sequence[Code], sizes: Sizes) -> list[Result]:
    def run(servers: Servers) -> list[Result]:
        return asyncio.run(compare(servers, codes, options.sections or ["sink"], sizes, options.rounds, options.only))

    if options.given_servers:
        return run(given_servers(database_url=options.database_url))
    with embedded_servers(lambda _: None, database_url=options.database_url) as servers:
        return run(servers)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="arc_eval_db.bench.compare", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("revisions", nargs=2, metavar="REVISION", help='such as HEAD~3, a tag, or "." as it is')
    parser.add_argument("sections", nargs="*", choices=[[], *SECTIONS], metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events", type=int)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", help="only what has this in its name")
    parser.add_argument("--given-servers", action="store_true", help="those that the environment names")
    parser.add_argument("--database-url")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
