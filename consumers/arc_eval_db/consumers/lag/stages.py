"""Where the time goes between an agent's emit and a view: each stage as far as it can honestly be known.

A stage that cannot be known says so, and why; nothing is estimated from another.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from arc_eval_db.consumers.kafka import LogReader, OffsetOutOfRangeError
from arc_eval_db.consumers.lag.measuring import PartitionLag, event_time
from arc_eval_db.consumers.lag.notes import WorkerNote
from arc_eval_db.consumers.lag.standing import Standing
from arc_eval_db.consumers.records import LogRecord
from arc_eval_db.writer import OffsetRange, TopicPartition

RECENT_RECORDS_MAX = 20
"""Of each partition, so that a look stays cheap."""
RECENT_S = 600.0

NO_WORKER = "no worker has told Kafka within the last minute; it does so every few seconds"


@dataclass(frozen=True, slots=True)
class Stage:
    """How long one stage took, over so many records or batches; None where it is not known."""

    p50_s: float | None = None
    p95_s: float | None = None
    max_s: float | None = None
    count: int = 0
    why: str | None = None
    """Why it is not known, or what the figure means."""

    @classmethod
    def of(cls, seconds: Iterable[float], otherwise: str) -> Stage:
        """The stage from single figures; without any, the reason."""
        figures = sorted(seconds)
        if not figures:
            return cls(why=otherwise)
        return cls(_quantile(figures, 0.5), _quantile(figures, 0.95), figures[-1], len(figures))


def _quantile(figures: Sequence[float], share: float) -> float:
    return figures[max(0, math.ceil(share * len(figures)) - 1)]


@dataclass(frozen=True, slots=True)
class Stages:
    """The stages of one topic."""

    emit_to_broker: Stage
    """From the event's own time, by the emitter's clock, to Kafka's. Records that were spooled took long."""
    broker_to_consumer: Stage
    """Of the last batches, by what their workers say."""
    consumer_to_commit: Stage
    """Likewise."""
    broker_to_commit: Stage
    """Of each partition's last record, by the database: from Kafka's time to the end of its transaction."""
    commit_to_aggregate: Stage
    """From a row to its being counted in the rollups."""

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


async def recent_records(reader: LogReader, lags: Sequence[PartitionLag], now: datetime) -> list[LogRecord]:
    """The newest records of each partition that are not older than ten minutes, read or unread."""
    ranges = {
        lag.partition: OffsetRange(max(lag.log_start, lag.log_end - RECENT_RECORDS_MAX), lag.log_end) for lag in lags
    }
    found: list[LogRecord] = []
    try:
        async for records in reader.read(ranges):
            found += records
    except (OffsetOutOfRangeError, UnicodeDecodeError):
        # Deleted meanwhile, or not to be taken apart: what was read before it is as good as it is.
        return found
    return [record for record in found if now - record.timestamp <= timedelta(seconds=RECENT_S)]


def stages_of(
    partitions: Sequence[TopicPartition],
    records: Iterable[LogRecord],
    notes: Mapping[TopicPartition, WorkerNote],
    standing: Mapping[TopicPartition, Standing],
    aggregate: Stage,
) -> Stages:
    """The stages of one topic.

    Args:
        records: recent ones of these partitions.
        notes: those that are fresh.
        aggregate: the last stage, which is the database's alone.
    """
    told = [notes[partition] for partition in partitions if partition in notes]
    stood = [standing[partition] for partition in partitions if partition in standing]
    return Stages(
        Stage.of(
            (
                (record.timestamp - produced_at).total_seconds()
                for record in records
                if (produced_at := event_time(record.value)) is not None
            ),
            "no event of the last ten minutes",
        ),
        Stage.of((note.broker_to_consumer_s for note in told if note.broker_to_consumer_s is not None), NO_WORKER),
        Stage.of((note.consumer_to_commit_s for note in told if note.consumer_to_commit_s is not None), NO_WORKER),
        Stage.of(
            (seconds for each in stood if (seconds := each.broker_to_commit_s) is not None),
            "no partition whose last move was a batch of records",
        ),
        aggregate,
    )
