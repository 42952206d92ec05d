"""Writes a batch of events: COPY of everything first, the careful way after a duplicate or a refused row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from arc_eval_db.database import DuplicateRowError, RowRefusedError, Session
from arc_eval_db.writer.parents import Row
from arc_eval_db.writer.rows import COLUMNS, EventRow, LoggedEvent, RowBatch, event_row
from arc_eval_db.writer.table_rows import copy_rows, store_rows


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
        report = RowReport()
        if not rows:
            return report
        batch = RowBatch.of(rows)
        try:
            async with session.savepoint():
                # The rows come before what they point at (no foreign key joins them): so the parents of refused rows
                # need not be taken back, and rows that all writers share are locked for the shortest time.
                copied = [await copy_rows(session, table, of_table) for table, of_table in _filled(batch)]
                await batch.parents.write(session)
            report.inserted = sum(copied)
        except (DuplicateRowError, RowRefusedError) as error:
            refused = await self._write_carefully(session, list(enumerate(rows)), batch, report, error)
            report.refused = sorted(refused, key=lambda found: found.index)
        report.duplicates = len(rows) - report.inserted - len(report.refused)
        return report

    async def _write_carefully(
        self,
        session: Session,
        numbered: Sequence[tuple[int, EventRow]],
        batch: RowBatch,
        report: RowReport,
        error: DuplicateRowError | RowRefusedError | None = None,
    ) -> list[RefusedRow]:
        """Store what can be stored, add it to `report`, and return what is refused."""
        try:
            async with session.savepoint():
                inserted, refused = await self._store_rows(session, numbered, batch, error)
                numbers = {found.index for found in refused}
                kept = [row for number, row in numbered if number not in numbers]
                await (RowBatch.of(kept) if refused else batch).parents.write(session)
        except RowRefusedError as refusal:
            # Something that rows point at. Nothing that passes the checks is known to be refused there.
            if len(numbered) == 1:
                return [RefusedRow(numbered[0][0], refusal)]
            middle = len(numbered) // 2
            refused = []
            for half in (numbered[:middle], numbered[middle:]):
                of_half = RowBatch.of([row for _, row in half])
                refused += await self._write_carefully(session, half, of_half, report)
            return refused
        report.inserted += inserted
        return refused

    async def _store_rows(
        self,
        session: Session,
        numbered: Sequence[tuple[int, EventRow]],
        batch: RowBatch,
        error: DuplicateRowError | RowRefusedError | None,
    ) -> tuple[int, list[RefusedRow]]:
        inserted = 0
        refused: list[RefusedRow] = []
        for table, rows in _filled(batch):
            # A table's rows stand in the order of the batch.
            owners = [number for number, row in numbered if row.table == table]
            stored = await store_rows(session, table, rows, error)
            inserted += stored.inserted
            refused += [RefusedRow(owners[index], refusal) for index, refusal in stored.refused]
        return inserted, refused


def _filled(batch: RowBatch) -> list[tuple[str, list[Row]]]:
    return [(table, batch.tables[table]) for table in COLUMNS if batch.tables[table]]
