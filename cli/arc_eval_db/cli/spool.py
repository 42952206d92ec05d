"""`arc-eval-db spool`: what sandboxes could not send before they ended."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from arc_eval_db.cli.main import EXIT_FOUND
from arc_eval_db.cli.running import command, json_option, kafka_settings, print_json, print_table, progress, run_async
from arc_eval_db.producers.spool_push import PushReport, SegmentState, list_segments, push, segment_paths
from arc_eval_db.producers.transports.kafka import KafkaTransport

directory_argument = click.argument(
    "directory",
    metavar="DIR",
    envvar="ARC_EVAL_SPOOL_DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)


@click.group()
def spool() -> None:
    """Send what sandboxes could not send before they ended. DIR is what was their ARC_EVAL_SPOOL_DIR."""


@spool.command(name="push")
@directory_argument
@json_option
@command
def push_directory(directory: Path, as_json: bool) -> None:
    """Send the events of processes that have ended, and delete the segments whose events are all acknowledged.

    Directories below DIR are looked into as well. Segments of living processes are left alone. Running it again is
    harmless. Exit code 3 when something could not be read or was refused by the broker: a segment with such lines or
    events is kept, under a name that ends in .damaged, and one that cannot be opened stays where it is.
    """
    count = len(segment_paths(directory))

    def say(report: PushReport) -> None:
        seen = report.segments + report.in_use + len(report.unreadable)
        progress(f"{seen} of {count} segments, {report.events:,} events")

    report = run_async(push(directory, KafkaTransport(kafka_settings()), say))
    if as_json:
        print_json(
            {
                **asdict(report),
                "unreadable": {str(path): reason for path, reason in report.unreadable.items()},
                "set_aside": [str(path) for path in report.set_aside],
            }
        )
    else:
        click.echo(_summary(report, directory))
    if report.set_aside or report.unreadable:
        raise SystemExit(EXIT_FOUND)


@spool.command(name="list")
@directory_argument
@json_option
@command
def list_directory(directory: Path, as_json: bool) -> None:
    """List the segments in DIR and below it, oldest first."""
    states = list_segments(directory)
    if as_json:
        print_json(
            [
                {
                    "segment": _name(state, directory),
                    "bytes": state.size,
                    "events": len(state.content.records),
                    "damaged_lines": state.content.damaged_lines,
                    "torn_lines": int(state.content.has_torn_tail),
                    "in_use": state.in_use,
                    "error": state.error,
                }
                for state in states
            ]
        )
    elif not states:
        click.echo(f"{directory} holds no segments")
    else:
        rows = [(_name(state, directory), state.size, len(state.content.records), _state(state)) for state in states]
        print_table(None, ("segment", "bytes", "events", "state"), rows)


def _name(state: SegmentState, directory: Path) -> str:
    return str(state.path.relative_to(directory))


def _state(state: SegmentState) -> str:
    if state.error:
        return f"unreadable: {state.error}"
    if state.in_use:
        return "in use"
    if state.content.damaged_lines:
        return f"{state.content.damaged_lines} damaged lines"
    return "torn last line" if state.content.has_torn_tail else "ok"


def _summary(report: PushReport, directory: Path) -> str:
    if not (report.segments or report.unreadable):
        if report.in_use:
            return f"nothing to send: the {report.in_use} segments in {directory} are in use"
        return f"nothing to send: {directory} holds no segments"
    lines = [f"sent {report.events:,} events of {report.segments} segments"]
    lines += [f"cannot read {path}: {reason}" for path, reason in report.unreadable.items()]
    if report.in_use:
        lines.append(f"left {report.in_use} segments alone: they are in use")
    if report.torn_lines:
        lines.append(f"{report.torn_lines} last lines were torn: their writers were killed while they wrote them")
    if report.damaged_lines:
        lines.append(f"{report.damaged_lines} lines are damaged, and what they held is lost")
    if report.refused:
        lines.append(f"{report.refused} events were refused by the broker")
    lines += [f"kept {path}" for path in report.set_aside]
    return "\n".join(lines)
