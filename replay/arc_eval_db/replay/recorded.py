"""Replays that are jobs: into the database, and into another topic. They are recorded, and can be gone on with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from arc_eval_db.consumers.dead_letter_limit import DeadLetterLimit
from arc_eval_db.consumers.handler import ExecutionEventHandler
from arc_eval_db.consumers.kafka import LogReader, LogWriter
from arc_eval_db.consumers.settings import ConsumerSettings
from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.errors import ArcEvalError
from arc_eval_db.replay.aggregates import AfterBackfill, settle
from arc_eval_db.replay.backfill import Backfill, BackfillReport
from arc_eval_db.replay.filters import EventFilter
from arc_eval_db.replay.jobs import Job, JobPlan, JobStatus, JobStore
from arc_eval_db.replay.pacing import LagGate, Rate
from arc_eval_db.replay.plan import ReplayPlan
from arc_eval_db.replay.reading import CLIENT_ID, open_log
from arc_eval_db.replay.runner import BATCH_RECORDS_MAX, Pace, ReplayBatch, ReplayProgress, batches_of_log, run_replay
from arc_eval_db.replay.targets import APPLICATION_NAME, DatabaseTarget, TopicTarget
from arc_eval_db.schemas.topics import TopicNames
from arc_eval_db.settings import KafkaSettings

# A refresh of a month, and a look at a large table, take longer than a worker's statement may.
_PATIENT_S = 3600.0


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
        NobodyToYieldToError: the group to yield to has never consumed.
        DeadLetterLimitError: too many records would become dead letters.
        RetryableError: Kafka or the database was away for too long. Resume the job.
        FatalError: the schema does not fit, or a right is missing.
    """
    async with AsyncExitStack() as stack:
        if options.dry_run:
            job, jobs = None, None
            plan_left, chosen = plan.ranges(), chosen or EventFilter()
        else:
            job, jobs = await _job(stack, database, JobPlan("database", plan, chosen or EventFilter()), options, resume)
            plan_left, chosen = job.left(), job.plan.filter
        backfill = _backfill(kafka, options, job, jobs)
        async with _recorded(job, jobs, database, lambda: backfill.report.to_json()):  # noqa: PLW0108 - it is another one by then
            reader = await stack.enter_async_context(open_log(kafka))
            target = await stack.enter_async_context(DatabaseTarget(database, backfill))
            paces, gate = await _paces(stack, kafka, database, options)
            batches = batches_of_log(reader, plan_left, chosen, options.batch_records_max)
            await _run(batches, target, plan_left, options, paces)
            after = await _settle(database, backfill, options)
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
    backfill = _backfill(kafka, options, None, None)
    paces = options.paces()
    async with DatabaseTarget(database, backfill) as target:
        await run_replay(batches, target, progress=ReplayProgress(0), on_progress=options.on_progress, paces=paces)
    return BackfillResult(backfill.report, after=await _settle(database, backfill, options))


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
        wanted = JobPlan("topic", plan, chosen or EventFilter(), topic)
        job, jobs = await _job(stack, database, wanted, options, resume)
        topic = job.plan.topic or topic
        counts: dict[str, Any] = dict(job.counts)
        async with _recorded(job, jobs, database, lambda: counts):
            reader: LogReader = await stack.enter_async_context(open_log(kafka))
            writer = await stack.enter_async_context(LogWriter(kafka, topic, client_id=CLIENT_ID))
            session = await stack.enter_async_context(
                await Session.connect(database, application_name=APPLICATION_NAME)
            )
            target = TopicTarget(writer, session, jobs, job)
            paces, _ = await _paces(stack, kafka, database, options)
            batches = batches_of_log(reader, job.left(), job.plan.filter, options.batch_records_max)
            await _run(batches, target, job.left(), options, paces)
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


