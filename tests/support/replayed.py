"""The log against the tables, in tests: windows, and what is done behind the tables' back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from arc_eval_db.consumers.records import LogRecord
from arc_eval_db.database import Session
from arc_eval_db.replay import Difference, LogVerifier, WindowReport
from arc_eval_db.schemas.topics import TopicNames
from arc_eval_db.writer import OffsetRange, TopicPartition
from arc_eval_db.writer.rows import COLUMNS
from support.events import event, record

_OTHER_VALUES = {
    "uuid": "gen_random_uuid()",
    "text": "coalesce({0}, '') || '!'",
    "bigint": "coalesce({0}, 0) + 1",
    "double precision": "coalesce({0}, 0) + 1",
    "boolean": "NOT {0}",
    "jsonb": "coalesce({0}, '{{}}') || '{{\"other\": [1]}}'",
}


def logged(*event_types: str, first: int = 0, partition: int = 0, **envelope: Any) -> list[LogRecord]:
    """One event of each type, at the offsets from `first` on."""
    return [
        record(event(kind, **envelope), offset=offset, partition=partition)
        for offset, kind in enumerate(event_types, first)
    ]


async def verify(
    session: Session,
    records: Sequence[LogRecord],
    offsets: tuple[int, int] | None = None,
    *,
    partition: TopicPartition | None = None,
    margin: timedelta | None = None,
    **options: Any,
) -> WindowReport:
    """Compare these records; by default all offsets from the first to the last."""
    if margin is not None:
        options["margin"] = margin
    first, end = offsets or (records[0].offset, records[-1].offset + 1)
    where = partition or records[0].topic_partition
    return await LogVerifier(TopicNames(), **options).window(session, records, where, OffsetRange(first, end))


def event_id(one: LogRecord) -> UUID:
    """The id of a record's event."""
    return UUID(dict(one.headers)["ce_id"].decode())


def named(differences: Sequence[Difference]) -> set[tuple[Any, ...]]:
    """What is named: kind, table, event, offset, columns."""
    return {(str(one.kind), one.table, one.event_id, one.offset, one.columns) for one in differences}


async def change(session: Session, table: str, column: str, one: LogRecord) -> None:
    """Give a column of an event's row another value."""
    value = _OTHER_VALUES[COLUMNS[table][column]].format(column)
    tag = await session.execute(f"UPDATE {table} SET {column} = {value} WHERE event_id = $1", event_id(one))
    assert tag == "UPDATE 1"


async def add_row(session: Session, table: str, like: LogRecord, offset: int, **columns: str) -> UUID:
    """Add a copy of an event's row, of another event, that says it came from `offset`."""
    values = {"event_id": "gen_random_uuid()", "log_offset": str(offset), **columns}
    names = ", ".join(COLUMNS[table])
    taken = ", ".join(values.get(name, name) for name in COLUMNS[table])
    found = await session.fetch_value(
        f"INSERT INTO {table} ({names}) SELECT {taken} FROM {table} WHERE event_id = $1 RETURNING event_id",
        event_id(like),
    )
    assert isinstance(found, UUID)
    return found


async def delete(session: Session, table: str, one: LogRecord) -> None:
    """Delete an event's row."""
    assert await session.execute(f"DELETE FROM {table} WHERE event_id = $1", event_id(one)) == "DELETE 1"


async def content(session: Session) -> dict[str, str]:
    """A hash of every live table, as its rows are: whatever changes a row changes it."""
    tables = await session.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY relname"
    )
    hashed = "SELECT count(*) || ' ' || coalesce(sum(hashtextextended(t::text, 0)), 0) FROM public.{} AS t"
    return {row["relname"]: await session.fetch_value(hashed.format(row["relname"])) for row in tables}
