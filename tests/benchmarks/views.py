"""How fast the views answer over ten million executions.

    PYTHONPATH=tests python -m benchmarks.views --url postgresql://postgres@127.0.0.1:5432/postgres

Asks every question of docs/views.md and of the dashboard's pages, in turn, and prints how long each took on the
client's side. Needs the recorded runs and about 20 GB of disk; to fill the database takes half an hour. `--database
NAME` keeps it, or takes up the one that is there; `--ask dashboard` asks only the pages' questions.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import time
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from arc_eval_db.dashboards.web.data.spans import prepare as prepare_reading
from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.migrations import Edition, Migrator
from benchmarks import pages
from benchmarks.dataset import fill, prepare
from benchmarks.report import print_rows, where, write_json
from support.databases import connect, temporary_database
from support.views_page import questions

_TABLES = ("executions", "outcomes", "tool_usage", "failures", "execution_events")


@contextlib.asynccontextmanager
async def _database(server: DatabaseSettings, name: str | None) -> AsyncIterator[DatabaseSettings]:
    """The database to read; without a name it goes when the benchmark ends."""
    if name is None:
        async with temporary_database(server) as settings:
            yield settings
        return
    async with await connect(server) as session:
        if not await session.fetch_value("SELECT true FROM pg_database WHERE datname = $1", name):
            await session.execute(f'CREATE DATABASE "{name}"')
    yield server.with_database(name)


async def _fill(session: Session, executions: int, days: int) -> None:
    """Fill the database up to now, or only what is missing since it was filled."""
    await session.execute("SET synchronous_commit = off")
    runs = await prepare(session)
    until = datetime.now(UTC)
    since = await session.fetch_value("SELECT max(started_at) FROM executions") or until - timedelta(days=days)
    per_day = -(-executions // days)
    await fill(session, runs=runs, since=since, until=until, executions_per_day=per_day, steps=1, report=print)


async def _settle(session: Session, edition: Edition) -> None:
    """What the policies would have done by now, and statistics for the planner."""
    if edition is Edition.TIMESCALEDB:
        for procedure in ("policy_refresh_continuous_aggregate", "policy_compression"):
            jobs = await session.fetch(
                "SELECT job_id, hypertable_name FROM timescaledb_information.jobs WHERE proc_name = $1 ORDER BY job_id",
                procedure,
            )
            for job in jobs:
                began = time.perf_counter()
                await session.execute(f"CALL run_job({job['job_id']})")
                print(f"{procedure} on {job['hypertable_name']}: {time.perf_counter() - began:.1f} s")
    await session.execute("VACUUM ANALYZE")


async def _check(session: Session) -> None:
    """The rollups say what the rows say: a fast wrong answer is none."""
    rows = await session.fetch_value("SELECT count(*) FROM outcomes")
    counted = await session.fetch_value("SELECT sum(executions) FROM performance_daily")
    assert rows == counted, f"{rows} outcomes, {counted} in performance_daily"


async def _measure(session: Session, asked: Mapping[str, pages.Ask], repeats: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in asked}
    for _ in range(repeats):
        for name, ask in asked.items():
            began = time.perf_counter()
            answer = await ask(session)
            seconds[name].append(time.perf_counter() - began)
            assert answer, f"{name}: no answer"
    return seconds


def _of_views() -> dict[str, pages.Ask]:
    def ask(statement: str) -> pages.Ask:
        return lambda session: session.fetch(statement)

    return {view: ask(statement) for view, (_, statement) in questions().items()}


def _print(title: str, seconds: Mapping[str, list[float]]) -> None:
    figures = {
        name: tuple(
            1000 * figure
            for figure in (statistics.mean(times), statistics.median(times), _percentile(times, 95), max(times))
        )
        for name, times in seconds.items()
    }
    average = tuple(statistics.mean(column) for column in zip(*figures.values(), strict=True))
    lines = [(name, *line) for name, line in {**figures, "average": average}.items()]
    print_rows((title, "mean ms", "median ms", "p95 ms", "worst ms"), lines)


def _percentile(times: list[float], share: int) -> float:
    return sorted(times)[max(0, -(-len(times) * share // 100) - 1)]


async def _run(options: argparse.Namespace) -> None:
    server = DatabaseSettings.load(
        database_url=options.url,
        database_command_timeout_s=6 * 3600,
        database_statement_timeout_ms=0,
        database_idle_in_transaction_timeout_ms=0,
    )
    async with _database(server, options.database) as settings, await connect(settings) as session:
        migrator = Migrator(session)
        await migrator.up()
        edition = await migrator.edition()
        await _fill(session, options.executions, options.days)
        await _settle(session, edition)
        await _check(session)
        counts = {table: await session.fetch_value(f"SELECT count(*) FROM {table}") for table in _TABLES}
        asked = {"view": _of_views(), "dashboard": pages.questions(await pages.find_facts(session))}
        seconds: dict[str, dict[str, list[float]]] = {}
        for kind in options.ask or asked:
            if kind == "dashboard":
                await prepare_reading(session)
            await _measure(session, asked[kind], 1)  # what was never read is read from disk once
            seconds[kind] = await _measure(session, asked[kind], options.repeats)
        report: dict[str, Any] = {**await where(session), "edition": edition.value, "rows": counts, "seconds": seconds}
    print(f"\n{report['edition']}: " + ", ".join(f"{count:,} {table}" for table, count in counts.items()))
    for kind, times in seconds.items():
        print()
        _print(kind, times)
    write_json(options.json, report)


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--url", required=True, help="a server on which databases may be created")
    parser.add_argument("--database", help="keep the database under this name, or use it if it is there")
    parser.add_argument("--executions", type=int, default=10_000_000)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--ask", action="append", choices=("view", "dashboard"), help="only these questions")
    parser.add_argument("--json", type=Path)
    asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
