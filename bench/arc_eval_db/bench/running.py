"""Runs candidates in turn, round after round."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from arc_eval_db.bench.arena import Arena, open_arena
from arc_eval_db.bench.results import Result
from arc_eval_db.bench.sections import Candidate, Sizes, latency, peers, sdk, throughput, views
from arc_eval_db.bench.servers import Servers, describe

Section = Callable[[Arena, Sizes], list[Candidate]]

SECTIONS: Mapping[str, Section] = {
    "emit": sdk.emit,
    "produce": sdk.produce,
    "fetch": throughput.fetch,
    "validate": throughput.validate,
    "copy": throughput.copy,
    "sink": throughput.sink,
    "latency": latency.latency,
    "replay": throughput.replay,
    "views": views.views,
    "peers": peers.peers,
}
"""In the order in which they are run and reported."""

DEFAULT_SECTIONS = ("emit", "produce", "fetch", "validate", "copy", "sink", "latency", "replay", "views")

# The ceiling of the sink is measured in the same run.
_NEEDS = {"sink": ("fetch", "validate", "copy")}


def chosen(names: Iterable[str]) -> list[str]:
    """The sections to run for those that were asked for, in their order."""
    asked = set(names) or set(DEFAULT_SECTIONS)
    for name in list(asked):
        asked.update(_NEEDS.get(name, ()))
    return [name for name in SECTIONS if name in asked]


async def run_rounds(candidates: Sequence[Candidate], rounds: int, report: Callable[[str], None]) -> list[Result]:
    """Run every candidate once in each round, so that what changes on the machine meanwhile meets all of them."""
    results = [Result(each.section, each.name, each.workload, each.guarantee) for each in candidates]
    for number in range(rounds):
        for candidate, result in zip(candidates, results, strict=True):
            report(f"round {number + 1} of {rounds}: {candidate.section}: {candidate.name}")
            result.runs.append(await candidate.run())
    return results


async def run_sections(
    servers: Servers,
    sections: Sequence[str],
    sizes: Sizes,
    rounds: int,
    report: Callable[[str], None],
    *,
    only: str | None = None,
    peers_python: str = sys.executable,
) -> tuple[list[Result], dict[str, Any]]:
    """Run sections on servers, and say what those are.

    Args:
        only: leave out what has not this in its name.
        peers_python: the interpreter of the section `peers`.

    Raises:
        WrongRowsError: a run left wrong rows.
        RunFailedError: a run did not end as it should.
    """
    async with open_arena(servers, report, peers_python=peers_python) as arena:
        candidates = [
            candidate
            for section in sections
            for candidate in SECTIONS[section](arena, sizes)
            if only is None or only in candidate.name
        ]
        results = await run_rounds(candidates, rounds, report)
        return results, {"servers": await describe(servers), "notes": arena.notes}
