"""`PYTHONPATH=tests python -m fault.mutations`: take out one guard after the other, and print what its tests say."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from arc_eval_db.database import DatabaseSettings
from fault.mutations.guards import MUTATIONS
from fault.mutations.mutation import Mutation
from fault.mutations.runner import ROOT, Finding, Workshop
from fault.mutations.table import as_markdown, line_of, summary, write_docs
from support.databases import connect
from support.servers import DATABASE_VARIABLE, KAFKA_VARIABLE, start_servers


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 when every guard is proved, 1 when one is not, 2 for a name that is none."""
    options = _options(arguments)
    if unknown := set(options.names) - {mutation.name for mutation in MUTATIONS}:
        print(f"no such guard: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    chosen = [mutation for mutation in MUTATIONS if not options.names or mutation.name in options.names]
    if options.list:
        for mutation in chosen:
            print(f"{mutation.name:<34} {mutation.file}:{mutation.line(ROOT) or 'NOT FOUND'}\n    {mutation.guard}")
        return 0
    with _servers() as database:
        findings = _prove_all(chosen, quiet=options.json)
        servers = asyncio.run(_versions(database))
    if options.json:
        print(json.dumps([_as_json(finding) for finding in findings], indent=2))
    else:
        print(summary(findings))
    if options.write_docs:
        write_docs(as_markdown(findings, servers))
    return 0 if all(finding.is_proof for finding in findings) else 1


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m fault.mutations", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these guards")
    parser.add_argument("--list", action="store_true", help="list the guards and run nothing")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON, at the end")
    parser.add_argument("--write-docs", action="store_true", help="put the table into docs/reliability.md")
    return parser.parse_args(arguments)


@contextlib.contextmanager
def _servers() -> Iterator[str]:
    """One Kafka and one PostgreSQL for all runs; those that the environment names win. Yields the database's URL."""
    with tempfile.TemporaryDirectory(prefix="arc-eval-test-", ignore_cleanup_errors=True) as directory:
        # PostgreSQL runs as another user where we are root.
        Path(directory).chmod(0o755)
        with start_servers(Path(directory)) as servers:
            os.environ.setdefault(KAFKA_VARIABLE, servers.kafka_bootstrap_servers)
            os.environ.setdefault(DATABASE_VARIABLE, servers.database_url)
            yield os.environ[DATABASE_VARIABLE]


def _prove_all(mutations: Sequence[Mutation], *, quiet: bool) -> list[Finding]:
    findings = []
    with tempfile.TemporaryDirectory(prefix="arc-eval-mutations-", ignore_cleanup_errors=True) as directory:
        # A server process of another user may be asked to read the SQL files.
        Path(directory).chmod(0o755)
        workshop = Workshop(Path(directory))
        workshop.baseline(mutations)
        if workshop.baseline_output:
            print(workshop.baseline_output, file=sys.stderr)
        for mutation in mutations:
            findings.append(workshop.prove(mutation))
            if not quiet:
                print(line_of(findings[-1]), flush=True)
    return findings


async def _versions(database: str) -> str:
    """In words; a broker does not tell its version, so it is that of the embedded stack."""
    from arc_eval_db.local.kafka_jars import KAFKA_VERSION

    async with await connect(DatabaseSettings.load(database_url=database)) as session:
        number = await session.fetch_value("SHOW server_version")
        timescaledb = await session.fetch_value(
            "SELECT default_version FROM pg_available_extensions WHERE name = 'timescaledb'"
        )
    edition = f" with TimescaleDB {timescaledb}" if timescaledb else ""
    return f"Kafka {KAFKA_VERSION}, PostgreSQL {str(number).partition(' ')[0]}{edition}"


def _as_json(finding: Finding) -> dict[str, object]:
    return {
        "name": finding.mutation.name,
        "guard": finding.mutation.guard,
        "where": f"{finding.mutation.file}:{finding.mutation.line(ROOT)}",
        "test": finding.test,
        "result": finding.result.value,
        "detail": finding.detail,
        "seconds": round(finding.seconds, 1),
    }


if __name__ == "__main__":
    # As after Ctrl-C: the servers are stopped, and the copy is deleted.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
