"""Replays that are jobs: into the database, and into another topic. They are recorded, and can be gone on with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import structlog

from arc_eval_db.consumers.dead_letter_limit import DeadLetterLimit
from arc_eval_db.consumers.handler import ExecutionEventHandler
from arc_eval_db.consumers.kafka import LogReader, LogWriter
from arc_eval_db.consumers.settings import ConsumerSettings
from arc_eval_db.database import DatabaseSettings
from arc_eval_db.errors import ArcEvalError
from arc_eval_db.migrations import require_current_schema
from arc_eval_db.replay.aggregates import AfterBackfill, settle
from arc_eval_db.replay.backfill import Backfill, BackfillReport
from arc_eval_db.replay.filters import EventFilter
from arc_eval_db.replay.jobs import HeldJob, Job, JobError, JobPlan, JobStatus, JobStore, Progress
from arc_eval_db.replay.pacing import LagGate, Rate
from arc_eval_db.replay.plan import PlanError, ReplayPlan
from arc_eval_db.replay.reading import CLIENT_ID, open_log
from arc_eval_db.replay.runner import (
    BATCH_RECORDS_MAX,
    Pace,
    ReplayBatch,
    ReplayProgress,
    ReplayTarget,
    batches_of_log,
    run_replay,
)
from arc_eval_db.replay.sessions import LAST_WORD, RenewedSession, patient
from arc_eval_db.replay.targets import DatabaseTarget, TopicTarget
from arc_eval_db.retries import RetryPolicy
from arc_eval_db.schemas.topics import TopicNames
from arc_eval_db.settings import KafkaSettings
from arc_eval_db.writer import OffsetRange, TopicPartition

log: structlog.stdlib.BoundLogger = structlog.get_logger("arc_eval_db.replay")

# A refresh of a month takes longer than a worker's statement may.
_STATEMENT_S = 3600.0
_REFRESHING = RetryPolicy(attempts_max=10, deadline_s=4 * _STATEMENT_S, backoff_s_min=1.0, backoff_s_max=60.0)


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """How a replay goes about it.

    Raises:
        ValueError: an option is out of range.
    """

    by: str
    """Who does this, for the record."""
    dry_run: bool = False
    """Take every transaction back; the report says what would be. Nothing is recorded."""
    records_per_s: float | None = None
    """No more than so many, if given."""
    lag_s_max: float | None = None
    """Wait while `group` is further behind than this, if given."""
    group: str = "arc-eval-db"
    allow_truncated: bool = False
    """Read what is left where retention takes some of it in the meantime."""
    on_job: Callable[[UUID], None] = lambda _: None
    """Called with the job's id as soon as it is recorded."""
    on_progress: Callable[[ReplayProgress], None] = lambda _: None
    """Called after each batch."""
    on_wait: Callable[[float], None] = lambda _: None
    """Called with the lag, in seconds, while the replay waits for the group."""

    def __post_init__(self) -> None:
        if self.records_per_s is not None and self.records_per_s <= 0:
            raise ValueError("records_per_s must be above 0")
        if self.lag_s_max is not None and self.lag_s_max < 0:
            raise ValueError("lag_s_max must be 0 or more")

    def paces(self) -> list[Pace]:
        """What to wait for before each batch, but for the living."""
        return [] if self.records_per_s is None else [Rate(self.records_per_s)]

    @property
    def batch_records_max(self) -> int:
        """A batch holds no more than a second's records."""
        if self.records_per_s is None:
            return BATCH_RECORDS_MAX
        return max(1, min(BATCH_RECORDS_MAX, int(self.records_per_s)))


@dataclass(slots=True)
class BackfillResult:
    """What a replay into the database came to."""

    report: BackfillReport
    job_id: UUID | None = None
    """None: it was a dry run, or from a file."""
    after: AfterBackfill = field(default_factory=AfterBackfill)
    waited_s: float = 0.0
    """For the living."""


