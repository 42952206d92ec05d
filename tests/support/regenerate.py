"""Writes every generated file: `make schema`."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from arc_eval_db.consumers.metrics import METRICS
from arc_eval_db.database import DatabaseSettings
from arc_eval_db.migrations import Edition, Migrator, describe_schema
from arc_eval_db.migrations.edition import detect_edition
from arc_eval_db.schemas.generate import write as write_schemas
from support.databases import connect, temporary_database
from support.servers import start_servers

ROOT = Path(__file__).resolve().parents[2]


def metrics_page() -> str:
    """docs/metrics.md, from the one list of metrics."""
    lines = [
        "# Metrics of a worker",
        "",
        "Made from `consumers/arc_eval_db/consumers/metrics.py` by `make schema`; a test compares the two.",
        "`arc-eval-db consume --metrics-port 9100` serves them at `http://127.0.0.1:9100/metrics`",
        "(`ARC_EVAL_CONSUMER_METRICS_HOST` for another address).",
        "",
        "| metric | kind | labels | meaning |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| `{metric.name}` | {metric.kind} | {', '.join(metric.labels) or '-'} | {metric.help} |" for metric in METRICS
    ]
    return "\n".join(lines) + "\n"


async def _write_schemas(url: str) -> None:
    server = DatabaseSettings.load(database_url=url)
    async with await connect(server) as session:
        best = await detect_edition(session)
    for edition in {Edition.POSTGRESQL, best}:
        async with temporary_database(server) as settings, await connect(settings) as session:
            await Migrator(session, edition=edition).up()
            description = await describe_schema(session, edition)
        (ROOT / "sql" / f"schema.{edition}.sql").write_text(description)
        print(f"wrote sql/schema.{edition}.sql")
    if best is not Edition.TIMESCALEDB:
        print("left sql/schema.timescaledb.sql alone: this server has no TimescaleDB")


def main() -> None:
    """Write what is generated."""
    write_schemas(ROOT / "schemas")
    (ROOT / "docs" / "metrics.md").write_text(metrics_page())
    print("wrote schemas/ and docs/metrics.md")
    with tempfile.TemporaryDirectory() as directory, start_servers(Path(directory)) as servers:
        asyncio.run(_write_schemas(servers.database_url))


if __name__ == "__main__":
    main()
