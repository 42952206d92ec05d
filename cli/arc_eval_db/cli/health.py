"""`arc-eval-db health`: is the database well, and what to do where it is not?"""

from __future__ import annotations

import asyncio
import sys

import click

from arc_eval_db.cli.finite import FiniteRange
from arc_eval_db.cli.health_output import print_benchmark, print_report
from arc_eval_db.cli.main import EXIT_FOUND
from arc_eval_db.cli.running import command, database_settings, json_option, print_json, run_async
from arc_eval_db.health import CHECK_NAMES, ROWS_MAX, DatabaseHealthChecker, HealthReport, State

_WATCH_S = 10.0
_BENCHMARK_ROWS = 100_000
_FAILING = {"warn": (State.WARN, State.CRITICAL), "critical": (State.CRITICAL,)}


@click.command()
@click.option(
    "--only", multiple=True, metavar="CHECK", type=click.Choice(CHECK_NAMES), help="Only this check; may be repeated."
)
@click.option(
    "--watch",
    is_flag=False,
    flag_value=_WATCH_S,
    type=FiniteRange(min=0.1),
    metavar="[SECONDS]",
    help=f"Look again and again, every {_WATCH_S:g} seconds, until Ctrl-C.",
)
@click.option(
    "--fail-on",
    type=click.Choice(tuple(_FAILING)),
    default="critical",
    show_default=True,
    help="Exit with code 3 from this state on. What is unknown is neither.",
)
@click.option(
    "--benchmark-writes",
    "benchmark_rows",
    is_flag=False,
    flag_value=_BENCHMARK_ROWS,
    type=click.IntRange(1, ROWS_MAX),
    metavar="[ROWS]",
    help=f"Instead measure how fast the database takes rows: {_BENCHMARK_ROWS:,}, which are gone afterwards.",
)
@json_option
@command
def health(only: tuple[str, ...], watch: float | None, fail_on: str, benchmark_rows: int | None, as_json: bool) -> None:
    """Look at the database from all sides: what is slow, late, full, failing or in the way, and what to do about it.

    Thresholds are settings, ARC_EVAL_HEALTH_...; docs/health.md lists them. What this role may not see is unknown.
    """
    if benchmark_rows is not None and (only or watch is not None):
        raise click.UsageError("--benchmark-writes goes with neither --only nor --watch")
    checker = DatabaseHealthChecker(database_settings())
    if benchmark_rows is not None:
        print_benchmark(run_async(checker.benchmark_writes(benchmark_rows)), as_json=as_json)
        return
    if watch is not None:
        run_async(_watch(checker, only, watch, as_json=as_json))
        return
    report = run_async(checker.check(only or None))
    _print(report, as_json=as_json)
    if report.state in _FAILING[fail_on]:
        raise SystemExit(EXIT_FOUND)


async def _watch(checker: DatabaseHealthChecker, only: tuple[str, ...], seconds: float, *, as_json: bool) -> None:
    """Until it is interrupted."""
    while True:
        report = await checker.check(only or None)
        if sys.stdout.isatty() and not as_json:
            click.clear()
        _print(report, as_json=as_json, is_line=True)
        await asyncio.sleep(seconds)


def _print(report: HealthReport, *, as_json: bool, is_line: bool = False) -> None:
    if not as_json:
        print_report(report)
    elif is_line:  # one document a line, for programs that read as it comes
        click.echo(report.to_json())
    else:
        print_json(report.fields())
