"""What only TimescaleDB has: chunks, compression, jobs, continuous aggregates."""

from __future__ import annotations

from arc_eval_db.health.check import Check, Context, Judgement, Need, Rows, grade, in_time
from arc_eval_db.health.report import State

_RATIO_BYTES_MIN = 64 * 1024**2
"""Of less than that a compressed chunk is mostly its own overhead."""

_REFRESH = "SELECT alter_job({job_id}, scheduled => true, next_start => now())"


def judge_chunks(rows: Rows, context: Context) -> Judgement:
    """Chunks that begin further ahead than an event may be."""
    (row,) = rows
    if not row["chunks"]:
        return Judgement(State.OK, 0.0, "there is no chunk yet")
    settings = context.settings
    state = grade(row["future"], settings.chunks_warn_future, settings.chunks_critical_future)
    found = f"{row['chunks']:,} chunks, {row['future']:,} in the future; the newest begins {row['newest_at']:%Y-%m-%d}"
    return Judgement(state, row["future"], found if state is State.OK else f"{found}, of {row['relation']}")


def judge_compression(rows: Rows, context: Context) -> Judgement:
    """Chunks that should have been compressed, and how well the others are."""
    (row,) = rows
    settings = context.settings
    state = grade(row["overdue"], settings.compression_warn_chunks, settings.compression_critical_chunks)
    found = f"{row['compressed']:,} chunks are compressed, {row['overdue']:,} are overdue"
    if row["oldest_s"] is not None and row["overdue"]:
        found += f", the oldest by its age of {in_time(row['oldest_s'])}"
    before = row["before_bytes"] or 0
    if before:
        share = row["after_bytes"] / before
        found += f"; to {share:.2f} of their size"
        if before >= _RATIO_BYTES_MIN and share >= settings.compression_warn_share and state is State.OK:
            return Judgement(
                State.WARN, row["overdue"], found, "docs/storage.md: is segmentby still what suits the rows?"
            )
    return Judgement(state, row["overdue"], found)


def judge_jobs(rows: Rows, context: Context) -> Judgement:
    """Those whose last run failed, and those that are paused."""
    (row,) = rows
    settings = context.settings
    state = grade(row["failed"], settings.jobs_warn_failed, settings.jobs_critical_failed)
    if row["failed"]:
        one = f"{row['job_id']} ({row['procedure']})"
        found = f"{row['failed']} of {row['jobs']} jobs failed when they last ran, one is {one}"
        return Judgement(state, row["failed"], found)
    if row["paused"]:
        found = f"{row['paused']} of {row['jobs']} jobs are paused"
        return Judgement(
            State.WARN, 0.0, found, "SELECT alter_job(job_id, scheduled => true); arc-eval-db migrate verify"
        )
    return Judgement(state, 0.0, f"{row['jobs']} jobs, none failed")


def judge_aggregates(rows: Rows, context: Context) -> Judgement:
    """The one that is furthest behind."""
    if not rows:
        return Judgement(State.WARN, None, "there is no continuous aggregate", "arc-eval-db migrate verify")
    (row,) = rows
    behind = row["behind_s"] or 0.0
    state = grade(behind, context.settings.aggregate_warn_s, context.settings.aggregate_critical_s)
    if state is State.OK:
        return Judgement(state, behind, "every continuous aggregate is up to date")
    found = f"{row['aggregate']} is {in_time(behind)} behind"
    if row["job_id"] is None:
        return Judgement(state, behind, f"{found}, and has no policy that refreshes it", "arc-eval-db migrate verify")
    # Not refresh_continuous_aggregate: beyond where the policy begins rows are gone, and it would empty the aggregate.
    return Judgement(state, behind, found, _REFRESH.format(job_id=row["job_id"]))


CHUNKS = Check(
    name="chunks",
    looks_at="chunks that begin more than a day ahead: some clock was wrong",
    unit="chunks",
    judge=judge_chunks,
    next_step="SELECT show_chunks(relation, newer_than => now() + INTERVAL '1 day'), and whose rows these are",
    limits=("chunks_warn_future", "chunks_critical_future", "chunks_ahead_s"),
    query="chunks",
    arguments=lambda context: (context.settings.chunks_ahead_s,),
    needs=Need.TIMESCALEDB,
)

COMPRESSION = Check(
    name="compression",
    looks_at="chunks older than their policy compresses them at, and a day; in words how small the others became",
    unit="chunks",
    judge=judge_compression,
    next_step="SELECT * FROM timescaledb_information.job_errors; then CALL run_job(job_id)",
    limits=(
        "compression_warn_chunks",
        "compression_critical_chunks",
        "compression_grace_s",
        "compression_warn_share",
    ),
    query="compression",
    arguments=lambda context: (context.settings.compression_grace_s,),
    needs=Need.TIMESCALEDB,
)

JOBS = Check(
    name="jobs",
    looks_at="jobs whose last run failed; paused ones are a warning too",
    unit="jobs",
    judge=judge_jobs,
    next_step="SELECT * FROM timescaledb_information.job_errors; then CALL run_job(job_id)",
    limits=("jobs_warn_failed", "jobs_critical_failed"),
    query="jobs",
    needs=Need.TIMESCALEDB,
)

AGGREGATES = Check(
    name="aggregates",
    looks_at="how far the last of the continuous aggregates is behind what it is computed from, to a chunk's length",
    unit="s",
    judge=judge_aggregates,
    next_step=_REFRESH.format(job_id="job_id"),
    limits=("aggregate_warn_s", "aggregate_critical_s"),
    query="aggregates",
    needs=Need.TIMESCALEDB,
)
