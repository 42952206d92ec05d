"""The rows of one table: COPY, the way around rows that are there already, the search for refused ones."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, field

from arc_eval_db.database import DuplicateRowError, RowRefusedError, Session
from arc_eval_db.writer.rows import COLUMNS, Row

# After a refused row it pays to try about as many rows again as were good before it, but not fewer than this. Of 8, 32,
# 64, 128 and 512, with 50 bad rows in 5,000, 64 took the client the least time: each attempt is four round trips.
_WINDOW_ROWS_MIN = 64


@dataclass(slots=True)
class StoredRows:
    """What became of rows: inserted, refused (by index, in order), and the others were there already."""

    inserted: int = 0
    refused: list[tuple[int, RowRefusedError]] = field(default_factory=list)


async def copy_new_rows(session: Session, table: str, rows: Sequence[Row], suspects: Container[int] = ()) -> int:
    """COPY all rows or, by an error, none that may be kept; returns how many.

    Args:
        suspects: indexes of rows that may be there already, which are then no error.
    """
    if not suspects:
        return await _copy_rows(session, table, rows)
    inserted = await _copy_rows(session, table, [row for index, row in enumerate(rows) if index not in suspects])
    return inserted + await _insert_new(session, table, [row for index, row in enumerate(rows) if index in suspects])


async def _copy_rows(session: Session, table: str, rows: Sequence[Row]) -> int:
    return await session.copy(table, tuple(COLUMNS[table]), rows)


async def store_rows(
    session: Session, table: str, rows: Sequence[Row], error: DuplicateRowError | RowRefusedError | None = None
) -> StoredRows:
    """Store what can be stored of `rows`, and find what is refused: each of those was refused alone.

    Goes through the rows with a window that starts with all of them. Each attempt stores the window's rows, or moves
    one row out of it, or halves it; so it ends whatever the server says, and a wrong line costs time and nothing else.

    Args:
        error: what a COPY of all rows ended with just now, if there was one; that much is not tried again.
    """
    stored = StoredRows()
    pending = list(enumerate(rows))
    size = len(pending)
    refusal = error if isinstance(error, RowRefusedError) and error.table == table else None
    has_duplicates = isinstance(error, DuplicateRowError)
    while pending:
        window = pending[:size]
        if refusal is None:
            try:
                stored.inserted += await _attempt(session, table, [row for _, row in window], has_duplicates)
                del pending[: len(window)]
                size *= 2
                continue
            except RowRefusedError as refused:
                refusal = refused
            finally:
                has_duplicates = False
        if len(window) == 1:
            stored.refused.append((window[0][0], refusal))
            del pending[0]
        elif (suspect := _suspect(refusal, table, len(window))) is None:
            size = len(window) // 2
        else:
            is_refused = await _store_alone(session, table, window[suspect], stored)
            del pending[suspect]
            size = max(_WINDOW_ROWS_MIN, 2 * suspect) if is_refused else len(window) // 2
        refusal = None
    stored.refused.sort(key=lambda found: found[0])
    return stored


async def _store_alone(session: Session, table: str, numbered: tuple[int, Row], stored: StoredRows) -> bool:
    """Whether the row was refused."""
    try:
        stored.inserted += await _attempt(session, table, [numbered[1]], has_duplicates=False)
    except RowRefusedError as error:
        stored.refused.append((numbered[0], error))
        return True
    return False


async def _attempt(session: Session, table: str, rows: Sequence[Row], has_duplicates: bool) -> int:
    """Rows inserted, all that are not there yet or (by an error) none."""
    if not has_duplicates:
        try:
            async with session.savepoint():
                return await _copy_rows(session, table, rows)
        except DuplicateRowError:
            pass  # twice the work from here on, and rare
    async with session.savepoint():
        return await _insert_new(session, table, rows)


async def _insert_new(session: Session, table: str, rows: Sequence[Row]) -> int:
    """COPY into a temporary table, and insert from there what is new: needs no right but INSERT on `table`."""
    staging = _staging(table)
    names = ", ".join(COLUMNS[table])
    # Only the columns that are written: a later migration may have added one that must not be null.
    columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS[table].items())
    await session.execute(f"CREATE TEMP TABLE IF NOT EXISTS {staging} ({columns}) ON COMMIT DELETE ROWS")
    await session.execute(f"TRUNCATE {staging}")
    await session.copy(staging, tuple(COLUMNS[table]), rows)
    # No conflict target: naming its columns would need the right to read them. There is one unique index.
    tag = await session.execute(
        f"INSERT INTO {table} ({names}) SELECT {names} FROM {staging} ON CONFLICT DO NOTHING"  # noqa: S608 - names from COLUMNS
    )
    return int(tag.rpartition(" ")[2])


def _staging(table: str) -> str:
    return f"staging_{table}"


def _suspect(error: RowRefusedError, table: str, rows: int) -> int | None:
    """The index of the row that the server was at when it refused."""
    if error.line is not None and error.table in (table, _staging(table)) and 1 <= error.line <= rows:
        return error.line - 1
    return None
