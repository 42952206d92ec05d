"""Is what the log says what the tables hold? Compares one window of one partition at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import chain
from uuid import UUID

from arc_eval_db.consumers.handler import ExecutionEventHandler, HandledBatch
from arc_eval_db.consumers.records import LogRecord, PartitionRecords
from arc_eval_db.database import Session
from arc_eval_db.replay.comparing import Comparison, Kinds, TablePair, begin_comparing
from arc_eval_db.replay.dead_letters import Resolution
from arc_eval_db.replay.differences import NAMED_MAX, Difference, DifferenceKind, Findings, TableTally
from arc_eval_db.replay.intervals import Interval, by_day, widened
from arc_eval_db.replay.staging import stage_rows, staged
from arc_eval_db.schemas.topics import TopicNames
from arc_eval_db.sql import queries
from arc_eval_db.writer import TABLE_OF_TYPE, OffsetRange, TopicPartition
from arc_eval_db.writer.rows import COLUMNS, Row

MARGIN = timedelta(days=1)
"""Rows that the log does not know are looked for so long before and after the events of a window."""

_KINDS = Kinds(only_made=DifferenceKind.MISSING, only_stored=DifferenceKind.EXTRA)

# A letter that became a row does not say why the row is not there.
_BECAME_ROWS = frozenset({Resolution.STORED.value, Resolution.DUPLICATE.value})


@dataclass(slots=True)
class WindowReport:
    """What came of comparing one window."""

    partition: TopicPartition
    offsets: OffsetRange
    records: int = 0
    tables: dict[str, TableTally] = field(default_factory=dict)
    """What today's code makes of the log and what is stored, by table; not what is set aside."""
    duplicates: int = 0
    """Records of an event that another record, or a program, brought too."""
    set_aside: int = 0
    """Records that cannot become rows and are dead letters."""
    dead_lettered: Counter[str] = field(default_factory=Counter)
    """Dead letters, by their state, that have no row and that today's code would store: no difference, but worth
    `arc-eval-db dead-letters retry` where they are open."""
    searched: list[Interval] = field(default_factory=list)
    """The times between which rows were looked for that the log does not know."""
    differences: list[Difference] = field(default_factory=list)
    """The first of them."""
    counts: Counter[DifferenceKind] = field(default_factory=Counter)
    """All differences."""

    @property
    def agrees(self) -> bool:
        """Whether nothing differs."""
        return not self.counts

    @property
    def unnamed(self) -> int:
        """Differences that are counted and not named."""
        return self.counts.total() - len(self.differences)


