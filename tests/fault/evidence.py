"""Everything that the invariants are checked on, read once after a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from arc_eval_db.consumers.kafka import LogReader
from arc_eval_db.consumers.records import LogRecord
from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.schemas.topics import COMPLETED, FAILURE_RECORDED, STARTED, TOOL_USED, TopicNames
from arc_eval_db.settings import KafkaSettings
from arc_eval_db.writer import OffsetRange, TopicPartition
from arc_eval_db.writer.rows import COLUMNS
from fault.ledger import LedgerEntry, read_ledgers
from support.databases import connect

TYPE_OF_TABLE = {
    "execution_events": STARTED,
    "failures": FAILURE_RECORDED,
    "outcomes": COMPLETED,
    "tool_usage": TOOL_USED,
}
"""For each table a type whose events become its rows: they name the topic."""


class Place(NamedTuple):
    """Where a record stands in the log."""

    topic: str
    partition: int
    offset: int


@dataclass(slots=True)
class StoredRow:
    """One row of an event table."""

    table: str
    event_id: UUID
    place: Place
    values: Mapping[str, Any]
    """By column, all of them."""


@dataclass(slots=True)
class StoredDeadLetter:
    """One dead letter."""

    place: Place
    event_id: UUID | None
    detail: str


class LogGap(NamedTuple):
    """What the group says that it will never read."""

    partition: TopicPartition
    first: int
    end: int | None
    """Not included; None where nobody knows, as of a topic that was made anew."""


class OffsetChange(NamedTuple):
    """What the audit saw: an offset was inserted (`before` is None) or moved."""

    partition: TopicPartition
    before: int | None
    after: int


@dataclass(slots=True)
class Evidence:
    """The log, the database and the ledgers after a run."""

    ledger: dict[UUID, LedgerEntry] = field(default_factory=dict)
    log: list[LogRecord] = field(default_factory=list)
    log_starts: dict[TopicPartition, int] = field(default_factory=dict)
    log_ends: dict[TopicPartition, int] = field(default_factory=dict)
    rows: list[StoredRow] = field(default_factory=list)
    dead_letters: list[StoredDeadLetter] = field(default_factory=list)
    gaps: list[LogGap] = field(default_factory=list)
    next_offsets: dict[TopicPartition, int] = field(default_factory=dict)
    changes: list[OffsetChange] = field(default_factory=list)
    now: datetime = field(default_factory=lambda: datetime.now(UTC))


async def collect(kafka: KafkaSettings, database: DatabaseSettings, group: str, ledgers: Iterable[Path]) -> Evidence:
    """Read it all; both servers must answer."""
    evidence = Evidence(ledger=read_ledgers(ledgers))
    topics = TopicNames(kafka.topic_prefix)
    await read_log(evidence, kafka, topics)
    async with await connect(database) as session:
        await read_database(evidence, session, group, topics)
    return evidence


async def read_log(evidence: Evidence, kafka: KafkaSettings, topics: TopicNames) -> None:
    """The log's part of the evidence."""
    async with LogReader(kafka, client_id="fault-tests") as reader:
        bounds = await reader.bounds(await reader.partitions(topics.all))
        evidence.log_starts = {partition: held.start for partition, held in bounds.items()}
        evidence.log_ends = {partition: held.end for partition, held in bounds.items()}
        ranges = {partition: OffsetRange(held.start, held.end) for partition, held in bounds.items()}
        evidence.log = [record async for records in reader.read(ranges) for record in records]


async def read_database(evidence: Evidence, session: Session, group: str, topics: TopicNames) -> None:
    """The database's part of the evidence."""
    evidence.rows = []
    for table, event_type in TYPE_OF_TABLE.items():
        evidence.rows += await _rows(session, table, topics.of_type(event_type))
    letters = await session.fetch("SELECT topic, log_partition, log_offset, event_id, detail FROM dead_letters")
    evidence.dead_letters = [
        StoredDeadLetter(Place(*list(row.values())[:3]), row["event_id"], row["detail"]) for row in letters
    ]
    gaps = await session.fetch(
        "SELECT topic, partition, first_offset, end_offset FROM log_gaps WHERE consumer_group = $1", group
    )
    evidence.gaps = [
        LogGap(TopicPartition(row["topic"], row["partition"]), row["first_offset"], row["end_offset"]) for row in gaps
    ]
    offsets = await session.fetch(
        "SELECT topic, partition, next_offset FROM consumer_offsets WHERE consumer_group = $1", group
    )
    evidence.next_offsets = {TopicPartition(row["topic"], row["partition"]): row["next_offset"] for row in offsets}
    changes = await session.fetch(
        "SELECT topic, partition, before, after FROM fault_offset_audit WHERE consumer_group = $1 ORDER BY id", group
    )
    evidence.changes = [
        OffsetChange(TopicPartition(row["topic"], row["partition"]), row["before"], row["after"]) for row in changes
    ]


async def _rows(session: Session, table: str, topic: str) -> list[StoredRow]:
    names = list(COLUMNS[table])
    found = await session.fetch(f"SELECT {', '.join(names)} FROM {table}")
    return [
        StoredRow(table, row["event_id"], Place(topic, row["log_partition"], row["log_offset"]), dict(row))
        for row in found
    ]


AUDIT = """
CREATE TABLE fault_offset_audit (
    id bigint GENERATED ALWAYS AS IDENTITY, consumer_group text, topic text, partition integer,
    before bigint, after bigint
);
CREATE FUNCTION fault_audit_offset() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO fault_offset_audit (consumer_group, topic, partition, before, after) VALUES (
        NEW.consumer_group, NEW.topic, NEW.partition,
        CASE TG_OP WHEN 'UPDATE' THEN OLD.next_offset END, NEW.next_offset
    );
    RETURN NULL;
END $$;
CREATE TRIGGER fault_audit_offset AFTER INSERT OR UPDATE ON consumer_offsets
    FOR EACH ROW EXECUTE FUNCTION fault_audit_offset();
"""
"""Writes down each move of an offset, in the order of their commits: the row's lock is held until then."""


async def install_audit(database: DatabaseSettings) -> None:
    """Before the first consumer starts."""
    async with await connect(database) as session:
        await session.execute(AUDIT)
