"""From raw records to rows-to-be and dead letters. Live consumption and replay share it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from arc_eval_db.consumers.records import LogRecord
from arc_eval_db.schemas.events import Event
from arc_eval_db.schemas.parsing import parse_event
from arc_eval_db.schemas.refusals import EventRefusedError, RefusalReason
from arc_eval_db.schemas.text import replace_nul
from arc_eval_db.schemas.topics import TopicNames
from arc_eval_db.writer import DeadLetter, LoggedEvent, RefusedEvent


@dataclass(slots=True)
class HandledBatch:
    """A batch of records, sorted into what can become rows and what cannot."""

    events: list[LoggedEvent] = field(default_factory=list)
    records: list[LogRecord] = field(default_factory=list)
    """The record of each event, at the same position."""
    dead_letters: list[DeadLetter] = field(default_factory=list)
    nul_replaced: int = 0
    """NUL characters that were replaced because PostgreSQL cannot store them."""


class ExecutionEventHandler:
    """Validates records. Pure: no I/O, no state between batches; the same records always give the same result."""

    def __init__(self, topics: TopicNames) -> None:
        self._topics = topics

    def handle(self, records: Iterable[LogRecord], now: datetime | None = None) -> HandledBatch:
        """Sort `records` into events and dead letters; never raises for what a record contains.

        Args:
            now: the moment that times "ahead" are measured from; the present if not given.
        """
        now = now or datetime.now(UTC)
        batch = HandledBatch()
        for record in records:
            try:
                event, nul_replaced = self._parse(record, now)
            except EventRefusedError as refusal:
                batch.dead_letters.append(_refused(record, refusal))
                continue
            batch.nul_replaced += nul_replaced
            batch.events.append(LoggedEvent(event, record.topic, record.partition, record.offset))
            batch.records.append(record)
        return batch

    def _parse(self, record: LogRecord, now: datetime) -> tuple[Event, int]:
        value, nul_replaced = replace_nul(record.value or b"")
        event = parse_event(value, now)
        if not self._topics.carries(record.topic, event.type):
            raise EventRefusedError(
                RefusalReason.WRONG_TOPIC,
                f"{event.type} belongs on another topic than {record.topic}",
                event_id=event.id,
            )
        return event, nul_replaced


def _refused(record: LogRecord, refusal: EventRefusedError) -> DeadLetter:
    return DeadLetter(
        partition=record.topic_partition,
        offset=record.offset,
        timestamp=record.timestamp,
        reason=refusal.reason,
        error_class=type(refusal).__name__,
        detail=refusal.detail,
        key=record.key,
        value=record.value,
        headers=record.headers,
        event_id=refusal.event_id,
    )


def refused_by_database(batch: HandledBatch, refused: Iterable[RefusedEvent]) -> list[DeadLetter]:
    """The dead letters for events whose rows the database would not store."""
    refused = list(refused)
    if not refused:
        return []
    record_of = {id(logged): record for logged, record in zip(batch.events, batch.records, strict=True)}
    letters = []
    for refusal in refused:
        record = record_of[id(refusal.logged)]
        letters.append(
            DeadLetter(
                partition=record.topic_partition,
                offset=record.offset,
                timestamp=record.timestamp,
                reason=RefusalReason.REFUSED_BY_DATABASE,
                error_class=type(refusal.error).__name__,
                detail=str(refusal.error),
                key=record.key,
                value=record.value,
                headers=record.headers,
                sqlstate=refusal.error.sqlstate,
                event_id=refusal.logged.event.id,
            )
        )
    return letters