async def replay_into_database(
    kafka: KafkaSettings,
    database: DatabaseSettings,
    plan: ReplayPlan,
    options: ReplayOptions,
    chosen: EventFilter | None = None,
    *,
    resume: UUID | None = None,
) -> BackfillResult:
    """Write what a plan's records become today into the database; what is there already stays as it is.

    Args:
        resume: the job to go on with, whose plan and filter are taken instead.

    Raises:
        JobError: there is no such job, it is done, or another process is at work on it.
        PlanError: retention has taken some of what was planned.
        NobodyToYieldToError: the group to yield to has never consumed.
        DeadLetterLimitError: too many records would become dead letters.
        RetryableError: Kafka or the database was away for too long. Resume the job.
        FatalError: the schema does not fit, or a right is missing.
    """
    handler, limit = _handling(kafka)
    async with AsyncExitStack() as stack:
        session = await _session(stack, database)
        await require_current_schema(await session.connected())
        if options.dry_run:
            job, held, left, chosen = None, None, plan.ranges(), chosen or EventFilter()
            backfill = Backfill(handler, limit, dry_run=True)
        else:
            wanted = JobPlan("database", plan, chosen or EventFilter())
            job, held = await _job(session, wanted, options, resume)
            left, chosen = job.left(), job.plan.filter
            done = BackfillReport.from_json(job.counts)
            backfill = Backfill(handler, limit, job=held, report=done, positions=job.positions)
        async with _recorded(held, session, lambda: backfill.report.to_json()):  # noqa: PLW0108 - it is another one by then
            reader = await stack.enter_async_context(open_log(kafka))
            left = await _still_there(reader, left, allow_truncated=options.allow_truncated)
            paces, gate = await _paces(stack, kafka, database, options)
            batches = batches_of_log(reader, left, chosen, options.batch_records_max)
            target = DatabaseTarget(session, backfill)
            await _run(batches, target, left, options, paces, target.prepare)
            after = await _settle(stack, database, backfill, options)
        return BackfillResult(
            backfill.report, job.id if job else None, after, gate.waited_s if gate is not None else 0.0
        )


async def replay_file_into_database(
    kafka: KafkaSettings,
    database: DatabaseSettings,
    batches: AsyncIterator[ReplayBatch],
    options: ReplayOptions,
) -> BackfillResult:
    """Write what a file's records become today into the database; see `replay_into_database`.

    Nothing is recorded: repeating it does no harm.
    """
    backfill = Backfill(*_handling(kafka), dry_run=options.dry_run)
    async with AsyncExitStack() as stack:
        session = await _session(stack, database)
        await require_current_schema(await session.connected())
        target = DatabaseTarget(session, backfill)
        paces = options.paces()
        await run_replay(
            batches,
            target,
            progress=ReplayProgress(0),
            on_progress=options.on_progress,
            paces=paces,
            prepare=target.prepare,
        )
        return BackfillResult(backfill.report, after=await _settle(stack, database, backfill, options))


async def replay_into_topic(
    kafka: KafkaSettings,
    database: DatabaseSettings,
    topic: str,
    plan: ReplayPlan,
    options: ReplayOptions,
    chosen: EventFilter | None = None,
    *,
    resume: UUID | None = None,
) -> tuple[int, UUID]:
    """Append a plan's records to another topic, as they are but for one header; returns how many, and the job's id.

    Raises:
        ArcEvalError: the topic is one that is read, or one of this project's.
    """
    if resume is None:
        _check_target_topic(kafka, topic, plan)
    async with AsyncExitStack() as stack:
        session = await _session(stack, database)
        wanted = JobPlan("topic", plan, chosen or EventFilter(), topic)
        job, held = await _job(session, wanted, options, resume)
        topic = job.plan.topic or topic
        counts: dict[str, Any] = dict(job.counts)
        async with _recorded(held, session, lambda: counts):
            reader: LogReader = await stack.enter_async_context(open_log(kafka))
            left = await _still_there(reader, job.left(), allow_truncated=options.allow_truncated)
            writer = await stack.enter_async_context(LogWriter(kafka, topic, client_id=CLIENT_ID))
            target = TopicTarget(writer, session, held, Progress(job.positions, job.counts))
            paces, _ = await _paces(stack, kafka, database, options)
            batches = batches_of_log(reader, left, job.plan.filter, options.batch_records_max)
            await _run(batches, target, left, options, paces)
            counts["appended"] = target.appended
        return target.appended, job.id


def _check_target_topic(kafka: KafkaSettings, topic: str, plan: ReplayPlan) -> None:
    if topic in {planned.partition.topic for planned in plan.partitions}:
        raise ArcEvalError(f"{topic} is what is read: a replay into it would read what it writes; name another topic")
    if topic in TopicNames(kafka.topic_prefix).all:
        raise ArcEvalError(
            f"{topic} is a topic of live events: what is replayed into it would be consumed again; name another topic, "
            "or write into the database with --to database"
        )


def _handling(kafka: KafkaSettings) -> tuple[ExecutionEventHandler, DeadLetterLimit]:
    limits = ConsumerSettings.load()
    return (
        ExecutionEventHandler(TopicNames(kafka.topic_prefix)),
        DeadLetterLimit(limits.dead_letter_share_max, limits.dead_letter_window_records),
    )


