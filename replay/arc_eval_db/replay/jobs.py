"""Replays that are recorded: who ran them, how far they are, and how they are gone on with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

import orjson

from arc_eval_db.database import BatchTooLargeError, Session, TransactionConflictError
from arc_eval_db.errors import ArcEvalError
from arc_eval_db.replay.filters import EventFilter
from arc_eval_db.replay.plan import ReplayPlan
from arc_eval_db.replay.sessions import RenewedSession
from arc_eval_db.schemas import ids
from arc_eval_db.sql import queries
from arc_eval_db.writer import OffsetRange, TopicPartition


class JobError(ArcEvalError):
    """A job that does not exist, is done, or is at work elsewhere."""


class JobStatus(StrEnum):
    """What became of a job."""

    RUNNING = "running"
    """At work, or killed: resuming it says which."""
    PAUSED = "paused"
    """Interrupted by a person."""
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class JobPlan:
    """All that is needed to go on with a replay in another process."""

    target: str
    """"database" or "topic"."""
    plan: ReplayPlan
    filter: EventFilter
    topic: str | None = None
    """The target topic."""

    def to_json(self) -> dict[str, Any]:
        """`from_json` takes it back."""
        return {
            "target": self.target,
            "topic": self.topic,
            "filter": self.filter.to_json(),
            "partitions": self.plan.to_json(),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """What `to_json` made."""
        return cls(
            document["target"],
            ReplayPlan.from_json(document["partitions"]),
            EventFilter.from_json(document["filter"]),
            document["topic"],
        )


@dataclass(frozen=True, slots=True)
class Job:
    """A recorded replay."""

    id: UUID
    requested_by: str
    plan: JobPlan
    status: JobStatus
    positions: Mapping[TopicPartition, int]
    """The next offset of each partition that was begun."""
    counts: Mapping[str, Any]
    """What was counted so far, or in the end."""
    error: str | None
    created_at: datetime
    updated_at: datetime
    run: str | None
    """Which run of it has begun last."""

    def left(self) -> dict[TopicPartition, OffsetRange]:
        """What is still to be read."""
        return {
            partition: OffsetRange(max(offsets.first, self.positions.get(partition, 0)), offsets.end)
            for partition, offsets in self.plan.plan.ranges().items()
            if self.positions.get(partition, 0) < offsets.end
        }


class JobStore:
    """The table `replay_jobs`, over one connection."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def read(self, job_id: UUID) -> Job:
        """
        Raises:
            JobError: there is none of this id.
        """
        rows = await self._session.fetch(queries("replay")["read_replay_job"], job_id)
        if not rows:
            raise JobError(f"no job {job_id}; to see which there are: arc-eval-db replay jobs")
        return _job(rows[0])

    async def list(self, limit: int) -> list[Job]:
        """The newest jobs first."""
        return [_job(row) for row in await self._session.fetch(queries("replay")["list_replay_jobs"], limit)]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is."""

    positions: Mapping[TopicPartition, int]
    counts: Mapping[str, Any]


class HeldJob:
    """A job that this process works on.

    Who holds it stands in the job's row, and each batch is numbered there, in the transaction of the batch's rows. So
    another process that has taken the job over keeps this one from writing anything more, and a batch whose commit was
    not answered is seen to be there when it is written again. A lock on the connection says who is at work to those who
    ask before; it is lost with the connection, and is no more than that.
    """

    def __init__(self, job_id: UUID, run: UUID, batches: int) -> None:
        """Use `create` or `resume`."""
        self.id = job_id
        self._run = run
        self._batches = batches
        self._queries = queries("replay")

    @classmethod
    async def create(cls, session: RenewedSession, plan: JobPlan, by: str) -> Self:
        """Record a job that begins now, and hold it."""
        held = cls(ids.uuid7(), ids.uuid7(), 0)
        progress = held._progress(0, Progress({}, {}))

        async def insert(connection: Session) -> None:
            plan_text = orjson.dumps(plan.to_json()).decode()
            await connection.execute(held._queries["insert_replay_job"], held.id, by, plan_text, progress)
            await held._lock_if_free(connection)

        await session.run(insert)
        session.on_connect(held._lock_if_free)
        return held

    @classmethod
    async def resume(cls, session: RenewedSession, job_id: UUID) -> Self:
        """Hold a job that is not done.

        Raises:
            JobError: there is none, it is done, or another process is at work on it.
        """
        held = cls(job_id, ids.uuid7(), 0)

        async def take(connection: Session) -> None:
            job = await JobStore(connection).read(job_id)
            # Where the answer was lost, the server may still hold the lock for the connection that it was lost with.
            if job.run != str(held._run):
                await held._lock(connection)
            run = orjson.dumps(str(held._run)).decode()
            batches = await connection.fetch_value(held._queries["resume_replay_job"], job_id, run)
            if batches is None:
                status = (await JobStore(connection).read(job_id)).status
                raise JobError(f"the job {job_id} is {status}; to do it once more, start a new replay")
            held._batches = batches

        await session.run(take)
        session.on_connect(held._lock_if_free)
        return held

    async def _lock(self, session: Session) -> None:
        if not await session.fetch_value(self._queries["lock_replay_job"], str(self.id)):
            raise JobError(f"another process is at work on the job {self.id}; stop that one first")

    async def _lock_if_free(self, session: Session) -> None:
        # The server may still hold it for the connection that was lost.
        await session.fetch_value(self._queries["lock_replay_job"], str(self.id))

    async def noted(self, session: Session) -> Progress | None:
        """Whether the batch that comes next is committed already, and how far the job was with it.

        The first thing in the batch's transaction. The row stays locked until its end, and an earlier attempt that the
        server may still be at work on is waited for.

        Raises:
            JobError: another process has taken the job over.
        """
        try:
            text = await session.fetch_value(self._queries["lock_replay_progress"], self.id)
        except BatchTooLargeError as error:
            # The batch has nothing to do with it; in halves, one that is committed already would be counted again.
            raise TransactionConflictError(f"waiting for the job's row: {error}") from error
        progress = orjson.loads(text) if text else {}
        if progress.get("run") != str(self._run):
            raise JobError(f"another process has taken over the job {self.id}, and goes on with it")
        if progress["batches"] == self._batches:
            return None
        return _read_progress(progress)

    async def note(self, session: Session, progress: Progress) -> None:
        """Record how far the job is, in the transaction of `session` that wrote the rows up to there."""
        await session.execute(
            self._queries["note_replay_progress"], self.id, self._progress(self._batches + 1, progress)
        )

    def advance(self) -> None:
        """The batch is committed."""
        self._batches += 1

    async def end(
        self, session: Session, status: JobStatus, counts: Mapping[str, Any], error: str | None = None
    ) -> None:
        """Record what became of the job, if nobody has taken it over; one that is paused or failed can be resumed."""
        report = orjson.dumps(dict(counts)).decode()
        await session.execute(self._queries["end_replay_job"], self.id, status.value, report, error, str(self._run))

    def _progress(self, batches: int, progress: Progress) -> str:
        positions = [[*partition, offset] for partition, offset in progress.positions.items()]
        document = {"run": str(self._run), "batches": batches, "positions": positions, "counts": progress.counts}
        return orjson.dumps(document).decode()


def _read_progress(document: Mapping[str, Any]) -> Progress:
    return Progress(
        {TopicPartition(topic, partition): offset for topic, partition, offset in document["positions"]},
        document["counts"],
    )


def _job(row: Mapping[str, Any]) -> Job:
    document = orjson.loads(row["progress"]) if row["progress"] else {"positions": [], "counts": {}}
    progress = _read_progress(document)
    # Of a job that is not done, what was counted in the transaction of the rows is right, and nothing else.
    is_done = row["status"] == JobStatus.COMPLETED
    counts = orjson.loads(row["report"]) if is_done and row["report"] else progress.counts
    return Job(
        row["id"],
        row["requested_by"],
        JobPlan.from_json(orjson.loads(row["plan"])),
        JobStatus(row["status"]),
        progress.positions,
        counts,
        row["error"],
        row["created_at"],
        row["updated_at"],
        document.get("run"),
    )
