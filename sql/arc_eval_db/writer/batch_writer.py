"""Writes a batch of events: COPY first, the careful way after a duplicate, bisection where a row is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from arc_eval_db.database import DuplicateRowError, RowRefusedError, Session
from arc_eval_db.writer.rows import COLUMNS, LoggedEvent, Row, RowBatch


@dataclass(frozen=True, slots=True)
class RefusedEvent:
    """An event whose row the database would not store."""

    logged: LoggedEvent
    error: RowRefusedError


@dataclass(slots=True)
class WriteReport:
    """What became of a batch: inserted + duplicates + refused = events."""

    inserted: int = 0
    duplicates: int = 0
    refused: list[RefusedEvent] = field(default_factory=list)


class BatchWriter:
    """Turns events into rows inside the caller's transaction. Holds no state: safe to share.

    Idempotent by event id: an event whose row is there already, or that stands in the batch twice, is counted as a
    duplicate. An event that the database refuses is found and reported, and does not keep the others from being
    written. Every other error ends the transaction and is the caller's to retry.
    """

    async def write(self, session: Session, events: Sequence[LoggedEvent]) -> WriteReport:
        """Write `events`; `session` must be in a transaction."""
        report = WriteReport()
        if events:
            await self._write_or_bisect(session, events, report)
        return report

    async def _write_or_bisect(self, session: Session, events: Sequence[LoggedEvent], report: WriteReport) -> None:
        try:
            inserted = await self._write_all(session, RowBatch.of(events))
        except RowRefusedError as error:
            if len(events) == 1:
                report.refused.append(RefusedEvent(events[0], error))
                return
            middle = len(events) // 2
            await self._write_or_bisect(session, events[:middle], report)
            await self._write_or_bisect(session, events[middle:], report)
        else:
            report.inserted += inserted
            report.duplicates += len(events) - inserted

    async def _write_all(self, session: Session, batch: RowBatch) -> int:
        """Rows inserted, all or (by an error) none."""
        try:
            async with session.savepoint():
                await batch.parents.write(session)
                return sum([await session.copy(table, COLUMNS[table], rows) for table, rows in _filled(batch)])
        except DuplicateRowError:
            # Rare, and twice the work: each table is copied into a temporary one and inserted from there.
            async with session.savepoint():
                await batch.parents.write(session)
                return sum([await self._insert_new(session, table, rows) for table, rows in _filled(batch)])

    async def _insert_new(self, session: Session, table: str, rows: Sequence[Row]) -> int:
        staging = f"staging_{table}"
        columns = ", ".join(COLUMNS[table])
        # Only the columns that are written: a later migration may have added one that must not be null.
        await session.execute(
            f"CREATE TEMP TABLE IF NOT EXISTS {staging} ON COMMIT DELETE ROWS"  # noqa: S608 - names from COLUMNS
            f" AS SELECT {columns} FROM {table} WITH NO DATA"
        )
        await session.execute(f"TRUNCATE {staging}")
        await session.copy(staging, COLUMNS[table], rows)
        tag = await session.execute(
            f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {staging} ON CONFLICT (event_id, time) DO NOTHING"  # noqa: S608 - names from COLUMNS
        )
        return int(tag.rpartition(" ")[2])


def _filled(batch: RowBatch) -> list[tuple[str, list[Row]]]:
    return [(table, rows) for table, rows in batch.tables.items() if rows]