async def _session(stack: AsyncExitStack, database: DatabaseSettings) -> RenewedSession:
    return await stack.enter_async_context(RenewedSession(database))


async def _job(
    session: RenewedSession, plan: JobPlan, options: ReplayOptions, resume: UUID | None
) -> tuple[Job, HeldJob]:
    if resume is None:
        held = await HeldJob.create(session, plan, options.by)
    else:
        target = (await session.run(lambda connection: JobStore(connection).read(resume))).plan.target
        if target != plan.target:
            raise JobError(f"the job {resume} is a replay to {target}; to go on with it: arc-eval-db replay resume")
        held = await HeldJob.resume(session, resume)
    async with _recorded_if_it_fails(held, session, dict):
        job = await session.run(lambda connection: JobStore(connection).read(held.id))
        options.on_job(job.id)
    return job, held


@asynccontextmanager
async def _recorded(
    held: HeldJob | None, session: RenewedSession, counts: Callable[[], dict[str, Any]]
) -> AsyncIterator[None]:
    """Write down what became of a job: done, interrupted by a person, or failed."""
    if held is None:
        yield
        return

    async with _recorded_if_it_fails(held, session, counts):
        yield
    await session.run(lambda connection: held.end(connection, JobStatus.COMPLETED, counts()))


@asynccontextmanager
async def _recorded_if_it_fails(
    held: HeldJob, session: RenewedSession, counts: Callable[[], dict[str, Any]]
) -> AsyncIterator[None]:
    async def end(status: JobStatus, error: str | None = None) -> None:
        """The error that ended the replay is the one to be raised."""
        last_word = session.run(lambda connection: held.end(connection, status, counts(), error), LAST_WORD)
        try:
            await asyncio.shield(last_word)
        except ArcEvalError as cause:
            log.warning("job_end_not_recorded", job_id=str(held.id), status=status.value, cause=type(cause).__name__)

    try:
        yield
    except asyncio.CancelledError:
        await end(JobStatus.PAUSED)
        raise
    except BaseException as error:
        # What an error of ours says holds no secret; another's may.
        await end(JobStatus.FAILED, str(error) if isinstance(error, ArcEvalError) else type(error).__name__)
        raise


async def _still_there(
    reader: LogReader, left: Mapping[TopicPartition, OffsetRange], *, allow_truncated: bool
) -> dict[TopicPartition, OffsetRange]:
    """What is left to read, without what retention has taken since it was planned.

    Raises:
        PlanError: it has taken some, and that is not allowed.
    """
    bounds = await reader.bounds(list(left))
    found = {}
    for partition, offsets in left.items():
        first = min(max(offsets.first, bounds[partition].start), offsets.end)
        if (gone := first - offsets.first) and not allow_truncated:
            raise PlanError(
                f"{partition} begins at {bounds[partition].start}: {gone:,} offsets that were planned are gone "
                "(retention). To go on with what is left, add --allow-truncated"
            )
        if gone:
            log.warning("truncated_log", partition=str(partition), planned=offsets.first, begins=first, offsets=gone)
        found[partition] = OffsetRange(first, offsets.end)
    return found


async def _paces(
    stack: AsyncExitStack, kafka: KafkaSettings, database: DatabaseSettings, options: ReplayOptions
) -> tuple[list[Pace], LagGate | None]:
    paces = options.paces()
    gate = None
    if options.lag_s_max is not None:
        gate = LagGate(
            await stack.enter_async_context(LogReader(kafka, client_id=f"{CLIENT_ID}-lag")),
            await _session(stack, database),
            options.group,
            TopicNames(kafka.topic_prefix).all,
            options.lag_s_max,
            options.on_wait,
        )
        await gate.wait()
        paces.append(gate)
    return paces, gate


async def _run(
    batches: AsyncIterator[ReplayBatch],
    target: ReplayTarget,
    left: Mapping[TopicPartition, OffsetRange],
    options: ReplayOptions,
    paces: list[Pace],
    prepare: Callable[[ReplayBatch], Awaitable[None]] | None = None,
) -> None:
    progress = ReplayProgress(sum(offsets.end - offsets.first for offsets in left.values()))
    await run_replay(batches, target, progress=progress, on_progress=options.on_progress, paces=paces, prepare=prepare)


async def _settle(
    stack: AsyncExitStack, database: DatabaseSettings, backfill: Backfill, options: ReplayOptions
) -> AfterBackfill:
    if options.dry_run:
        return AfterBackfill()
    report = backfill.report
    session = await _session(stack, patient(database, _STATEMENT_S))
    return await session.run(
        lambda connection: settle(connection, report.tables, report.first_time, report.last_time), _REFRESHING
    )
