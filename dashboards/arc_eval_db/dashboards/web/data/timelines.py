"""An execution's events as a story: what came when, what is missing, how long each took. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from arc_eval_db.schemas.topics import COMPLETED, FAILURE_RECORDED, PROGRESSED, STARTED, TOOL_USED

GAPS_MAX = 100


class Kind(StrEnum):
    """What an event tells of."""

    STARTED = "started"
    PROGRESS = "progress"
    TOOL = "tool"
    FAILURE = "failure"
    OUTCOME = "outcome"
    OTHER = "other"


_KINDS = {
    STARTED: Kind.STARTED,
    PROGRESSED: Kind.PROGRESS,
    TOOL_USED: Kind.TOOL,
    FAILURE_RECORDED: Kind.FAILURE,
    COMPLETED: Kind.OUTCOME,
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the log an event came from."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]@{self.offset}"


@dataclass(frozen=True, slots=True)
class TimelineEvent:
    """One event. Every text in it was written by whoever ran."""

    time: datetime
    """When it was over, of what lasted."""
    sequence: int
    """Its number within the execution; 0: said from outside of it."""
    event_id: UUID
    type: str
    name: str | None
    """The tool, the failure's kind, the outcome's status."""
    success: bool | None
    duration_ms: float | None
    """Of a tool's use, or of all of the execution."""
    error_kind: str | None
    message: str | None
    details: str | None
    """JSON as text: arguments, details, metadata, or all that the event said."""
    result_bytes: int | None
    score: float | None
    cost_usd: float | None
    input_tokens: int | None
    output_tokens: int | None
    last_sequence: int | None
    dropped: str | None
    place: Place | None
    """None: it did not come from the log."""

    @property
    def kind(self) -> Kind:
        """What it tells of."""
        return _KINDS.get(self.type, Kind.OTHER)

    @property
    def began_at(self) -> datetime:
        """When what it tells of began: a tool's use is told when it is over."""
        if self.kind is not Kind.TOOL or self.duration_ms is None:
            return self.time
        return self.time - timedelta(milliseconds=min(self.duration_ms, _DURATION_MS_MAX))

    @property
    def is_bad(self) -> bool:
        """Whether it tells of something that went wrong."""
        return self.kind is Kind.FAILURE or self.success is False


_DURATION_MS_MAX = 366 * 86_400_000.0


@dataclass(frozen=True, slots=True)
class Gap:
    """Numbers that were given to events of which there is no row."""

    first: int
    last: int

    @property
    def count(self) -> int:
        """How many events that are."""
        return self.last - self.first + 1

    def __str__(self) -> str:
        return f"{self.first}" if self.first == self.last else f"{self.first} to {self.last}"


@dataclass(frozen=True, slots=True)
class Gaps:
    """What is missing between the first number and the last."""

    gaps: tuple[Gap, ...]
    """At most `GAPS_MAX`."""
    missing: int
    """Events in all gaps."""


def find_gaps(sequences: Iterable[int], last_sequence: int | None) -> Gaps:
    """The numbers from 1 to the last that are not there.

    Args:
        sequences: numbers of the rows, in any order; 0 was said from outside, and is passed over.
        last_sequence: what the execution's end says was its last number; None: as far as there are rows.

    >>> [str(gap) for gap in find_gaps([1, 2, 5], 7).gaps]
    ['3 to 4', '6 to 7']
    """
    gaps: list[Gap] = []
    missing, expected = 0, 1
    ordered: Sequence[int] = sorted({sequence for sequence in sequences if sequence > 0})
    for sequence in (*ordered, (last_sequence or 0) + 1):
        if sequence > expected:
            missing += sequence - expected
            gaps.append(Gap(expected, sequence - 1))
        expected = max(expected, sequence + 1)
    return Gaps(tuple(gaps[:GAPS_MAX]), missing)


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when a timeline's axis goes."""

    begin: datetime
    end: datetime

    @classmethod
    def of(cls, events: Iterable[TimelineEvent], started_at: datetime | None) -> Span | None:
        """What holds all events, their beginnings too; None without any."""
        times = [moment for event in events for moment in (event.began_at, event.time)]
        if started_at is not None:
            times.append(started_at)
        return cls(min(times), max(times)) if times else None

    def share(self, moment: datetime) -> float:
        """Where on the axis a moment is, from 0 to 1."""
        length = (self.end - self.begin) / timedelta(milliseconds=1)
        return 0.0 if length <= 0 else ((moment - self.begin) / timedelta(milliseconds=1)) / length


def event_of(row: Any, topic: str | None) -> TimelineEvent:
    """From a row of the query `timeline`."""
    values = {key: value for key, value in row.items() if key not in ("log_partition", "log_offset")}
    place = None
    if topic is not None and row["log_partition"] is not None and row["log_offset"] is not None:
        place = Place(topic, row["log_partition"], row["log_offset"])
    return TimelineEvent(**values, place=place)
