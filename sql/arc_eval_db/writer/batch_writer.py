"""Writes a batch of events: COPY of everything first, the careful way after a duplicate or a refused row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from arc_eval_db.database import DuplicateRowError, RowRefusedError, Session
from arc_eval_db.writer.rows import COLUMNS, TABLES, LoggedEvent, Row, RowBatch
from arc_eval_db.writer.table_rows import copy_rows, store_rows


@dataclass(frozen=True, slots=True)
class RefusedEvent:
    """An event whose row the database would not store."""

    logged: LoggedEvent
    error: RowRefusedError
    index: int
    """Its place in the batch."""


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
        report = WriteReport()
        if not events:
            return report
        batch = RowBatch.of(events)
        try:
            async with session.savepoint():
                # The rows come before what they point at (no foreign key joins them): so the parents of refused rows
                # need not be taken back, and rows that all writers share are locked for the shortest time.
                copied = [await copy_rows(session, table, rows) for table, rows in _filled(batch)]
                await batch.parents.write(session)
            report.inserted = sum(copied)
        except (DuplicateRowError, RowRefusedError) as error:
            refused = await self._write_carefully(session, list(enumerate(events)), batch, report, error)
            report.refused = sorted(refused, key=lambda found: found.index)
        report.duplicates = len(events) - report.inserted - len(report.refused)
        return report

    async def _write_carefully(
        self,
        session: Session,
        numbered: Sequence[tuple[int, LoggedEvent]],
        batch: RowBatch,
        report: WriteReport,
        error: DuplicateRowError | RowRefusedError | None = None,
    ) -> list[RefusedEvent]:
        """Store what can be stored, add it to `report`, and return what is refused."""
        try:
            async with session.savepoint():
                inserted, refused = await self._store_rows(session, numbered, batch, error)
                numbers = {found.index for found in refused}
                kept = [logged for number, logged in numbered if number not in numbers]
                await (RowBatch.of(kept) if refused else batch).parents.write(session)
        except RowRefusedError as refusal:
            # Something that rows point at. Nothing that passes the checks is known to be refused there.
            if len(numbered) == 1:
                return [RefusedEvent(numbered[0][1], refusal, numbered[0][0])]
            middle = len(numbered) // 2
            refused = []
            for half in (numbered[:middle], numbered[middle:]):
                of_half = RowBatch.of([logged for _, logged in half])
                refused += await self._write_carefully(session, half, of_half, report)
            return refused
        report.inserted += inserted
        return refused

    async def _store_rows(
        self,
        session: Session,
        numbered: Sequence[tuple[int, LoggedEvent]],
        batch: RowBatch,
        error: DuplicateRowError | RowRefusedError | None,
    ) -> tuple[int, list[RefusedEvent]]:
        inserted = 0
        refused: list[RefusedEvent] = []
        for table, rows in _filled(batch):
            # Each event has one row, so a table's rows stand in the order of its events.
            owners = [(number, logged) for number, logged in numbered if TABLES[type(logged.event)] == table]
            assert len(owners) == len(rows)
            stored = await store_rows(session, table, rows, error)
            inserted += stored.inserted
            for index, refusal in stored.refused:
                number, logged = owners[index]
                refused.append(RefusedEvent(logged, refusal, number))
        return inserted, refused


def _filled(batch: RowBatch) -> list[tuple[str, list[Row]]]:
    return [(table, batch.tables[table]) for table in COLUMNS if batch.tables[table]]
