"""Where replayed records go: the database, another topic, a file."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import structlog

from arc_eval_db.consumers.kafka import LogWriter
from arc_eval_db.consumers.records import LogRecord
from arc_eval_db.database import BatchTooLargeError, DatabaseSettings, Session
from arc_eval_db.errors import RetryableError
from arc_eval_db.migrations import require_current_schema
from arc_eval_db.replay.backfill import Backfill
from arc_eval_db.replay.jobs import Job, JobStore
from arc_eval_db.replay.reading import RecordFileError, open_records
from arc_eval_db.replay.record_format import to_line
from arc_eval_db.replay.runner import ReplayBatch
from arc_eval_db.retries import RetryPolicy, retry
from arc_eval_db.writer import TopicPartition

APPLICATION_NAME = "arc-eval-db replay"
ORIGIN_HEADER = "arc_eval_replayed_from"
"""Of a record that was replayed into a topic: where it came from, as `topic/partition@offset`."""

# Longer than a database takes to restart or to fail over; after that the job can be resumed.
_PATIENCE = RetryPolicy(attempts_max=1_000, deadline_s=300.0, backoff_s_min=0.25, backoff_s_max=10.0)

log: structlog.stdlib.BoundLogger = structlog.get_logger("arc_eval_db.replay")


class DatabaseTarget:
    """Writes batches over a connection of its own, and over another when that one is lost. Use with `async with`.

    A database that is away for a while is waited for, five minutes at the most.
    """

    def __init__(self, settings: DatabaseSettings, backfill: Backfill, patience: RetryPolicy = _PATIENCE) -> None:
        self._settings = settings
        self._backfill = backfill
        self._patience = patience
        self._session: Session | None = None

    async def __aenter__(self) -> Self:
        await require_current_schema(await self._connected())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def take(self, batch: ReplayBatch) -> None:
        """Write a batch and commit it.

        Raises:
            DeadLetterLimitError: too many would be dead letters.
            RetryableError: the database was away for too long; whatever was committed stays.
            FatalError: the schema does not fit, or a right is missing.
        """
        await self._write(batch.records, batch.positions)

    async def _write(self, records: Sequence[LogRecord], positions: dict[TopicPartition, int]) -> None:
        # What is too much for the server is not tried again as it is, but in halves.
        too_large: BatchTooLargeError | None = None

        async def attempt() -> None:
            nonlocal too_large
            session = await self._connected()
            try:
                await self._backfill.write(session, self._backfill.handle(records), positions)
            except BatchTooLargeError as error:
                if len(records) < 2:
                    raise
                too_large = error

        def report(error: RetryableError, _number: int, pause_s: float) -> None:
            log.warning("attempt_failed", cause=type(error).__name__, error=str(error), retry_in_s=round(pause_s, 2))

        await retry(attempt, self._patience, on_retry=report)
        if too_large is not None:
            middle = len(records) // 2
            await self._write(records[:middle], {})
            await self._write(records[middle:], positions)

    async def _connected(self) -> Session:
        if self._session is None or self._session.is_closed:
            self._session = await Session.connect(self._settings, application_name=APPLICATION_NAME)
        return self._session


class TopicTarget:
    """Appends records to a topic, each with a header that says where it came from.

    Where it is interrupted, the records of a batch may have been appended without it being noted: after `resume` some
    may be there twice.
    """

    def __init__(self, writer: LogWriter, session: Session, jobs: JobStore, job: Job) -> None:
        """
        Args:
            session: notes how far the job is.
        """
        self.appended = int(job.counts.get("appended", 0))
        self._writer = writer
        self._session = session
        self._jobs, self._job_id = jobs, job.id
        self._positions = dict(job.positions)

    async def take(self, batch: ReplayBatch) -> None:
        """Append a batch, and note how far the job is."""
        marks = [(ORIGIN_HEADER, f"{record.topic_partition}@{record.offset}".encode()) for record in batch.records]
        await self._writer.append(batch.records, marks)
        self.appended += len(batch.records)
        self._positions |= batch.positions
        await self._jobs.note(self._session, self._job_id, self._positions, {"appended": self.appended})


@dataclass(slots=True)
class FileTarget:
    """Writes records to a file, which is there under its name only when it is whole. Use with `with`."""

    path: Path
    overwrite: bool = False
    written: int = 0
    _file: IO[bytes] | None = None

    @property
    def _partial(self) -> Path:
        return self.path.with_name(self.path.name + ".partial")

    def __enter__(self) -> Self:
        if self.path.exists() and not self.overwrite:
            raise RecordFileError(f"{self.path} exists; name another file, or add --overwrite")
        try:
            self._file = open_records(self._partial, "wb")
        except OSError as error:
            raise RecordFileError(f"{self._partial} cannot be written: {error.strerror}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._file is not None
        if error is not None:
            self._file.close()
            with contextlib.suppress(OSError):
                self._partial.unlink()
            return
        try:
            self._file.flush()
            self._file.close()
            with self._partial.open("rb") as written:
                os.fsync(written.fileno())
            self._partial.replace(self.path)
        except OSError as cause:
            raise RecordFileError(f"{self.path} cannot be written: {cause.strerror}") from cause

    async def take(self, batch: ReplayBatch) -> None:
        """Write a batch.

        Raises:
            RecordFileError: the disk does not take it.
        """
        assert self._file is not None
        try:
            self._file.writelines(to_line(record) + b"\n" for record in batch.records)
        except OSError as error:
            raise RecordFileError(f"{self._partial} cannot be written: {error.strerror}") from error
        self.written += len(batch.records)