def _backfill(kafka: KafkaSettings, options: ReplayOptions, job: Job | None, jobs: JobStore | None) -> Backfill:
    limits = ConsumerSettings.load()
    return Backfill(
        ExecutionEventHandler(TopicNames(kafka.topic_prefix)),
        DeadLetterLimit(limits.dead_letter_share_max, limits.dead_letter_window_records),
        jobs=jobs,
        job_id=job.id if job else None,
        report=BackfillReport.from_json(job.counts) if job else None,
        positions=job.positions if job else None,
        dry_run=options.dry_run,
    )


async def _job(
    stack: AsyncExitStack, database: DatabaseSettings, plan: JobPlan, options: ReplayOptions, resume: UUID | None
) -> tuple[Job, JobStore]:
    session = await stack.enter_async_context(await Session.connect(database, application_name=APPLICATION_NAME))
    jobs = JobStore(session)
    job_id = resume or await jobs.create(plan, options.by)
    job = await jobs.resume(job_id) if resume else await jobs.read(job_id)
    if resume and job.plan.target != plan.target:
        raise ArcEvalError(f"the job {job_id} is a replay to {job.plan.target}")
    options.on_job(job.id)
    return job, jobs


@asynccontextmanager
async def _recorded(
    job: Job | None, jobs: JobStore | None, database: DatabaseSettings, counts: Callable[[], dict[str, Any]]
) -> AsyncIterator[None]:
    """Write down what became of a job: done, interrupted by a person, or failed."""
    if job is None or jobs is None:
        yield
        return
    try:
        yield
    except asyncio.CancelledError:
        await asyncio.shield(_end(jobs, job.id, database, JobStatus.PAUSED, counts()))
        raise
    except BaseException as error:
        # What an error of ours says holds no secret; another's may.
        said = str(error) if isinstance(error, ArcEvalError) else type(error).__name__
        await asyncio.shield(_end(jobs, job.id, database, JobStatus.FAILED, counts(), said))
        raise
    await _end(jobs, job.id, database, JobStatus.COMPLETED, counts())


async def _end(
    jobs: JobStore,
    job_id: UUID,
    database: DatabaseSettings,
    status: JobStatus,
    counts: dict[str, Any],
    error: str | None = None,
) -> None:
    if not jobs.is_connected:
        async with await Session.connect(database, application_name=APPLICATION_NAME) as session:
            await JobStore(session).end(job_id, status, counts, error)
        return
    await jobs.end(job_id, status, counts, error)


async def _paces(
    stack: AsyncExitStack, kafka: KafkaSettings, database: DatabaseSettings, options: ReplayOptions
) -> tuple[list[Pace], LagGate | None]:
    paces = options.paces()
    gate = None
    if options.lag_s_max is not None:
        gate = LagGate(
            await stack.enter_async_context(LogReader(kafka, client_id=f"{CLIENT_ID}-lag")),
            await stack.enter_async_context(await Session.connect(database, application_name=APPLICATION_NAME)),
            options.group,
            TopicNames(kafka.topic_prefix).all,
            options.lag_s_max,
            options.on_wait,
        )
        await gate.wait()
        paces.append(gate)
    return paces, gate


async def _run(
    batches: AsyncIterator[ReplayBatch], target: Any, left: Any, options: ReplayOptions, paces: list[Pace]
) -> None:
    progress = ReplayProgress(sum(offsets.end - offsets.first for offsets in left.values()))
    await run_replay(batches, target, progress=progress, on_progress=options.on_progress, paces=paces)


async def _settle(database: DatabaseSettings, backfill: Backfill, options: ReplayOptions) -> AfterBackfill:
    if options.dry_run:
        return AfterBackfill()
    patient = database.model_copy(
        update={"database_command_timeout_s": _PATIENT_S, "database_statement_timeout_ms": int(_PATIENT_S * 1000)}
    )
    report = backfill.report
    async with await Session.connect(patient, application_name=APPLICATION_NAME) as session:
        return await settle(session, report.tables, report.first_time, report.last_time)
