"""Whether a database holds exactly what it must: rows counted, and summed up whatever their order."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from arc_eval_db.bench.expected import EVENT_COLUMNS, EXECUTION_COLUMNS, event_rows, execution_rows
from arc_eval_db.bench.workloads import Workload
from arc_eval_db.database import Session
from arc_eval_db.errors import FatalError

_CHUNK_ROWS = 20_000

# The writer finds the pattern in a failure's message; what it finds is not checked here.
_UNCHECKED = frozenset({"pattern_id"})

COLUMNS: Mapping[str, tuple[str, ...]] = {**EVENT_COLUMNS, "executions": EXECUTION_COLUMNS}
"""The tables that are checked, and their columns."""


class WrongRowsError(FatalError):
    """A run left other rows than the workload must become. Its figures mean nothing."""


class TableSum(NamedTuple):
    """What a table holds, whatever the order of its rows."""

    rows: int
    different: int
    """Different values of the first id column."""
    checksum: int
    """The sum of all rows' hashes."""


Sums = dict[str, TableSum]


async def expected_sums(session: Session, workload: Workload) -> Sums:
    """What every table must hold: the expected rows are copied into tables of their own, and summed up there."""
    for table in COLUMNS:
        await session.execute(f"CREATE TABLE expected_{table} (LIKE {table})")
    try:
        for some in _chunks(event_rows(workload)):
            for table in EVENT_COLUMNS:
                if rows := [row for name, row in some if name == table]:
                    await session.copy(f"expected_{table}", EVENT_COLUMNS[table], rows)
        for of_executions in _chunks(execution_rows(workload)):
            await session.copy("expected_executions", EXECUTION_COLUMNS, of_executions)
        return {table: await _sum(session, f"expected_{table}", table) for table in COLUMNS}
    finally:
        for table in COLUMNS:
            await session.execute(f"DROP TABLE expected_{table}")


async def check_rows(session: Session, expected: Sums, tables: Sequence[str] = tuple(COLUMNS)) -> None:
    """Compare what is there with what must be.

    Raises:
        WrongRowsError: it is not the same.
    """
    for table in tables:
        found = await _sum(session, table, table)
        if found != expected[table]:
            raise WrongRowsError(f"{table} holds {found}, and should hold {expected[table]}")
        if table in EVENT_COLUMNS and found.different != found.rows:
            raise WrongRowsError(f"{table} holds {found.rows - found.different} duplicates")


async def check_offsets(session: Session, group: str, records: int) -> None:
    """Compare how far a group stands with what there was to read, and see that nothing was set aside.

    Raises:
        WrongRowsError: it stands elsewhere, or there are dead letters.
    """
    stored = await session.fetch_value(
        "SELECT sum(next_offset)::bigint FROM consumer_offsets WHERE consumer_group = $1", group
    )
    letters = await session.fetch_value("SELECT count(*) FROM dead_letters")
    if stored != records or letters:
        raise WrongRowsError(f"the group read {stored} of {records} records, and {letters} became dead letters")


async def _sum(session: Session, table: str, kind: str) -> TableSum:
    columns = COLUMNS[kind]
    names = ", ".join(name for name in columns if name not in _UNCHECKED)
    identity = "event_id" if "event_id" in columns else "id"
    (row,) = await session.fetch(
        f"SELECT count(*) AS rows, count(DISTINCT {identity}) AS different, "  # noqa: S608 - names from COLUMNS
        f"coalesce(sum(hashtextextended(ROW({names})::text, 0)::numeric), 0)::text AS checksum FROM {table}"
    )
    return TableSum(row["rows"], row["different"], int(row["checksum"]))


def _chunks(rows: Iterable[Any]) -> Iterator[list[Any]]:
    iterator = iter(rows)
    while some := list(itertools.islice(iterator, _CHUNK_ROWS)):
        yield some
