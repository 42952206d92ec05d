"""How much smaller compressed hypertables are than ordinary tables with the same rows and the same indexes.

    PYTHONPATH=tests python -m benchmarks.storage --url postgresql://postgres@127.0.0.1:5432/postgres

Needs TimescaleDB and the recorded runs, which are scaled up to `--executions`, with every tool use of each.
"""

from __future__ import annotations

import argparse
import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.migrations import Edition, Migrator
from benchmarks.dataset import fill, prepare
from benchmarks.report import print_rows, where, write_json
from support.databases import connect, temporary_database

_TABLES = ("outcomes", "tool_usage", "failures", "execution_events")


async def _plain_copy(session: Session, table: str) -> int:
    """Bytes of an ordinary table with the same rows, in the same order, and the same indexes."""
    await session.execute(f"CREATE TABLE plain_{table} (LIKE {table} INCLUDING ALL)")
    await session.execute(f"INSERT INTO plain_{table} SELECT * FROM {table} ORDER BY time")
    await session.execute(f"VACUUM ANALYZE plain_{table}")
    return int(await session.fetch_value(f"SELECT pg_total_relation_size('plain_{table}')"))


async def _measure(session: Session, table: str) -> dict[str, Any]:
    rows = await session.fetch_value(f"SELECT count(*) FROM {table}")
    plain = await _plain_copy(session, table)
    same = await session.fetch_value(
        "SELECT count(*) FROM pg_indexes WHERE tablename = $1 AND schemaname = 'public'"
        " HAVING count(*) = (SELECT count(*) FROM pg_indexes WHERE tablename = 'plain_' || $1)",
        table,
    )
    assert same, f"plain_{table} has other indexes"
    uncompressed = await session.fetch_value("SELECT hypertable_size($1::text::regclass)", table)
    await session.execute(f"SELECT count(compress_chunk(chunk)) FROM show_chunks('{table}') AS chunk")
    compressed = await session.fetch_value("SELECT hypertable_size($1::text::regclass)", table)
    assert await session.fetch_value(f"SELECT count(*) FROM {table}") == rows
    return {"rows": rows, "plain": plain, "uncompressed": uncompressed, "compressed": compressed}


async def _run(options: argparse.Namespace) -> None:
    server = DatabaseSettings.load(
        database_url=options.url,
        database_command_timeout_s=3600,
        database_statement_timeout_ms=0,
        database_idle_in_transaction_timeout_ms=0,
    )
    async with temporary_database(server) as settings, await connect(settings) as session:
        migrator = Migrator(session)
        await migrator.up()
        if await migrator.edition() is not Edition.TIMESCALEDB:
            raise SystemExit("this server has no TimescaleDB")
        runs = await prepare(session)
        # Whole days, so that no chunk holds a remainder.
        until = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
        per_day = -(-options.executions // options.days)
        since = until - timedelta(days=options.days)
        await fill(session, runs=runs, since=since, until=until, executions_per_day=per_day, steps=1000, report=print)
        sizes = {table: await _measure(session, table) for table in _TABLES}
        report = {**await where(session), "executions_per_day": per_day, "days": options.days, "tables": sizes}
    total = {key: sum(size[key] for size in sizes.values()) for key in ("rows", "plain", "uncompressed", "compressed")}
    print()
    print_rows(
        ("table", "rows", "plain MB", "hypertable MB", "compressed MB", "compressed / plain"),
        [
            (
                table,
                size["rows"],
                size["plain"] / 1e6,
                size["uncompressed"] / 1e6,
                size["compressed"] / 1e6,
                f"{size['compressed'] / size['plain']:.3f}",
            )
            for table, size in {**sizes, "all": total}.items()
        ],
    )
    write_json(options.json, report)


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--url", required=True, help="a server with TimescaleDB on which databases may be created")
    parser.add_argument("--executions", type=int, default=100_000)
    parser.add_argument("--days", type=int, default=5)
    parser.add_argument("--json", type=Path)
    asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
