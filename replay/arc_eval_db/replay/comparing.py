"""Compares rows that today's code makes with rows that are stored, on the server.

The statements are formed from `COLUMNS`, as the writer's are: the same for each table of events, and for whatever holds
the rows that were made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from arc_eval_db.database import Session
from arc_eval_db.replay.differences import Difference, DifferenceKind, Findings, TableTally
from arc_eval_db.replay.intervals import Interval
from arc_eval_db.writer import OffsetRange, TopicPartition
from arc_eval_db.writer.rows import COLUMNS

_KEY = ("time", "event_id")
_PLACE = ("log_partition", "log_offset")


class TablePair(NamedTuple):
    """The two relations that are compared."""

    table: str
    """The table of events; its live rows are what is stored."""
    made: str
    """What holds the rows that today's code makes, each event once."""


class Kinds(NamedTuple):
    """What a difference is called."""

    only_made: DifferenceKind
    only_stored: DifferenceKind


@dataclass(slots=True)
class MatchReport:
    """What came of looking for rows that were made."""

    elsewhere: int = 0
    """Rows that came from another record than the one that was looked at."""
    excused: list[int] = field(default_factory=list)
    """The offsets of rows that are not there, and need not be."""


@dataclass(frozen=True, slots=True)
class _Statements:
    """What is asked of one pair of tables. $1 and $2 are the times between which to look."""

    totals: str
    """$3 offsets whose rows need not be there."""
    differing: str
    """$4 how many."""
    claiming: str
    """Rows that name a place ($3 partition, $4 first offset, $5 end) and that were not made. $6 how many."""


# Both sides' time is bounded: of the stored one's the planner makes the choice of chunks.
_MATCHED = """
FROM {made} AS made
LEFT JOIN {table} AS stored
    ON stored.event_id = made.event_id AND stored.time = made.time AND stored.time BETWEEN $1 AND $2
WHERE made.time BETWEEN $1 AND $2"""

_IS_STORED = "stored.event_id IS NOT NULL"
_IS_EXCUSED = "COALESCE(made.log_offset = ANY($3::bigint[]), false)"


def content_columns(table: str) -> tuple[str, ...]:
    """What is compared: all but the key and the place. An event that was sent twice stands at its first record's place,
    and one that a program wrote stands nowhere."""
    return tuple(name for name in COLUMNS[table] if name not in (*_KEY, *_PLACE))


def _hash(table: str, side: str) -> str:
    """The types' own hash functions say the same of equal values: 1.0 and 1.00 in JSON, 0 and -0."""
    values = ", ".join(f"{side}.{name}::{kind}" for name, kind in COLUMNS[table].items() if name not in _PLACE)
    return f"hash_record_extended(ROW({values}), 0)"


@cache
def _statements(pair: TablePair) -> _Statements:
    table, made = pair
    columns = content_columns(table)
    sides = [f"ROW({', '.join(f'{side}.{name}' for name in columns)})" for side in ("made", "stored")]
    is_changed = f"{_IS_STORED} AND {sides[0]} IS DISTINCT FROM {sides[1]}"
    names = ", ".join(f"CASE WHEN made.{name} IS DISTINCT FROM stored.{name} THEN '{name}' END" for name in columns)
    matched = _MATCHED.format(made=made, table=table)
    # All names are ours, from COLUMNS or made here.
    totals = f"""
SELECT
    count(*) FILTER (WHERE is_stored OR NOT is_excused) AS made,
    COALESCE(sum(made_hash) FILTER (WHERE is_stored OR NOT is_excused), 0)::text AS made_checksum,
    count(*) FILTER (WHERE is_stored) AS stored,
    COALESCE(sum(stored_hash) FILTER (WHERE is_stored), 0)::text AS stored_checksum,
    count(*) FILTER (WHERE NOT is_stored AND NOT is_excused) AS only_made,
    count(*) FILTER (WHERE is_changed) AS changed,
    count(*) FILTER (WHERE is_elsewhere) AS elsewhere,
    COALESCE(array_agg(log_offset) FILTER (WHERE NOT is_stored AND is_excused), '{{}}') AS excused
FROM (
    SELECT
        made.log_offset,
        {_IS_STORED} AS is_stored,
        {_IS_EXCUSED} AS is_excused,
        {is_changed} AS is_changed,
        {_IS_STORED}
            AND (stored.log_partition, stored.log_offset) IS DISTINCT FROM (made.log_partition, made.log_offset)
            AS is_elsewhere,
        {_hash(table, "made")} AS made_hash,
        {_hash(table, "stored")} AS stored_hash
    {matched}
) AS matched"""  # noqa: S608
    differing = f"""
SELECT made.event_id, made.time, made.log_partition, made.log_offset, {_IS_STORED} AS is_stored,
    array_remove(ARRAY[{names}], NULL) AS columns
{matched} AND (({is_changed}) OR (NOT {_IS_STORED} AND NOT {_IS_EXCUSED}))
ORDER BY made.log_partition, made.log_offset
LIMIT $4"""
    claiming = f"""
SELECT stored.event_id, stored.time, stored.log_offset, count(*) OVER () AS rows,
    (sum({_hash(table, "stored")}) OVER ())::text AS checksum
FROM {table} AS stored
WHERE stored.time BETWEEN $1 AND $2
    AND stored.log_partition = $3 AND stored.log_offset >= $4 AND stored.log_offset < $5
    AND NOT EXISTS (SELECT FROM {made} AS made WHERE made.event_id = stored.event_id AND made.time = stored.time)
ORDER BY stored.log_offset, stored.event_id
LIMIT $6"""  # noqa: S608
    return _Statements(totals, differing, claiming)


