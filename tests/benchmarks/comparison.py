"""How long it takes to compare two versions of many runs among many more.

    PYTHONPATH=tests python -m benchmarks.comparison --url postgresql://postgres@127.0.0.1:5432/postgres

Makes the rows inside the server: of both versions so many runs among those of others, with two tool uses each. Then it
compares them as `arc-eval-db compare` does, and, without the database, two samples of as many scenarios as runs: the
most that the statistics can be asked for. To fill the database takes a few minutes and 1.5 GB.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.migrations import Migrator
from arc_eval_db.recommendations import RunResult, compare, compare_samples, sample_of_runs
from arc_eval_db.schemas import ids
from benchmarks.report import print_rows, where, write_json
from support.databases import connect, temporary_database

VERSIONS = 40
"""Among which the outcomes are shared out; two of them are compared."""
_BATCH_ROWS = 100_000

_PARENTS = """
INSERT INTO configurations (id, name) VALUES (md5('configuration')::uuid, 'benchmark');
INSERT INTO configuration_versions (id, configuration_id)
SELECT md5('version ' || number)::uuid, md5('configuration')::uuid FROM generate_series(1, {versions}) AS number;
INSERT INTO scenarios (id, name)
SELECT md5('scenario ' || number)::uuid, 'scenario ' || number FROM generate_series(0, {scenarios} - 1) AS number;
CREATE TEMP TABLE made AS
SELECT
    number,
    md5('run ' || number)::uuid AS id,
    -- Every so many is of one of the two that are compared.
    md5('version ' || CASE
        WHEN number % {every} = 0 THEN 1 + (number / {every}) % 2 ELSE 3 + number % ({versions} - 2)
    END)::uuid AS version_id,
    md5('scenario ' || (number * 7919::bigint) % {scenarios})::uuid AS scenario_id,
    now() - INTERVAL '1 hour' - number * INTERVAL '1 second' AS ended_at,
    random() AS luck
FROM generate_series(0, {outcomes} - 1) AS number;
"""

_ROWS = (
    """
INSERT INTO executions (id, configuration_version_id, scenario_id, started_at, ended_at)
SELECT id, version_id, scenario_id, ended_at - INTERVAL '1 minute', ended_at FROM made
WHERE number >= $1 AND number < $2""",
    """
INSERT INTO outcomes (
    time, event_id, execution_id, configuration_version_id, scenario_id, sequence, status, success, score, duration_ms,
    cost_usd
)
SELECT ended_at, gen_random_uuid(), id, version_id, scenario_id, 9,
    CASE WHEN luck < 0.4 THEN 'succeeded' ELSE 'failed' END, luck < 0.4, luck, 60000, luck
FROM made WHERE number >= $1 AND number < $2""",
    """
INSERT INTO tool_usage (
    time, event_id, execution_id, configuration_version_id, scenario_id, sequence, tool, success
)
SELECT
    ended_at - use * INTERVAL '10 seconds', gen_random_uuid(), id, version_id, scenario_id, 9 - use, 'edit', luck < 0.9
FROM made, generate_series(1, 2) AS use WHERE number >= $1 AND number < $2""",
)


async def _fill(session: Session, *, outcomes: int, runs: int, scenarios: int) -> None:
    await session.execute("SET synchronous_commit = off")
    await session.execute(
        _PARENTS.format(versions=VERSIONS, scenarios=scenarios, outcomes=outcomes, every=outcomes // (2 * runs))
    )
    for begin in range(0, outcomes, _BATCH_ROWS):
        async with session.transaction():
            for statement in _ROWS:
                await session.execute(statement, begin, begin + _BATCH_ROWS)
    await session.execute("VACUUM ANALYZE")


async def _seconds(work: Callable[[], Awaitable[object]], repeats: int) -> list[float]:
    found = []
    for _ in range(repeats):
        began = time.perf_counter()
        await work()
        found.append(time.perf_counter() - began)
    return found


async def _compare_rows(session: Session, options: argparse.Namespace) -> list[float]:
    a, b = [
        str(await session.fetch_value("SELECT md5('version ' || $1::text)::uuid", str(number))) for number in (1, 2)
    ]

    async def work() -> None:
        report = await compare(session, a, b, runs_max=options.runs)
        assert (report.a.runs, report.b.runs) == (options.runs, options.runs), (report.a.runs, report.b.runs)

    await work()  # what was never read is read from disk once, and scipy is imported
    return await _seconds(work, options.repeats)


async def _compare_samples(options: argparse.Namespace) -> list[float]:
    """Each run of a scenario of its own, all of them run by both."""
    a, b = (
        sample_of_runs(
            RunResult(str(ids.scenario_id(str(number))), "succeeded" if number % share else "failed", score=1 / share)
            for number in range(options.runs)
        )
        for share in (2, 3)
    )

    async def work() -> None:
        # Copies: a sample keeps what it has counted.
        assert compare_samples(replace(a), replace(b)).common_scenarios == options.runs

    return await _seconds(work, options.repeats)


async def _run(options: argparse.Namespace) -> None:
    server = DatabaseSettings.load(
        database_url=options.url, database_command_timeout_s=3600, database_statement_timeout_ms=0
    )
    async with temporary_database(server) as settings, await connect(settings) as session:
        migrator = Migrator(session)
        await migrator.up()
        await _fill(session, outcomes=options.outcomes, runs=options.runs, scenarios=options.scenarios)
        counts = {
            table: await session.fetch_value(f"SELECT count(*) FROM {table}") for table in ("outcomes", "tool_usage")
        }
        report: dict[str, Any] = {
            **await where(session),
            "edition": (await migrator.edition()).value,
            "rows": counts,
            "seconds": {
                f"{options.runs:,} runs a side": await _compare_rows(session, options),
                f"{options.runs:,} scenarios, statistics alone": await _compare_samples(options),
            },
        }
    print(f"{report['edition']}: " + ", ".join(f"{count:,} {table}" for table, count in counts.items()) + "\n")
    lines = [(name, 1000 * statistics.median(times), 1000 * max(times)) for name, times in report["seconds"].items()]
    print_rows(("compared", "median ms", "worst ms"), lines)
    write_json(options.json, report)


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--url", required=True, help="a server on which databases may be created")
    parser.add_argument("--outcomes", type=int, default=1_500_000)
    parser.add_argument("--runs", type=int, default=50_000, help="of each side")
    parser.add_argument("--scenarios", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
