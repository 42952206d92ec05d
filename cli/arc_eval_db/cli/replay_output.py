"""What `arc-eval-db replay` shows: plans, progress, reports and jobs."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

import click

from arc_eval_db.cli.running import print_table
from arc_eval_db.replay import BackfillResult, Job, ReplayPlan, ReplayProgress

_SHOW_INTERVAL_S = 0.5


def print_plan(plan: ReplayPlan, *, err: bool = False) -> None:
    """A line for each partition: what will be read, from when to when, and what is gone."""
    rows = [
        (
            str(planned.partition),
            planned.offsets.first,
            planned.offsets.end,
            planned.records_max,
            planned.first_time and planned.first_time.strftime("%Y-%m-%d %H:%M:%S"),
            planned.last_time and planned.last_time.strftime("%Y-%m-%d %H:%M:%S"),
            planned.truncated,
        )
        for planned in plan.partitions
    ]
    columns = ("partition", "first offset", "end offset", "records", "first time (UTC)", "last time", "gone")
    print_table(None, columns, rows, err=err)
    click.echo(f"{plan.records_max:,} records at the most", err=err)


class ProgressLine:
    """How far a replay is, on standard error, where a person is watching: one line, renewed twice a second."""

    def __init__(self) -> None:
        self._is_watched = sys.stderr.isatty()
        self._shown_at = 0.0
        self._is_open = False

    def show(self, progress: ReplayProgress) -> None:
        """Show it, if it is time."""
        if self._is_watched and time.monotonic() - self._shown_at >= _SHOW_INTERVAL_S:
            self._write(progress_text(progress))

    def waiting(self, lag_s: float) -> None:
        """Say that the replay waits for the living."""
        if self._is_watched and time.monotonic() - self._shown_at >= _SHOW_INTERVAL_S:
            self._write(f"waiting: live consumption is {lag_s:.1f} s behind")

    def close(self) -> None:
        """Leave the line."""
        if self._is_open:
            click.echo("", err=True)
            self._is_open = False

    def _write(self, text: str) -> None:
        click.echo(f"\r\x1b[K{text}", nl=False, err=True)
        self._shown_at = time.monotonic()
        self._is_open = True


def progress_text(progress: ReplayProgress) -> str:
    """How far a replay is, and how long it will take.

    >>> progress_text(ReplayProgress(1_000, read=0))
    '0 of 1,000'
    """
    if not progress.records_max:
        return f"{progress.read:,} read"
    text = f"{progress.read:,} of {progress.records_max:,}"
    left = progress.seconds_left
    if left is None:
        return text
    rate = progress.read / progress.seconds if progress.seconds else 0
    return f"{text} ({progress.read / progress.records_max:.0%}), {rate:,.0f} a second, {_duration(left)} left"


def _duration(seconds: float) -> str:
    """In words that are short.

    >>> _duration(3725)
    '1 h 2 min'
    """
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def result_fields(result: BackfillResult, *, dry_run: bool) -> dict[str, Any]:
    """A replay into the database, for programs."""
    return {
        "dry_run": dry_run,
        "job": result.job_id and str(result.job_id),
        **result.report.to_json(),
        "aggregates_refreshed": result.after.refreshed,
        "aggregates_not_refreshed": result.after.not_refreshed,
        "aggregates_too_old": result.after.too_old,
        "compressed_chunks": result.after.compressed_chunks,
        "waited_s": round(result.waited_s, 1),
    }


def result_lines(result: BackfillResult, *, dry_run: bool) -> list[str]:
    """A replay into the database, for people."""
    report, after = result.report, result.after
    refused = report.refused.total()
    already = f"{report.already_there:,}"
    if dry_run:
        done = f"{report.inserted:,} would be inserted, {already} are there already, {refused:,} would be refused"
        lines = [f"dry run, nothing was changed: of {report.records:,} records {done}"]
    else:
        done = f"{report.inserted:,} inserted, {already} were there already, {refused:,} refused"
        lines = [f"{report.records:,} records: {done}"]
    lines += [f"  refused, {reason}: {count:,}" for reason, count in report.refused.most_common()]
    if not dry_run and not report.inserted:
        lines.append("no row and no aggregate has changed")
    if after.refreshed:
        lines.append(f"continuous aggregates refreshed: {', '.join(after.refreshed)}")
    if after.compressed_chunks:
        lines.append(
            f"{after.compressed_chunks:,} compressed chunks hold times of what was inserted; the compression policy "
            "compresses it when it next runs"
        )
    if after.not_refreshed:
        lines.append(
            f"not refreshed, as this login does not own them: {', '.join(after.not_refreshed)}; their policies refresh "
            "them, or let their owner run: CALL refresh_continuous_aggregate(...)"
        )
    if after.too_old:
        lines.append(
            f"not refreshed for times of which rows were dropped since: {', '.join(after.too_old)}; "
            "they keep what they had"
        )
    return lines


def job_fields(job: Job) -> dict[str, Any]:
    """A job, for programs."""
    return {
        "id": str(job.id),
        "status": job.status.value,
        "target": job.plan.target,
        "requested_by": job.requested_by,
        "created_at": job.created_at,
        "updated_at": job.updated_at,
        "records_max": job.plan.plan.records_max,
        "left": sum(offsets.end - offsets.first for offsets in job.left().values()),
        "counts": dict(job.counts),
        "error": job.error,
    }


def print_jobs(jobs: Sequence[Job]) -> None:
    """Jobs, for people."""
    rows = [
        (
            str(job.id),
            job.status.value,
            job.plan.target,
            job.requested_by,
            job.created_at.strftime("%Y-%m-%d %H:%M:%S"),
            job.plan.plan.records_max,
            sum(offsets.end - offsets.first for offsets in job.left().values()),
            job.error,
        )
        for job in jobs
    ]
    print_table(None, ("job", "status", "to", "by", "begun (UTC)", "records", "left", "error"), rows)
