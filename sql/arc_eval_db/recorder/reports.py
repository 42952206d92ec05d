"""What a recorder tells its user: reports, errors, metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from arc_eval_db.breaker import BreakerState
from arc_eval_db.database import RowRefusedError
from arc_eval_db.errors import ArcEvalError, FatalError, RetryableError
from arc_eval_db.metrics import MetricDefinition
from arc_eval_db.records import Record
from arc_eval_db.schemas.refusals import EventRefusedError

RecorderMetric = Literal[
    "arc_eval_recorder_records_total",
    "arc_eval_recorder_inserted_total",
    "arc_eval_recorder_duplicates_total",
    "arc_eval_recorder_refused_total",
    "arc_eval_recorder_flush_seconds",
    "arc_eval_recorder_flush_records",
    "arc_eval_recorder_queue_records",
    "arc_eval_recorder_breaker_state",
    "arc_eval_recorder_retries_total",
]

RECORDER_METRICS: tuple[MetricDefinition[RecorderMetric], ...] = (
    MetricDefinition(
        "arc_eval_recorder_records_total",
        "counter",
        ("kind",),
        "Records taken into the queue, by kind; set with each flush.",
    ),
    MetricDefinition("arc_eval_recorder_inserted_total", "counter", (), "Records that became new rows."),
    MetricDefinition("arc_eval_recorder_duplicates_total", "counter", (), "Records whose row was there already."),
    MetricDefinition(
        "arc_eval_recorder_refused_total",
        "counter",
        ("reason",),
        "Records refused by the checks or the database, by reason.",
    ),
    MetricDefinition("arc_eval_recorder_flush_seconds", "histogram", (), "Time from a flush's start to its commit."),
    MetricDefinition("arc_eval_recorder_flush_records", "gauge", (), "Records in the latest flush."),
    MetricDefinition("arc_eval_recorder_queue_records", "gauge", (), "Records that wait for the database."),
    MetricDefinition(
        "arc_eval_recorder_breaker_state", "gauge", (), "The circuit breaker: 0 closed, 1 half-open, 2 open."
    ),
    MetricDefinition(
        "arc_eval_recorder_retries_total", "counter", ("cause",), "Flushes that failed for a passing reason, by cause."
    ),
)


@dataclass(frozen=True, slots=True)
class RefusedRecord:
    """A record that can never become a row as it stands."""

    record: Record
    """As it was given; the ids that it got are in its envelope, where it came as far as the database."""
    error: EventRefusedError | RowRefusedError
    """Says which field, or the SQLSTATE; never shows a value."""
    index: int
    """Its place among the records of the call or of the flush."""


@dataclass(frozen=True, slots=True)
class FlushReport:
    """What became of one committed batch: inserted + duplicates + refused = records."""

    records: int
    inserted: int
    duplicates: int
    refused: tuple[RefusedRecord, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class RecorderStats:
    """What a recorder did so far: recorded = inserted + duplicates + refused by the database + waiting."""

    recorded: int
    """Records taken into the queue."""
    inserted: int
    duplicates: int
    refused: Mapping[str, int]
    """By reason. "refused_by_database" was in the queue; the others never were."""
    flushes: int
    retries: int
    waiting: int
    breaker: BreakerState


@dataclass(frozen=True, slots=True)
class CloseReport:
    """The end of a recorder."""

    stats: RecorderStats
    unwritten: tuple[Record, ...]
    """What was not written in time, oldest first, with the ids that it got. Some of it may be in the database all the
    same, where a connection was lost during a commit; recorded again, it is stored once."""


class RecorderFullError(RetryableError):
    """The queue was full all the time that a record may wait. The caller still has the record."""

    def __init__(self, waited_s: float, *, taken: int = 0, refused: Sequence[RefusedRecord] = ()) -> None:
        super().__init__(f"no room in the recorder's queue for {waited_s:g} s: the database is slow or away")
        self.taken = taken
        """How many records of a `record_many`, from the first, were dealt with: queued, or among `refused`."""
        self.refused = tuple(refused)


class RecorderClosedError(FatalError):
    """The recorder is closed, or was not opened: use `async with`."""


class UnwrittenRecordsError(ArcEvalError):
    """The recorder was closed before everything was written."""

    def __init__(self, records: Sequence[Record]) -> None:
        super().__init__(f"{len(records)} records are not written; they are in this error's `records`")
        self.records = tuple(records)
        """Oldest first, with their ids: recorded again, each is stored once."""
