"""Writes a batch of events: COPY of everything first, the careful way after a duplicate or a refused row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Container, Sequence
from dataclasses import dataclass, field

from arc_eval_db.database import DuplicateRowError, RowRefusedError, Session
from arc_eval_db.writer.known_parents import Context
from arc_eval_db.writer.repeated_ids import RepeatedIds
from arc_eval_db.writer.row_batch import Place, RowBatch
from arc_eval_db.writer.rows import EventRow, LoggedEvent, event_row
from arc_eval_db.writer.table_rows import copy_new_rows, store_rows


@dataclass(frozen=True, slots=True)
class RefusedEvent:
    """An event whose row the database would not store."""

    logged: LoggedEvent
    error: RowRefusedError
    index: int
    """Its place in the batch."""


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that the database would not store."""

    index: int
    """Its place in the batch."""
    error: RowRefusedError


@dataclass(slots=True)
class RowReport:
    """What became of a batch of rows: inserted + duplicates + refused = rows."""

    inserted: int = 0
    duplicates: int = 0
    refused: list[RefusedRow] = field(default_factory=list)
    """In the order of the batch."""


@dataclass(slots=True)
class WriteReport:
    """What became of a batch: inserted + duplicates + refused = events."""

    inserted: int = 0
    duplicates: int = 0
    refused: list[RefusedEvent] = field(default_factory=list)
    """In the order of the batch."""


@dataclass(slots=True)
class BatchReport:
    """What became of a batch of rows by table: inserted + duplicates + refused = rows."""

    inserted: int = 0
    duplicates: int = 0
    refused: dict[Place, RowRefusedError] = field(default_factory=dict)
    contexts: Collection[Context] = ()
    """Whose parents are in the database once this is committed, for `KnownParents`."""


class BatchWriter:
    """Turns events into rows inside the caller's transaction. Holds no state: safe to share.

    Idempotent by event id: an event whose row is there already, or that stands in the batch twice, is counted as a
    duplicate. An event that the database refuses is found and reported, and does not keep the others from being
    written; each was refused alone, whatever the server said about it before. Every other error ends the transaction
    and is the caller's to retry.

    Needs INSERT on the event tables, temporary tables, and INSERT, SELECT and UPDATE on what their rows point at.
    """

    async def write(self, session: Session, events: Sequence[LoggedEvent]) -> WriteReport:
        """Write `events`; `session` must be in a transaction."""
        report = await self.write_rows(session, [event_row(logged) for logged in events])
        refused = [RefusedEvent(events[found.index], found.error, found.index) for found in report.refused]
        return WriteReport(report.inserted, report.duplicates, refused)

    async def write_rows(self, session: Session, rows: Sequence[EventRow]) -> RowReport:
        """Write rows that were made of events before; `session` must be in a transaction."""
        report = await self.write_batch(session, RowBatch.of(rows))
        refused = []
        if report.refused:
            seen: Counter[str] = Counter()
            for index, row in enumerate(rows):
                if error := report.refused.get(Place(row.table, seen[row.table])):
                    refused.append(RefusedRow(index, error))
                seen[row.table] += 1
        return RowReport(report.inserted, report.duplicates, refused)

    async def write_batch(
        self,
        session: Session,
        batch: RowBatch,
        repeated: RepeatedIds | None = None,
        known: Container[Context] = (),
    ) -> BatchReport:
        """Write rows by table; `session` must be in a transaction.

        Args:
            repeated: remembers what was written, and so knows most of what comes again.
            known: contexts whose parents are in the database.
        """
        if not len(batch):
            return BatchReport()
        suspects = repeated.suspects(batch) if repeated else {}
        try:
            async with session.savepoint():
                # The rows come before what they point at (no foreign key joins them): so the parents of refused rows
                # need not be taken back, and rows that all writers share are locked for the shortest time.
                inserted = 0
                for table, rows in batch.filled():
                    inserted += await copy_new_rows(session, table, rows, suspects.get(table, ()))
                await batch.parents(known=known).write(session)
            report = BatchReport(inserted, contexts=batch.contexts)
        except (DuplicateRowError, RowRefusedError) as error:
            report = await self._write_carefully(session, batch, error)
        report.duplicates = len(batch) - report.inserted - len(report.refused)
        if repeated:
            repeated.note(batch, report.duplicates)
        return report

    async def _write_carefully(
        self, session: Session, batch: RowBatch, error: DuplicateRowError | RowRefusedError | None = None
    ) -> BatchReport:
        """Store what can be stored, and find what is refused."""
        report = BatchReport()
        try:
            async with session.savepoint():
                for table, rows in batch.filled():
                    stored = await store_rows(session, table, rows, error)
                    report.inserted += stored.inserted
                    report.refused |= {Place(table, index): refusal for index, refusal in stored.refused}
                await batch.parents(without=report.refused).write(session)
        except RowRefusedError as refusal:
            # Something that rows point at. Nothing that passes the checks is known to be refused there.
            places = list(batch.places())
            if len(places) == 1:
                return BatchReport(refused={places[0]: refusal})
            report = BatchReport()
            middle = len(places) // 2
            for half in (places[:middle], places[middle:]):
                part = batch.part(half)
                of_half = await self._write_carefully(session, part)
                report.inserted += of_half.inserted
                original = dict(zip(part.places(), half, strict=True))
                report.refused |= {original[place]: refused for place, refused in of_half.refused.items()}
        return report
