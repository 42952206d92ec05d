"""What `arc-eval-db replay --verify` and `--to shadow` show: what agrees, and each difference by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from arc_eval_db.cli.running import print_table
from arc_eval_db.replay import Difference, DifferenceKind, ShadowResult, TableTally, VerifyReport, WindowReport

_SHOWN_MAX = 50


def verify_fields(report: VerifyReport) -> dict[str, Any]:
    """A verification, for programs."""
    return {
        "agrees": report.agrees,
        "windows": report.windows,
        "records": report.records,
        "rows": report.rows,
        "duplicates": report.duplicates,
        "set_aside": report.set_aside,
        "dead_lettered": dict(report.dead_lettered),
        "not_consumed": report.not_consumed,
        "counts": _counts(report.counts),
        "windows_differing": report.windows_differing,
        "differing_windows": [_window_fields(window) for window in report.differing],
    }


def _window_fields(window: WindowReport) -> dict[str, Any]:
    return {
        "topic": window.partition.topic,
        "partition": window.partition.partition,
        "first": window.offsets.first,
        "end": window.offsets.end,
        "records": window.records,
        "tables": _tables(window.tables),
        "counts": _counts(window.counts),
        "differences": [_difference_fields(difference) for difference in window.differences],
        "unnamed": window.unnamed,
    }


def shadow_fields(result: ShadowResult) -> dict[str, Any]:
    """A replay into shadow tables, for programs."""
    diff = result.diff
    return {
        "agrees": diff.agrees,
        "records": result.records,
        "inserted": result.inserted,
        "duplicates": result.duplicates,
        "refused": dict(result.refused),
        "schema": diff.schema if result.kept else None,
        "tables": _tables(diff.tables),
        "counts": _counts(diff.counts),
        "differences": [_difference_fields(difference) for difference in diff.differences],
        "unnamed": diff.unnamed,
    }


def _tables(tables: Mapping[str, TableTally]) -> dict[str, dict[str, Any]]:
    # Checksums are text: JSON's readers may round so long a number.
    return {
        table: {
            "log_rows": tally.made,
            "log_checksum": str(tally.made_checksum),
            "table_rows": tally.stored,
            "table_checksum": str(tally.stored_checksum),
        }
        for table, tally in tables.items()
    }


def _counts(counts: Mapping[DifferenceKind, int]) -> dict[str, int]:
    return {kind.value: count for kind, count in counts.items()}


def _difference_fields(difference: Difference) -> dict[str, Any]:
    return {
        "kind": difference.kind.value,
        "table": difference.table,
        "event_id": difference.event_id and str(difference.event_id),
        "time": difference.time,
        "topic": difference.partition.topic,
        "partition": difference.partition.partition,
        "offset": difference.offset,
        "columns": list(difference.columns),
    }


def print_verified(report: VerifyReport) -> None:
    """A verification, for people."""
    if report.agrees:
        click.echo(
            f"the tables hold what the log says: {report.records:,} records in {report.windows:,} windows, "
            f"{report.rows:,} rows, {report.duplicates:,} duplicates, {report.set_aside:,} set aside"
        )
    else:
        click.echo(f"{report.windows_differing:,} of {report.windows:,} windows differ: {_in_words(report.counts)}")
        rows = [
            (f"{window.partition}", window.offsets.first, window.offsets.end, _in_words(window.counts))
            for window in report.differing[:_SHOWN_MAX]
        ]
        print_table(None, ("partition", "first offset", "end offset", "differences"), rows)
        if (more := report.windows_differing - len(rows)) > 0:
            click.echo(f"and {more:,} windows more")
        _print_differences(report.differences, report.counts)
    for state, count in report.dead_lettered.items():
        click.echo(f"{count:,} records are dead letters ({state}) that today's code would store")
    if report.not_consumed:
        click.echo(f"{report.not_consumed:,} offsets are not consumed yet, and were left out")


def print_shadow(result: ShadowResult) -> None:
    """A replay into shadow tables, for people."""
    diff = result.diff
    refused = result.refused.total()
    click.echo(f"{result.records:,} records: {result.inserted:,} rows in the shadow, {refused:,} refused")
    rows = [(table, tally.made, tally.stored) for table, tally in diff.tables.items()]
    print_table(None, ("table", "in the shadow", "live"), rows)
    if diff.agrees:
        click.echo("today's code makes of the log what is live")
    else:
        click.echo(f"today's code makes something else of the log: {_in_words(diff.counts)}")
        _print_differences(diff.differences, diff.counts)
    if result.kept:
        click.echo(
            f"the shadow tables are kept in the schema {diff.schema}; to drop them: arc-eval-db replay shadows --drop"
        )


def _in_words(counts: Mapping[DifferenceKind, int]) -> str:
    return ", ".join(f"{count:,} {kind.value.replace('_', ' ')}" for kind, count in counts.items())


def _print_differences(differences: Sequence[Difference], counts: Mapping[DifferenceKind, int]) -> None:
    # Lines, as a table would break the ids.
    for each in differences[:_SHOWN_MAX]:
        time = each.time.isoformat(timespec="milliseconds") if each.time else None
        place = f"{each.partition}" + ("" if each.offset is None else f"@{each.offset}")
        parts = (f"{each.kind}:", each.table, each.event_id, time, place, ", ".join(each.columns))
        click.echo("  " + " ".join(str(part) for part in parts if part))
    if (left := sum(counts.values()) - len(differences[:_SHOWN_MAX])) > 0:
        click.echo(f"and {left:,} more; --json names the first of them")
