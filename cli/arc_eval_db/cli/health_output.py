"""What `arc-eval-db health` shows people."""

from __future__ import annotations

import click
from rich.table import Table
from rich.text import Text

from arc_eval_db.cli.printable import printable
from arc_eval_db.cli.running import console, print_json
from arc_eval_db.health import HealthReport, State, WriteBenchmark

_STYLES = {State.OK: "green", State.WARN: "yellow", State.CRITICAL: "bold red", State.UNKNOWN: "dim"}


def print_report(report: HealthReport) -> None:
    """A line a check, and what is lost without TimescaleDB."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("check", "state", "found", "what to do"):
        table.add_column(column, overflow="fold")
    for result in report.results:
        # Names of tables, users and slots are other people's.
        table.add_row(
            result.check,
            Text(result.state, style=_STYLES[result.state]),
            printable(result.found),
            printable(result.next_step),
        )
    console().print(table)
    for lost in report.lost:
        click.echo(f"without TimescaleDB: no {lost}")
    counts = ", ".join(
        f"{count} {state}" for state in State if (count := sum(one.state is state for one in report.results))
    )
    click.echo(f"{report.state} at {report.checked_at:%Y-%m-%d %H:%M:%S} UTC: {counts}")


def print_benchmark(benchmark: WriteBenchmark, *, as_json: bool) -> None:
    """The rate, and where it was measured."""
    if as_json:
        print_json(
            {
                "rows": benchmark.rows,
                "seconds": benchmark.seconds,
                "rows_per_s": benchmark.rows_per_s,
                "place": benchmark.place,
            }
        )
        return
    click.echo(
        f"{benchmark.rows_per_s:,.0f} rows/s: {benchmark.rows:,} outcomes in {benchmark.seconds:.2f} s into a"
        f" {benchmark.place} with the indexes of outcomes; nothing remains"
    )