async def begin_comparing(session: Session) -> None:
    """The first thing in a transaction: all that follows sees the tables as they are at one moment."""
    # The reader's transactions are read-only by default, and take no temporary tables.
    await session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ WRITE")
    # A plan for any times looks into every chunk.
    await session.execute("SET LOCAL plan_cache_mode = force_custom_plan")


class Comparison:
    """Compares tables inside the caller's transaction, which `begin_comparing` began."""

    def __init__(self, session: Session, findings: Findings, kinds: Kinds) -> None:
        self._session = session
        self._findings = findings
        self._kinds = kinds

    async def match(
        self, pair: TablePair, topic: str, intervals: Sequence[Interval], tally: TableTally, excused: Sequence[int] = ()
    ) -> MatchReport:
        """Look for the rows that were made.

        Args:
            intervals: where the rows that were made lie.
            excused: the offsets of rows that need not be there.
        """
        report = MatchReport()
        for interval in intervals:
            (row,) = await self._session.fetch(_statements(pair).totals, *interval, excused)
            tally.made += row["made"]
            tally.made_checksum += int(row["made_checksum"])
            tally.stored += row["stored"]
            tally.stored_checksum += int(row["stored_checksum"])
            report.elsewhere += row["elsewhere"]
            report.excused += row["excused"]
            self._findings.count(self._kinds.only_made, row["only_made"])
            self._findings.count(DifferenceKind.CHANGED, row["changed"])
            if row["only_made"] or row["changed"]:
                arguments = (*interval, excused, self._findings.room)
                found = await self._session.fetch(_statements(pair).differing, *arguments)
                self._findings.name(self._differing(pair.table, topic, one) for one in found)
        return report

    def _differing(self, table: str, topic: str, row: Mapping[str, Any]) -> Difference:
        return Difference(
            DifferenceKind.CHANGED if row["is_stored"] else self._kinds.only_made,
            table,
            row["event_id"],
            row["time"],
            TopicPartition(topic, row["log_partition"]),
            row["log_offset"],
            tuple(row["columns"]) if row["is_stored"] else (),
        )

    async def find_others(
        self,
        pair: TablePair,
        partition: TopicPartition,
        offsets: OffsetRange,
        intervals: Sequence[Interval],
        tally: TableTally,
    ) -> None:
        """Look for rows that say they came from these offsets, and that were not made."""
        for interval in intervals:
            # One at the least, as the totals stand in every row.
            limit = max(1, self._findings.room)
            arguments = (*interval, partition.partition, offsets.first, offsets.end, limit)
            found = await self._session.fetch(_statements(pair).claiming, *arguments)
            if found:
                tally.stored += found[0]["rows"]
                tally.stored_checksum += int(found[0]["checksum"])
                self._findings.count(self._kinds.only_stored, found[0]["rows"])
                self._findings.name(
                    Difference(
                        self._kinds.only_stored, pair.table, row["event_id"], row["time"], partition, row["log_offset"]
                    )
                    for row in found
                )
