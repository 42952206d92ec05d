"""From raw records to rows-to-be and dead letters. Live consumption and replay share it."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from arc_eval_db.consumers.records import LogRecord, PartitionRecords, by_partition
from arc_eval_db.database import RowRefusedError
from arc_eval_db.schemas.bulk import BulkParser
from arc_eval_db.schemas.events import Event
from arc_eval_db.schemas.parsing import parse_event
from arc_eval_db.schemas.refusals import EventRefusedError, RefusalReason
from arc_eval_db.schemas.text import replace_nul
from arc_eval_db.schemas.topics import TopicNames
from arc_eval_db.writer import (
    TABLE_OF_TYPE,
    DeadLetter,
    LoggedEvent,
    Place,
    RowBatch,
    event_row,
)


def _dead_letter(
    record: LogRecord,
    reason: RefusalReason,
    error: Exception,
    detail: str,
    *,
    event_id: UUID | None,
    sqlstate: str | None = None,
) -> DeadLetter:
    return DeadLetter(
        partition=record.topic_partition,
        offset=record.offset,
        timestamp=record.timestamp,
        reason=reason,
        error_class=type(error).__name__,
        detail=detail,
        key=record.key,
        value=record.value,
        headers=record.headers,
        sqlstate=sqlstate,
        event_id=event_id,
    )


@dataclass(slots=True)
class HandledBatch:
    """A batch of records, sorted into what can become rows and what cannot."""

    rows: RowBatch = field(default_factory=RowBatch)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    nul_replaced: int = 0
    """NUL characters that were replaced because PostgreSQL cannot store them."""
    records: Counter[str] = field(default_factory=Counter)
    """How many records there were of each topic."""
    _sources: list[tuple[frozenset[str], PartitionRecords]] = field(default_factory=list)
    """Where the rows of these tables came from."""

    def refused(self, refused: Mapping[Place, RowRefusedError]) -> list[DeadLetter]:
        """The dead letters for rows that the database would not store."""
        return [
            _dead_letter(
                self._record_of(place),
                RefusalReason.REFUSED_BY_DATABASE,
                error,
                str(error),
                event_id=UUID(self.rows.row(place)[1]),
                sqlstate=error.sqlstate,
            )
            for place, error in refused.items()
        ]

    def _record_of(self, place: Place) -> LogRecord:
        *_, partition, offset = self.rows.row(place)
        for tables, source in self._sources:
            if place.table in tables and source.partition.partition == partition:
                index = bisect_left(source.offsets, offset)
                if source.offsets[index : index + 1] == [offset]:
                    return source.record(index)
        raise AssertionError(f"no record of the batch became {place}")

    def add_source(self, tables: frozenset[str], source: PartitionRecords) -> None:
        """Say where rows of these tables come from."""
        self._sources.append((tables, source))


class ExecutionEventHandler:
    """Validates records. Pure: no I/O, no state between batches; the same records always give the same result."""

    def __init__(self, topics: TopicNames) -> None:
        self._topics = topics
        self._parsers = {name: BulkParser(topics.types_on(name)) for name in topics.all}
        self._tables = {name: frozenset(TABLE_OF_TYPE[type_] for type_ in topics.types_on(name)) for name in topics.all}

    def handle(self, records: Iterable[LogRecord], now: datetime | None = None) -> HandledBatch:
        """Sort `records` into rows and dead letters; never raises for what a record contains.

        Args:
            now: the moment that times "ahead" are measured from; the present if not given.
        """
        batch = HandledBatch()
        for source in by_partition(records).values():
            self.add(batch, source, now=now)
        return batch

    def add(
        self,
        batch: HandledBatch,
        source: PartitionRecords,
        first: int = 0,
        end: int | None = None,
        now: datetime | None = None,
    ) -> None:
        """Sort the records of `source` from index `first` up to, not including, `end` into a batch.

        Slices of a source are added in turn, from its beginning on.
        """
        now = now or datetime.now(UTC)
        topic, partition = source.partition
        values, offsets = source.values[first:end], source.offsets[first:end]
        batch.records[topic] += len(values)
        if first == 0:
            batch.add_source(self._tables.get(topic, frozenset()), source)
        others: list[int] = []
        if parser := self._parsers.get(topic):
            batch.rows.add_events(parser.parse(values, now, others), partition, offsets)
        else:
            others = list(range(len(values)))
        for index in others:
            self._add_other(batch, source.record(first + index), now)

    def _add_other(self, batch: HandledBatch, record: LogRecord, now: datetime) -> None:
        try:
            event, nul_replaced = self.parse(record, now)
        except EventRefusedError as refusal:
            letter = _dead_letter(record, refusal.reason, refusal, refusal.detail, event_id=refusal.event_id)
            batch.dead_letters.append(letter)
            return
        batch.nul_replaced += nul_replaced
        batch.rows.add(*event_row(LoggedEvent(event, record.topic, record.partition, record.offset)))

    def parse(self, record: LogRecord, now: datetime) -> tuple[Event, int]:
        """The event of a record, and how many NUL characters were replaced in it.

        Raises:
            EventRefusedError: it has none that can become a row.
        """
        value, nul_replaced = replace_nul(record.value or b"")
        event = parse_event(value, now)
        if not self._topics.carries(record.topic, event.type):
            raise EventRefusedError(
                RefusalReason.WRONG_TOPIC,
                f"{event.type} belongs on another topic than {record.topic}",
                event_id=event.id,
            )
        return event, nul_replaced
