"""Replays that are recorded: who ran them, how far they are, and how they are gone on with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

import orjson

from arc_eval_db.database import Session
from arc_eval_db.errors import ArcEvalError
from arc_eval_db.replay.filters import EventFilter
from arc_eval_db.replay.plan import ReplayPlan
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

    def left(self) -> dict[TopicPartition, OffsetRange]:
        """What is still to be read."""
        return {
            partition: OffsetRange(max(offsets.first, self.positions.get(partition, 0)), offsets.end)
            for partition, offsets in self.plan.plan.ranges().items()
            if self.positions.get(partition, 0) < offsets.end
        }


class JobStore:
    """The table `replay_jobs`, over one connection, which holds the lock on the job that it works on."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._queries = queries("replay")

    @property
    def is_connected(self) -> bool:
        """Whether the connection is there, and with it the lock."""
        return not self._session.is_closed

    async def create(self, plan: JobPlan, by: str) -> UUID:
        """Record a job that begins now, and take it."""
        job_id = ids.uuid7()
        await self._session.execute(
            self._queries["insert_replay_job"], job_id, by, orjson.dumps(plan.to_json()).decode()
        )
        await self.take(job_id)
        return job_id

    async def take(self, job_id: UUID) -> None:
        """Keep others from this job until the connection ends.

        Raises:
            JobError: another process is at work on it.
        """
        if not await self._session.fetch_value(self._queries["lock_replay_job"], str(job_id)):
            raise JobError(f"another process is at work on the job {job_id}; stop that one first")

    async def read(self, job_id: UUID) -> Job:
        """
        Raises:
            JobError: there is none of this id.
        """
        rows = await self._session.fetch(self._queries["read_replay_job"], job_id)
        if not rows:
            raise JobError(f"no job {job_id}; to see which there are: arc-eval-db replay jobs")
        return _job(rows[0])

    async def list(self, limit: int) -> list[Job]:
        """The newest jobs first."""
        return [_job(row) for row in await self._session.fetch(self._queries["list_replay_jobs"], limit)]

    async def resume(self, job_id: UUID) -> Job:
        """Take a job that is not done.

        Raises:
            JobError: there is none, it is done, or another process is at work on it.
        """
        job = await self.read(job_id)
        if job.status in (JobStatus.COMPLETED, JobStatus.CANCELLED):
            raise JobError(f"the job {job_id} is {job.status}; to do it once more, start a new replay")
        await self.take(job_id)
        await self._session.execute(self._queries["resume_replay_job"], job_id)
        return await self.read(job_id)

    async def note(
        self, session: Session, job_id: UUID, positions: Mapping[TopicPartition, int], counts: Mapping[str, Any]
    ) -> None:
        """Record how far a job is, in the transaction of `session` that wrote the rows up to there."""
        progress = {"positions": [[*partition, offset] for partition, offset in positions.items()], "counts": counts}
        await session.execute(self._queries["note_replay_progress"], job_id, orjson.dumps(progress).decode())

    async def end(self, job_id: UUID, status: JobStatus, counts: Mapping[str, Any], error: str | None = None) -> None:
        """Record what became of a job; one that is paused or failed can be resumed."""
        await self._session.execute(
            self._queries["end_replay_job"], job_id, status.value, orjson.dumps(dict(counts)).decode(), error
        )


def _job(row: Mapping[str, Any]) -> Job:
    progress = orjson.loads(row["progress"]) if row["progress"] else {"positions": [], "counts": {}}
    # Of a job that is not done, what was counted in the transaction of the rows is right, and nothing else.
    is_done = row["status"] == JobStatus.COMPLETED
    counts = orjson.loads(row["report"]) if is_done and row["report"] else progress["counts"]
    return Job(
        row["id"],
        row["requested_by"],
        JobPlan.from_json(orjson.loads(row["plan"])),
        JobStatus(row["status"]),
        {TopicPartition(topic, partition): offset for topic, partition, offset in progress["positions"]},
        counts,
        row["error"],
        row["created_at"],
        row["updated_at"],
    )
