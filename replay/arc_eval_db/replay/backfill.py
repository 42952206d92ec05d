"""Replays into the database: the handler and the writer of live consumption, and a note of what was done."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple, Self

from arc_eval_db.consumers.dead_letter_limit import DeadLetterLimit
from arc_eval_db.consumers.handler import ExecutionEventHandler, HandledBatch
from arc_eval_db.consumers.records import LogRecord, PartitionRecords
from arc_eval_db.consumers.sink import CONSUMER_VERSION
from arc_eval_db.database import Session
from arc_eval_db.errors import ArcEvalError, RetryableError
from arc_eval_db.replay.jobs import HeldJob, Progress
from arc_eval_db.writer import BatchWriter, DeadLetter, LatestIds, RepeatedIds, TopicPartition, insert_dead_letters

DEAD_LETTER_GROUP = "replay"
"""In whose name replays set records aside that were not set aside before."""

# A hash is some 100 bytes in a set; two generations are 400 MB.
_GENERATION_IDS = 2_000_000


@dataclass(slots=True)
class BackfillReport:
    """What a replay into the database did; records = inserted + already_there + refused."""

    records: int = 0
    inserted: int = 0
    already_there: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """By reason; these are dead letters."""
    tables: Counter[str] = field(default_factory=Counter)
    """Rows that were handed to the writer, by table."""
    first_time: datetime | None = None
    """The earliest time of the events in batches that inserted something, or may have."""
    last_time: datetime | None = None

    def copy(self) -> Self:
        """Another one that says the same."""
        return replace(self, refused=self.refused.copy(), tables=self.tables.copy())

    def to_json(self) -> dict[str, Any]:
        """For `replay_jobs` and for programs; `from_json` takes it back."""
        return {
            "records": self.records,
            "inserted": self.inserted,
            "already_there": self.already_there,
            "refused": dict(self.refused),
            "tables": dict(self.tables),
            "first_time": self.first_time and self.first_time.isoformat(),
            "last_time": self.last_time and self.last_time.isoformat(),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """What `to_json` made; nothing, where nothing was done yet."""
        if not document:
            return cls()
        first, last = document["first_time"], document["last_time"]
        return cls(
            document["records"],
            document["inserted"],
            document["already_there"],
            Counter(document["refused"]),
            Counter(document["tables"]),
            first and datetime.fromisoformat(first),
            last and datetime.fromisoformat(last),
        )


class _DryRunError(ArcEvalError):
    """Nothing of a dry run is to stay."""


class _Done(NamedTuple):
    """What is done once a batch is committed."""

    report: BackfillReport
    positions: Mapping[TopicPartition, int]
    letters: Sequence[DeadLetter]
    """Of this batch."""


class Backfill:
    """Writes batches of records, each in one transaction; what is there already stays as it is.

    No group's offsets move. Where a job is given, how far it is stands in the transaction of the rows: whoever goes on
    with it goes on exactly there, whenever this was killed.
    """

    def __init__(
        self,
        handler: ExecutionEventHandler,
        limit: DeadLetterLimit,
        *,
        job: HeldJob | None = None,
        report: BackfillReport | None = None,
        positions: Mapping[TopicPartition, int] | None = None,
        dry_run: bool = False,
    ) -> None:
        """
        Args:
            limit: refuses batches that would become too many dead letters.
            report: of what was done before, by a job that is resumed.
            positions: how far that was.
            dry_run: take every transaction back; the report says what would be.
        """
        self.report = report or BackfillReport()
        self._handler = handler
        self._limit = limit
        self._job = job
        self._dry_run = dry_run
        self._positions: Mapping[TopicPartition, int] = positions or {}
        self._writer = BatchWriter()
        self._repeated = RepeatedIds()
        self._seen = LatestIds(_GENERATION_IDS)
        """In a dry run: what comes twice would be there already the second time."""
        self._is_uncertain = False
        """Whether an attempt to write the batch, or what it is a half of, failed: it may be committed all the same."""

    def handle(self, records: Sequence[LogRecord]) -> HandledBatch:
        """Validate records."""
        return self._handler.handle(records)

    def add(self, batch: HandledBatch, source: PartitionRecords, first: int, end: int) -> None:
        """Validate a slice of a partition's records into a batch."""
        self._handler.add(batch, source, first, end)

    def end_batch(self) -> None:
        """All of a batch is written: what was not known of it says nothing of the next one."""
        self._is_uncertain = False

    async def write(self, session: Session, batch: HandledBatch, positions: Mapping[TopicPartition, int]) -> None:
        """Write a batch and commit it, or take it back in a dry run.

        Args:
            positions: from where whoever resumes the job has to go on, once this is committed; those of partitions that
                are not named stay.

        Raises:
            DeadLetterLimitError: too many would be dead letters; nothing was written.
            JobError: another process has taken the job over; nothing was written.
            RetryableError: nothing was written, or it is not known; to write it again does no harm.
            FatalError: the schema does not fit, or a right is missing.
        """
        repeated, hashes = self._without_repeated(batch) if self._dry_run else (0, ())
        try:
            done = await self._write(session, batch, {**self._positions, **positions}, repeated)
        except RetryableError:
            self._is_uncertain = True
            raise
        self._limit.note(batch.records, done.letters)
        self._seen.update(hashes)
        self.report, self._positions = done.report, done.positions
        if self._job is not None:
            self._job.advance()

    async def _write(
        self, session: Session, batch: HandledBatch, reached: Mapping[TopicPartition, int], repeated: int
    ) -> _Done:
        report = self.report.copy()
        letters: list[DeadLetter] = []
        with contextlib.suppress(_DryRunError):
            async with session.transaction():
                if self._job is not None and (noted := await self._job.noted(session)) is not None:
                    return _Done(BackfillReport.from_json(noted.counts), noted.positions, batch.dead_letters)
                written = await self._writer.write_batch(session, batch.rows, None if self._dry_run else self._repeated)
                letters = batch.dead_letters + batch.refused(written.refused)
                self._limit.check(batch.records, letters)
                await insert_dead_letters(session, letters, group=DEAD_LETTER_GROUP, version=CONSUMER_VERSION)
                report.records += batch.records.total()
                report.inserted += written.inserted
                report.already_there += written.duplicates + repeated
                report.refused.update(letter.reason.value for letter in letters)
                _note_rows(report, batch, changed=bool(written.inserted) or self._is_uncertain)
                if self._dry_run:
                    raise _DryRunError
                if self._job is not None:
                    await self._job.note(session, Progress(reached, report.to_json()))
        return _Done(report, reached, letters)

    def _without_repeated(self, batch: HandledBatch) -> tuple[int, Sequence[int]]:
        """Leave out rows of events that an earlier batch of the dry run had.

        Returns how many they were, and the hashes of all ids.
        """
        places = list(batch.rows.places())
        hashes = [batch.rows.hashes[place.table][place.position] for place in places]
        new = [place for place, value in zip(places, hashes, strict=True) if value not in self._seen]
        if len(new) < len(places):
            batch.rows = batch.rows.part(new)
        return len(places) - len(new), hashes


def _note_rows(report: BackfillReport, batch: HandledBatch, *, changed: bool) -> None:
    for table, rows in batch.rows.filled():
        report.tables[table] += len(rows)
        if changed:
            first, last = min(row[0] for row in rows), max(row[0] for row in rows)
            report.first_time = min(report.first_time or first, first)
            report.last_time = max(report.last_time or last, last)
