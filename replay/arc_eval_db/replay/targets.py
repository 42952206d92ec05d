"""Where replayed records go: the database, another topic, a file."""

from __future__ import annotations

import asyncio
import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from arc_eval_db.consumers.handler import HandledBatch
from arc_eval_db.consumers.kafka import LogWriter
from arc_eval_db.consumers.records import by_partition
from arc_eval_db.database import BatchTooLargeError, Session
from arc_eval_db.replay.backfill import Backfill
from arc_eval_db.replay.jobs import HeldJob, Progress
from arc_eval_db.replay.reading import RecordFileError, open_records
from arc_eval_db.replay.record_format import to_line
from arc_eval_db.replay.runner import ReplayBatch
from arc_eval_db.replay.sessions import RenewedSession

# About 3 ms, as of live consumption.
_SLICE_RECORDS = 500

ORIGIN_HEADER = "arc_eval_replayed_from"
"""Of a record that was replayed into a topic: where it came from, as `topic/partition@offset`."""


class DatabaseTarget:
    """Writes batches, and waits for a database that is away."""

    def __init__(self, session: RenewedSession, backfill: Backfill) -> None:
        self._session = session
        self._backfill = backfill

    async def prepare(self, batch: ReplayBatch) -> None:
        """Validate a batch while the database is at work on the one before, whose rows are sent in between."""
        handled = HandledBatch()
        for source in by_partition(batch.records).values():
            for first in range(0, len(source), _SLICE_RECORDS):
                self._backfill.add(handled, source, first, first + _SLICE_RECORDS)
                await asyncio.sleep(0)
        batch.handled = handled

    async def take(self, batch: ReplayBatch) -> None:
        """Write a batch and commit it.

        Raises:
            DeadLetterLimitError: too many would be dead letters.
            JobError: another process has taken the job over.
            RetryableError: the database was away for too long; whatever was committed stays.
            FatalError: the schema does not fit, or a right is missing.
        """
        await self._write(batch)
        self._backfill.end_batch()

    async def _write(self, batch: ReplayBatch) -> None:
        too_large = False

        async def write(session: Session) -> None:
            nonlocal too_large
            # An attempt may leave its rows otherwise than it found them.
            handled, batch.handled = batch.handled or self._backfill.handle(batch.records), None
            try:
                await self._backfill.write(session, handled, batch.positions)
            except BatchTooLargeError:
                # Not tried again as it is.
                if len(batch.records) < 2:
                    raise
                too_large = True

        await self._session.run(write)
        if too_large:
            for half in batch.halves():
                await self._write(half)


class TopicTarget:
    """Appends records to a topic, each with a header that says where it came from.

    Where it is interrupted, the records of a batch may have been appended without it being noted: after `resume` some
    may be there twice.
    """

    def __init__(self, writer: LogWriter, session: RenewedSession, job: HeldJob, done: Progress) -> None:
        """
        Args:
            session: notes how far the job is.
            done: how far it was.
        """
        self._writer = writer
        self._session = session
        self._job = job
        self._positions = done.positions
        self.appended = int(done.counts.get("appended", 0))

    async def _check(self, session: Session) -> None:
        """Raise where another process has taken the job over: what is appended cannot be taken back."""
        async with session.transaction():
            await self._job.noted(session)

    async def take(self, batch: ReplayBatch) -> None:
        """Append a batch, and note how far the job is."""
        await self._session.run(self._check)
        marks = [(ORIGIN_HEADER, f"{record.topic_partition}@{record.offset}".encode()) for record in batch.records]
        await self._writer.append(batch.records, marks)
        reached = Progress({**self._positions, **batch.positions}, {"appended": self.appended + len(batch.records)})

        async def note(session: Session) -> None:
            async with session.transaction():
                if await self._job.noted(session) is None:
                    await self._job.note(session, reached)

        await self._session.run(note)
        self._job.advance()
        self._positions, self.appended = reached.positions, reached.counts["appended"]


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
