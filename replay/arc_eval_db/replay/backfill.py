"""Replays into the database: the handler and the writer of live consumption, and a note of what was done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from arc_eval_db.consumers.dead_letter_limit import DeadLetterLimit
from arc_eval_db.consumers.handler import ExecutionEventHandler, HandledBatch
from arc_eval_db.consumers.records import LogRecord
from arc_eval_db.consumers.sink import CONSUMER_VERSION
from arc_eval_db.database import Session
from arc_eval_db.errors import ArcEvalError
from arc_eval_db.replay.jobs import JobStore
from arc_eval_db.writer import BatchWriter, RepeatedIds, TopicPartition, insert_dead_letters

DEAD_LETTER_GROUP = "replay"
"""In whose name replays set records aside that were not set aside before."""


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
    """The earliest time of the events in batches that inserted something."""
    last_time: datetime | None = None

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
        jobs: JobStore | None = None,
        job_id: UUID | None = None,
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
        self._jobs = jobs
        self._job_id = job_id
        self._dry_run = dry_run
        self._positions = dict(positions or {})
        self._writer = BatchWriter()
        self._repeated = RepeatedIds()
        self._seen: set[int] = set()
        """In a dry run, the hashes of all ids so far: what comes twice would be there already the second time."""

    def handle(self, records: Sequence[LogRecord]) -> HandledBatch:
        """Validate records."""
        return self._handler.handle(records)

    async def write(self, session: Session, batch: HandledBatch, positions: Mapping[TopicPartition, int]) -> None:
        """Write a batch and commit it, or take it back in a dry run.

        Args:
            positions: from where whoever resumes the job has to go on, once this is committed; those of partitions that
                are not named stay.

        Raises:
            DeadLetterLimitError: too many would be dead letters; nothing was written.
            RetryableError: nothing was written, or it is not known; to write it again does no harm.
            FatalError: the schema does not fit, or a right is missing.
        """
        repeated, hashes = self._without_repeated(batch) if self._dry_run else (0, ())
        report = BackfillReport.from_json(self.report.to_json())
        reached = {**self._positions, **positions}
        try:
            async with session.transaction():
                written = await self._writer.write_batch(session, batch.rows, None if self._dry_run else self._repeated)
                letters = batch.dead_letters + batch.refused(written.refused)
                self._limit.check(batch.records, letters)
                await insert_dead_letters(session, letters, group=DEAD_LETTER_GROUP, version=CONSUMER_VERSION)
                report.records += batch.records.total()
                report.inserted += written.inserted
                report.already_there += written.duplicates + repeated
                report.refused.update(letter.reason.value for letter in letters)
                _note_rows(report, batch, inserted=written.inserted)
                if self._dry_run:
                    raise _DryRunError
                if self._jobs is not None and self._job_id is not None:
                    await self._jobs.note(session, self._job_id, reached, report.to_json())
        except _DryRunError:
            pass
        self._limit.note(batch.records, letters)
        self.report, self._positions = report, reached
        self._seen.update(hashes)

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


def _note_rows(report: BackfillReport, batch: HandledBatch, *, inserted: int) -> None:
    for table, rows in batch.rows.filled():
        report.tables[table] += len(rows)
        if inserted:
            first, last = min(row[0] for row in rows), max(row[0] for row in rows)
            report.first_time = min(report.first_time or first, first)
            report.last_time = max(report.last_time or last, last)
