"""How fast `BatchExecutionRecorder` writes outcomes, from the `record()` calls to the committed rows.

    PYTHONPATH=tests python -m benchmarks.recorder --url postgresql://postgres@127.0.0.1:5432/postgres --outcomes 200000

Each outcome belongs to an execution of its own, so each is a row in `outcomes` and one in `executions`. Three variants
are run in turn, several times: nothing wrong; 1 % of the records invalid; 1 % refused by the database (by a CHECK
constraint of the benchmark's own). After each run the rows are counted and must be exactly what was accepted.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import structlog

from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.migrations import Migrator
from arc_eval_db.recorder import BatchExecutionRecorder
from arc_eval_db.records import ExecutionReference, Outcome
from arc_eval_db.schemas import ids
from arc_eval_db.schemas.refusals import EventRefusedError
from support.databases import connect, temporary_database

_VERSION = ids.configuration_version_id({"name": "benchmark", "model": "none"})
_SCENARIO = ids.scenario_id("benchmark")
_SIMULATION = ids.simulation_id("benchmark")

_ONE_IN = 100
_REFUSED_SCORE = 666.0

# What is bad about one record in a hundred.
VARIANTS = ("good", "invalid", "refused")


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one variant."""

    variant: str
    outcomes: int
    inserted: int
    refused_by_check: int
    refused_by_database: int
    flushes: int
    seconds: float
    per_second: float
    """Outcomes recorded (good and bad) per second of wall-clock time."""
    client_cpu_seconds: float


def outcomes(variant: str, count: int) -> Iterator[Outcome]:
    """Made while they are recorded, as a program does."""
    for number in range(count):
        is_bad = number % _ONE_IN == _ONE_IN // 2
        yield Outcome(
            ExecutionReference(ids.uuid7(), _VERSION, _SCENARIO, _SIMULATION),
            "no such status" if is_bad and variant == "invalid" else "succeeded",
            score=_REFUSED_SCORE if is_bad and variant == "refused" else 0.82,
            duration_ms=1250.5,
            cost_usd=0.013,
            input_tokens=1200,
            output_tokens=310,
        )


async def run_once(settings: DatabaseSettings, session: Session, variant: str, count: int) -> Run:
    """Record `count` outcomes into an empty database, and check what is there then."""
    await session.execute("TRUNCATE outcomes; TRUNCATE executions CASCADE")
    gc.collect()
    refused_by_check = 0
    cpu, started = time.process_time(), time.perf_counter()
    async with BatchExecutionRecorder(settings) as recorder:
        for outcome in outcomes(variant, count):
            try:
                await recorder.record(outcome)
            except EventRefusedError:
                refused_by_check += 1
        await recorder.flush(timeout_s=300)
        seconds = time.perf_counter() - started
        cpu = time.process_time() - cpu
        stats = recorder.stats()
    bad = count // _ONE_IN if variant != "good" else 0
    refused_by_database = stats.refused.get("refused_by_database", 0)
    assert refused_by_check == (bad if variant == "invalid" else 0), refused_by_check
    assert refused_by_database == (bad if variant == "refused" else 0), refused_by_database
    for table in ("outcomes", "executions"):
        rows = await session.fetch_value(f"SELECT count(*) FROM {table}")
        assert rows == count - bad, f"{table}: {rows} rows, not {count - bad}"
    assert stats.inserted == count - bad
    return Run(
        variant,
        count,
        stats.inserted,
        refused_by_check,
        refused_by_database,
        stats.flushes,
        seconds,
        count / seconds,
        cpu,
    )


async def benchmark(server: DatabaseSettings, count: int, rounds: int) -> dict[str, Any]:
    """All variants in turn, `rounds` times, in a database of their own."""
    runs: list[Run] = []
    async with temporary_database(server) as settings, await connect(settings) as session:
        await Migrator(session).up()
        edition = (await Migrator(session).edition()).value
        postgres = await session.fetch_value("SHOW server_version")
        await session.execute(f"ALTER TABLE outcomes ADD CONSTRAINT benchmark_check CHECK (score <> {_REFUSED_SCORE})")
        # Once for the caches of everybody.
        await run_once(settings, session, "refused", min(count, 10_000))
        for number in range(rounds):
            for variant in VARIANTS:
                runs.append(await run_once(settings, session, variant, count))
                print(f"round {number + 1} {variant:8} {runs[-1].per_second:10,.0f} outcomes/s", flush=True)
    return {
        "edition": edition,
        "postgresql": postgres,
        "python": platform.python_version(),
        "arc_eval_db": version("arc-eval-db"),
        "cpus": os.cpu_count(),
        "outcomes": count,
        "rounds": rounds,
        "summary": [summary(variant, runs) for variant in VARIANTS],
        "runs": [asdict(run) for run in runs],
    }


def summary(variant: str, runs: list[Run]) -> dict[str, Any]:
    """The runs of one variant in one line."""
    mine = [run for run in runs if run.variant == variant]
    speeds = [run.per_second for run in mine]
    return {
        "variant": variant,
        "median_per_second": statistics.median(speeds),
        "best_per_second": max(speeds),
        "worst_per_second": min(speeds),
        "client_cpu_us_per_outcome": statistics.median(run.client_cpu_seconds / run.outcomes * 1e6 for run in mine),
        "outcomes_per_flush": statistics.median(run.inserted / run.flushes for run in mine),
    }


def print_table(report: dict[str, Any]) -> None:
    """The summary, for people."""
    print(f"\n{report['edition']}, PostgreSQL {report['postgresql']}, {report['cpus']} CPUs")
    print(f"{report['outcomes']:,} outcomes a run, {report['rounds']} rounds, {report['loop']}")
    print(f"{'variant':10}{'median/s':>12}{'best/s':>12}{'worst/s':>12}{'client CPU':>14}{'a flush':>10}")
    for line in report["summary"]:
        speeds = "".join(
            f"{line[name]:12,.0f}" for name in ("median_per_second", "best_per_second", "worst_per_second")
        )
        cpu = f"{line['client_cpu_us_per_outcome']:11.1f} us"
        print(f"{line['variant']:10}{speeds}{cpu}{line['outcomes_per_flush']:10,.0f}")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--url", required=True, help="a PostgreSQL server whose user may create databases")
    parser.add_argument("--outcomes", type=int, default=200_000, help="in each run")
    parser.add_argument("--rounds", type=int, default=5, help="how often each variant is run")
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    parser.add_argument("--json", type=Path, help="write everything that was measured to this file")
    arguments = parser.parse_args()
    # A line for each flush would be part of what is measured.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    run: Callable[..., dict[str, Any]] = asyncio.run
    if arguments.loop == "uvloop":
        import uvloop

        run = uvloop.run
    server = DatabaseSettings.load(database_url=arguments.url)
    report = run(benchmark(server, arguments.outcomes, arguments.rounds))
    report["loop"] = arguments.loop
    print_table(report)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
