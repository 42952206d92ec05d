"""Compares shadow tables with the live ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from arc_eval_db.database import Session
from arc_eval_db.replay.comparing import Comparison, Kinds, TablePair, begin_comparing
from arc_eval_db.replay.differences import DEAD_LETTERS, Difference, DifferenceKind, Findings, TableTally
from arc_eval_db.replay.intervals import Interval, by_day, widened
from arc_eval_db.schemas.topics import TopicNames
from arc_eval_db.writer import TABLE_OF_TYPE, OffsetRange, TopicPartition
from arc_eval_db.writer.rows import COLUMNS

_KINDS = Kinds(only_made=DifferenceKind.ONLY_IN_SHADOW, only_stored=DifferenceKind.ONLY_LIVE)

_LETTER_COLUMNS = ("reason", "error_class", "sqlstate", "event_id", "event_type")
"""What is compared of dead letters: the rest is the record itself, or says when and by whom, or is said in words that
change with the releases."""


@dataclass(slots=True)
class ShadowDiff:
    """What today's code makes of the log, against what is live."""

    schema: str
    tables: dict[str, TableTally] = field(default_factory=dict)
    """What the shadow holds and what is live of the same, by table of events."""
    searched: list[Interval] = field(default_factory=list)
    """The times between which rows were looked for that only the live tables have."""
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


async def diff_shadow(
    session: Session,
    schema: str,
    topics: TopicNames,
    ranges: Mapping[TopicPartition, OffsetRange],
    *,
    times: Interval | None,
    margin: timedelta,
    named_max: int,
) -> ShadowDiff:
    """Compare a shadow's tables of events and dead letters with the live ones; what events point at is not compared."""
    report = ShadowDiff(schema)
    findings = Findings(named_max, report.differences, report.counts)
    async with session.transaction():
        await begin_comparing(session)
        comparison = Comparison(session, findings, _KINDS)
        pairs = [TablePair(table, f"{schema}.{table}") for table in COLUMNS]
        intervals = {pair: await _days(session, pair.made, "time") for pair in pairs}
        around = [one for found in intervals.values() for one in found]
        around = around or await _days(session, f"{schema}.{DEAD_LETTERS}", "log_timestamp")
        report.searched = [times] if times else widened(around, margin)
        for pair in pairs:
            tally = report.tables.setdefault(pair.table, TableTally())
            await session.execute(f"ANALYZE {pair.made} (event_id, time)")
            await comparison.match(pair, _topic_of(pair.table, topics), intervals[pair], tally)
            for partition, offsets in ranges.items():
                if pair.table in {TABLE_OF_TYPE[type_] for type_ in topics.types_on(partition.topic)}:
                    await comparison.find_others(pair, partition, offsets, report.searched, tally)
        await _match_letters(session, schema, findings)
        for partition, offsets in ranges.items():
            await _find_other_letters(session, schema, partition, offsets, findings)
    return report


def _topic_of(table: str, topics: TopicNames) -> str:
    return topics.of_type(next(type_ for type_, name in TABLE_OF_TYPE.items() if name == table))


async def _days(session: Session, table: str, column: str) -> list[Interval]:
    """The first and the last time of each day that a table has rows of."""
    rows = await session.fetch(
        f"SELECT min({column}) AS first, max({column}) AS last FROM {table}"  # noqa: S608 - names of ours
        f" GROUP BY date_trunc('day', {column}, 'UTC')"
    )
    return by_day(time for row in rows for time in (row["first"], row["last"]))


async def _match_letters(session: Session, schema: str, findings: Findings) -> None:
    """The shadow's dead letters against the live ones of the same records."""
    columns = ", ".join(
        f"CASE WHEN made.{name} IS DISTINCT FROM live.{name} THEN '{name}' END" for name in _LETTER_COLUMNS
    )
    made, live = (f"ROW({', '.join(f'{side}.{name}' for name in _LETTER_COLUMNS)})" for side in ("made", "live"))
    for kind, condition in (
        (_KINDS.only_made, "live.id IS NULL"),
        (DifferenceKind.CHANGED, f"live.id IS NOT NULL AND {made} IS DISTINCT FROM {live}"),
    ):
        rows = await session.fetch(
            f"""
SELECT made.topic, made.log_partition, made.log_offset, made.log_timestamp, made.event_id,
    array_remove(ARRAY[{columns}], NULL) AS columns, count(*) OVER () AS letters
FROM {schema}.dead_letters AS made
LEFT JOIN dead_letters AS live
    ON live.topic = made.topic AND live.log_partition = made.log_partition AND live.log_offset = made.log_offset
    AND live.log_timestamp = made.log_timestamp
WHERE {condition}
ORDER BY made.topic, made.log_partition, made.log_offset
LIMIT $1
""",  # noqa: S608 - names of ours
            max(1, findings.room),
        )
        _note_letters(findings, kind, rows)


async def _find_other_letters(
    session: Session, schema: str, partition: TopicPartition, offsets: OffsetRange, findings: Findings
) -> None:
    """Live dead letters of these offsets that the shadow does not have; those that became rows are rows now."""
    rows = await session.fetch(
        f"""
SELECT topic, log_partition, log_offset, log_timestamp, event_id, count(*) OVER () AS letters
FROM dead_letters AS live
WHERE topic = $1 AND log_partition = $2 AND log_offset >= $3 AND log_offset < $4
    AND COALESCE(resolution, '') NOT IN ('stored', 'duplicate')
    AND NOT EXISTS (
        SELECT FROM {schema}.dead_letters AS made
        WHERE made.topic = live.topic AND made.log_partition = live.log_partition AND made.log_offset = live.log_offset
            AND made.log_timestamp = live.log_timestamp
    )
ORDER BY log_offset
LIMIT $5
""",  # noqa: S608 - names of ours
        *(*partition, offsets.first, offsets.end, max(1, findings.room)),
    )
    _note_letters(findings, _KINDS.only_stored, rows)


def _note_letters(findings: Findings, kind: DifferenceKind, rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    findings.count(kind, rows[0]["letters"])
    findings.name(
        Difference(
            kind,
            DEAD_LETTERS,
            row["event_id"],
            row["log_timestamp"],
            TopicPartition(row["topic"], row["log_partition"]),
            row["log_offset"],
            tuple(row.get("columns", ())) if kind is DifferenceKind.CHANGED else (),
        )
        for row in rows
    )
