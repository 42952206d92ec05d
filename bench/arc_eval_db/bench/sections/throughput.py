"""From topic to table: the worker as a whole, and its parts alone."""

from __future__ import annotations

import secrets
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from arc_eval_db.bench.arena import Arena, Cost
from arc_eval_db.bench.checks import check_offsets, check_rows
from arc_eval_db.bench.code_under_test import Code
from arc_eval_db.bench.sections import Candidate, Figures, Sizes
from arc_eval_db.bench.spawn import RunFailedError
from arc_eval_db.bench.workloads import DUPLICATES, LIFECYCLE, OUTCOMES, Workload
from arc_eval_db.schemas.topics import TOPICS

EXACTLY_ONCE = "exactly once"
LIVE = "live consumption"

_RUNS = "arc_eval_db.bench.runs."
_PER = 100_000

# Longer than the three seconds between two heartbeats of a worker.
_SETTLE_S = 4.0


def workload(name: str, sizes: Sizes, *, events: int | None = None) -> Workload:
    """The workload of that name; its events happened today, or yesterday just after midnight."""
    begin = (datetime.now(UTC) - timedelta(hours=2)).replace(minute=0, second=0, microsecond=0)
    return Workload(name, events or sizes.events, sizes.partitions, sizes.seed, begin.isoformat())


def throughput(figures: Sequence[Mapping[str, Any]], cost: Cost, records: int) -> Figures:
    """What the processes of one run found, together. Steady: from the first that began to the last that ended."""
    seconds = max(each["ended"] for each in figures) - min(each["began"] for each in figures)

    def share(cpu_s: float | None) -> float | None:
        return None if cpu_s is None else cpu_s * _PER / records

    return {
        "per_second": records / seconds,
        "seconds": seconds,
        "cpu_s": share(sum(each["cpu_s"] for each in figures)),
        "database_cpu_s": share(cost.database_s),
        "broker_cpu_s": share(cost.broker_s),
        "memory_mb": max(each["memory_mb"] for each in figures),
        "startup_s": max(each["startup_s"] for each in figures),
    }


async def run_sink(
    arena: Arena, work: Workload, workers: int, variables: Mapping[str, str], *, python: str = sys.executable
) -> tuple[str, list[dict[str, Any]], Cost]:
    """Run the worker in so many processes of one new group, until they have caught up.

    Returns:
        The group, what each process found, and what it cost the servers.

    Raises:
        RunFailedError: one of them had nothing to do: the group has shared its partitions anew in the middle.
    """
    group = f"{arena.name}-{secrets.token_hex(4)}"
    with tempfile.TemporaryDirectory(prefix="arc-eval-bench-") as meeting:
        options = {
            "group": group,
            "members": workers,
            "meeting": meeting,
            "partitions": len(TOPICS) * work.partitions,
            "settle_s": 0 if workers == 1 else _SETTLE_S,
        }
        figures, cost = await arena.run(_RUNS + "sink", [options] * workers, variables, python=python)
    if not all(each["records"] for each in figures):
        raise RunFailedError("the group has shared its partitions anew in the middle, and a process had nothing to do")
    return group, figures, cost


def sink_candidate(
    arena: Arena,
    work: Workload,
    workers: int,
    *,
    section: str = "sink",
    name: str | None = None,
    code: Code | None = None,
) -> Candidate:
    """The worker, in so many processes of one group."""
    code = code or Code()

    async def run() -> Figures:
        kafka = await arena.topics(work)
        settings = await arena.database(
            code.database, without_indexes=code.without_indexes, environment=code.environment
        )
        expected = await arena.sums(work, settings)
        async with arena.empty_database(settings) as session:
            variables = arena.variables(kafka, settings, code.environment)
            group, figures, cost = await run_sink(arena, work, workers, variables, python=code.python)
            await check_rows(session, expected)
            await check_offsets(session, group, work.records)
        return throughput(figures, cost, work.records)

    plural = "process" if workers == 1 else "processes"
    return Candidate(section, name or f"{work.name}, {workers} {plural}", run, work.name, EXACTLY_ONCE)


def fetch_candidate(arena: Arena, work: Workload) -> Candidate:
    """Fetching alone."""

    async def run() -> Figures:
        kafka = await arena.topics(work)
        figures, cost = await arena.run(
            _RUNS + "fetch", [{"records": work.records, "partitions": work.partitions}], arena.variables(kafka, None)
        )
        return throughput(figures, cost, work.records)

    return Candidate("fetch", work.name, run, work.name)


def validate_candidate(
    arena: Arena, work: Workload, *, collector: bool, environment: Mapping[str, str] | None = None
) -> Candidate:
    """Validation alone, with or without the cyclic garbage collector."""

    async def run() -> Figures:
        figures, _ = await arena.run(
            _RUNS + "validate",
            [{"workload": work.to_options(), "collector": collector}],
            arena.variables(None, None, environment),
        )
        return throughput(figures, Cost(None, None), work.records)

    return Candidate("validate", f"{work.name}, collector {'on' if collector else 'off'}", run, work.name)


def copy_candidate(arena: Arena, work: Workload) -> Candidate:
    """COPY alone."""

    async def run() -> Figures:
        settings = await arena.database()
        expected = await arena.sums(work, settings)
        async with arena.empty_database(settings) as session:
            figures, cost = await arena.run(
                _RUNS + "copy", [{"workload": work.to_options()}], arena.variables(None, settings)
            )
            await check_rows(session, expected, [table for table in expected if table != "executions"])
        return throughput(figures, cost, work.events)

    return Candidate("copy", work.name, run, work.name)


def replay(arena: Arena, sizes: Sizes) -> list[Candidate]:
    """The log into an empty database, by live consumption and by a replay."""
    work = workload(LIFECYCLE, sizes)

    async def run() -> Figures:
        kafka = await arena.topics(work)
        settings = await arena.database()
        expected = await arena.sums(work, settings)
        async with arena.empty_database(settings) as session:
            figures, cost = await arena.run(_RUNS + "replay", [{}], arena.variables(kafka, settings))
            await check_rows(session, expected)
        return throughput(figures, cost, work.records)

    return [
        sink_candidate(arena, work, 1, section="replay", name=LIVE),
        Candidate("replay", "replay", run, work.name, EXACTLY_ONCE),
    ]


def fetch(arena: Arena, sizes: Sizes) -> list[Candidate]:
    """Both kinds of events."""
    return [fetch_candidate(arena, workload(name, sizes)) for name in (OUTCOMES, LIFECYCLE)]


def validate(arena: Arena, sizes: Sizes) -> list[Candidate]:
    """Both kinds of events, with the collector off as in the worker, and once as Python has it."""
    return [
        validate_candidate(arena, workload(OUTCOMES, sizes), collector=False),
        validate_candidate(arena, workload(LIFECYCLE, sizes), collector=False),
        validate_candidate(arena, workload(LIFECYCLE, sizes), collector=True),
    ]


def copy(arena: Arena, sizes: Sizes) -> list[Candidate]:
    """Both kinds of events."""
    return [copy_candidate(arena, workload(name, sizes)) for name in (OUTCOMES, LIFECYCLE)]


def sink(arena: Arena, sizes: Sizes) -> list[Candidate]:
    """All workloads, and two processes where nothing comes twice."""
    return [
        sink_candidate(arena, workload(name, sizes), workers)
        for name, workers in ((OUTCOMES, 1), (OUTCOMES, 2), (LIFECYCLE, 1), (LIFECYCLE, 2), (DUPLICATES, 1))
    ]