class LogVerifier:
    """Compares windows of the log with the tables. Changes nothing; holds nothing between windows."""

    def __init__(self, topics: TopicNames, *, margin: timedelta = MARGIN, named_max: int = NAMED_MAX) -> None:
        """
        Args:
            topics: the registry under the prefix in use.
            margin: how long before and after a window's events to look for rows that the log does not know. All rows of
                that time are read, for each window.
            named_max: so many differences of a window are named, the others counted.
        """
        self._topics = topics
        self._margin = margin
        self._named_max = named_max
        self._handler = ExecutionEventHandler(topics)

    async def window(
        self,
        session: Session,
        records: Sequence[LogRecord] | PartitionRecords,
        partition: TopicPartition,
        offsets: OffsetRange,
    ) -> WindowReport:
        """Compare all records that the log holds of these offsets with the tables.

        Args:
            session: not in a transaction; of a login that may read the tables and make temporary ones.
            records: all of them, in the order of their offsets.
            offsets: what the consumers have read already: what they have not is missing.

        Raises:
            ValueError: a record is not one of this window.
            RetryableError: the database did not answer; nothing was changed, and the window can be compared again.
            FatalError: the schema does not fit, or the login may not read it.
        """
        source = _checked(records, partition, offsets)
        handled = HandledBatch()
        if len(source):
            self._handler.add(handled, source)
        async with session.transaction():
            await begin_comparing(session)
            return await self._compare(session, source, handled, offsets)

    async def _compare(
        self, session: Session, source: PartitionRecords, handled: HandledBatch, offsets: OffsetRange
    ) -> WindowReport:
        partition = source.partition
        report = WindowReport(partition, offsets, records=len(source))
        findings = Findings(self._named_max, report.differences, report.counts)
        states = await _letters(session, source, offsets)
        excused = [offset for offset, state in states.items() if state not in _BECAME_ROWS]
        refused = {letter.offset: letter.event_id for letter in handled.dead_letters}
        made = {table: handled.rows.tables[table] for table in self._tables(partition.topic)}
        unique = {table: _unique(rows, set(excused)) for table, rows in made.items()}
        report.duplicates = sum(map(len, made.values())) - sum(map(len, unique.values()))
        for table, rows in unique.items():
            refused |= {row[-1]: UUID(row[1]) for row in await stage_rows(session, table, rows)}
        comparison = Comparison(session, findings, _KINDS)
        report.searched = self._searched(source, chain.from_iterable(unique.values()))
        for table, rows in unique.items():
            pair, tally = TablePair(table, staged(table)), report.tables.setdefault(table, TableTally())
            matched = await comparison.match(pair, partition.topic, by_day(row[0] for row in rows), tally, excused)
            report.duplicates += matched.elsewhere
            report.dead_lettered.update(states[offset] for offset in matched.excused)
            await comparison.find_others(pair, partition, offsets, report.searched, tally)
        report.set_aside = len(refused.keys() & states.keys())
        lost = {offset: event_id for offset, event_id in sorted(refused.items()) if offset not in states}
        await self._look_for_rows(session, report, lost)
        findings.count(DifferenceKind.MISSING_DEAD_LETTER, len(lost))
        findings.name(
            Difference(DifferenceKind.MISSING_DEAD_LETTER, None, event_id, None, partition, offset)
            for offset, event_id in lost.items()
        )
        return report

    def _tables(self, topic: str) -> list[str]:
        """The tables of a topic's events, in the order in which every writer takes them."""
        tables = {TABLE_OF_TYPE[type_] for type_ in self._topics.types_on(topic)}
        return [table for table in COLUMNS if table in tables]

    def _searched(self, source: PartitionRecords, rows: Iterable[Row]) -> list[Interval]:
        """Where rows may lie that say they came from this window: around its events or, without any, its records."""
        found = by_day(row[0] for row in rows)
        if not found:
            found = by_day(source.record(index).timestamp for index in range(len(source)))
        return widened(found, self._margin)

    async def _look_for_rows(self, session: Session, report: WindowReport, lost: dict[int, UUID | None]) -> None:
        """Of records that cannot become rows today, leave out those that are rows: such a row is `extra`."""
        for table in report.tables if lost else ():
            for interval in report.searched:
                rows = await session.fetch(
                    f"SELECT log_offset FROM {table}"  # noqa: S608 - a name from COLUMNS
                    " WHERE time BETWEEN $1 AND $2 AND log_partition = $3 AND log_offset = ANY($4)",
                    *(*interval, report.partition.partition, list(lost)),
                )
                for row in rows:
                    lost.pop(row["log_offset"], None)


def _checked(
    records: Sequence[LogRecord] | PartitionRecords, partition: TopicPartition, offsets: OffsetRange
) -> PartitionRecords:
    if isinstance(records, PartitionRecords):
        source, strangers = records, records.partition != partition
    else:
        source = PartitionRecords(partition, records)
        strangers = any(record.topic_partition != partition for record in records)
    if strangers or not all(offsets.first <= offset < offsets.end for offset in source.offsets):
        raise ValueError(f"a record is not one of {partition} from {offsets.first} up to {offsets.end}")
    return source


async def _letters(session: Session, source: PartitionRecords, offsets: OffsetRange) -> Mapping[int, str]:
    """What became of the window's records that were set aside, by offset.

    A letter of another time is of a topic of this name that was deleted.
    """
    arguments = (*source.partition, offsets.first, offsets.end)
    rows = await session.fetch(queries("replay_verify")["dead_letters_in_range"], *arguments)
    indexes = {offset: index for index, offset in enumerate(source.offsets)} if rows else {}
    return {
        offset: row["state"]
        for row in rows
        if (offset := row["log_offset"]) in indexes and source.record(indexes[offset]).timestamp == row["log_timestamp"]
    }


def _unique(rows: Sequence[Row], excused: Collection[int]) -> list[Row]:
    """Each event once, of the first record that became its row: one that was set aside comes last."""
    found: dict[tuple[object, object], Row] = {}
    for row in sorted(rows, key=lambda row: (row[-1] in excused, row[-1])):
        found.setdefault((row[1], row[0]), row)
    return list(found.values())
