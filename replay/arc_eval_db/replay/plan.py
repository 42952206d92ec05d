"""What a replay will read: ranges resolved against the log, before anything is read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self

from arc_eval_db.consumers.kafka import LogBounds, LogReader
from arc_eval_db.consumers.records import LogRecord
from arc_eval_db.errors import ArcEvalError
from arc_eval_db.replay.ranges import Anchor, OffsetPoint, Point, RangeSpec, TimePoint, parse_range
from arc_eval_db.writer import OffsetRange, TopicPartition

_SOURCE = re.compile(r"(?P<topic>[A-Za-z0-9._-]{1,249})(?:/(?P<partition>\d{1,9}))?(?:=(?P<range>.+))?", re.DOTALL)


class PlanError(ArcEvalError):
    """What was asked for cannot be planned; the message says why and what to do."""


class Source(NamedTuple):
    """A topic, or one partition of it, and the range to read there."""

    topic: str
    partition: int | None
    """None: all of them."""
    range: RangeSpec

    def __str__(self) -> str:
        name = self.topic if self.partition is None else f"{self.topic}/{self.partition}"
        return f"{name}={self.range}"


def parse_source(text: str, default: RangeSpec, now: datetime) -> Source:
    """Understand `TOPIC`, `TOPIC/PARTITION`, and both followed by `=RANGE`.

    >>> str(parse_source("arc-eval.failures/3=-100", RangeSpec(), datetime.now(UTC)))
    'arc-eval.failures/3=-100:end'

    Raises:
        PlanError: it is neither.
        RangeSyntaxError: the range is none.
    """
    match = _SOURCE.fullmatch(text)
    if match is None:
        raise PlanError(
            f"{text!r} is no topic; correct ones are: arc-eval.executions, arc-eval.executions/3, "
            "arc-eval.executions/3=4000:5000"
        )
    spec = parse_range(match["range"], now) if match["range"] else default
    return Source(match["topic"], int(match["partition"]) if match["partition"] else None, spec)


@dataclass(frozen=True, slots=True)
class PlannedPartition:
    """What will be read of one partition."""

    partition: TopicPartition
    offsets: OffsetRange
    """What will be read: within what the log holds."""
    log: LogBounds
    """What the log held when this was planned."""
    truncated: int = 0
    """Offsets that were asked for, and that retention has taken; where a moment was asked for, how many it may be."""
    first_time: datetime | None = None
    """Kafka's time of the first record; None where there is no record at that offset."""
    last_time: datetime | None = None
    """Of the last."""

    @property
    def records_max(self) -> int:
        """How many records it is at the most: offsets may hold none (transaction markers)."""
        return self.offsets.end - self.offsets.first


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """All partitions of a replay, in their order."""

    partitions: tuple[PlannedPartition, ...]

    @property
    def records_max(self) -> int:
        """How many records it is at the most."""
        return sum(planned.records_max for planned in self.partitions)

    @property
    def truncated(self) -> int:
        """Offsets that retention has taken of what was asked for."""
        return sum(planned.truncated for planned in self.partitions)

    def ranges(self) -> dict[TopicPartition, OffsetRange]:
        """What will be read, by partition."""
        return {planned.partition: planned.offsets for planned in self.partitions}

    def require_whole(self) -> None:
        """
        Raises:
            PlanError: retention has taken some of what was asked for.
        """
        for planned in self.partitions:
            if planned.truncated:
                raise PlanError(
                    f"{planned.partition} begins at {planned.log.start}: up to {planned.truncated:,} of the records "
                    "that were asked for are gone (retention). To read what is left, add --allow-truncated; to ask for "
                    "what is there, use the range start"
                )

    def to_json(self) -> list[dict[str, Any]]:
        """For `replay_jobs` and for programs; `from_json` takes it back."""
        return [
            {
                "topic": planned.partition.topic,
                "partition": planned.partition.partition,
                "first": planned.offsets.first,
                "end": planned.offsets.end,
                "records_max": planned.records_max,
                "first_time": planned.first_time and planned.first_time.isoformat(),
                "last_time": planned.last_time and planned.last_time.isoformat(),
                "log_start": planned.log.start,
                "log_end": planned.log.end,
                "truncated": planned.truncated,
            }
            for planned in self.partitions
        ]

    @classmethod
    def from_json(cls, document: Sequence[Mapping[str, Any]]) -> Self:
        """What `to_json` made."""

        def time(text: str | None) -> datetime | None:
            return None if text is None else datetime.fromisoformat(text)

        return cls(
            tuple(
                PlannedPartition(
                    TopicPartition(each["topic"], each["partition"]),
                    OffsetRange(each["first"], each["end"]),
                    LogBounds(each["log_start"], each["log_end"]),
                    each["truncated"],
                    time(each["first_time"]),
                    time(each["last_time"]),
                )
                for each in document
            )
        )


async def make_plan(reader: LogReader, sources: Sequence[Source]) -> ReplayPlan:
    """Ask the brokers what the ranges are; reads no more than the first and the last record of each partition.

    Raises:
        PlanError: a topic or partition does not exist, or is named twice.
        KafkaUnavailableError: the brokers do not answer.
    """
    specs = await _specs(reader, sources)
    bounds = await reader.bounds(list(specs))
    points = {spec.first for spec in specs.values()} | {spec.end for spec in specs.values()}
    times = sorted({point.timestamp_ms for point in points if isinstance(point, TimePoint)})
    at = {time: await reader.offsets_at(list(specs), time) for time in times}
    resolved, ranges = {}, {}
    for partition, spec in specs.items():
        held = bounds[partition]
        by_time = {time: found[partition] for time, found in at.items()}
        first, end = _resolve(spec.first, held, by_time), min(_resolve(spec.end, held, by_time), held.end)
        resolved[partition] = (first, end)
        ranges[partition] = (first, max(end, held.start))
    offsets = {
        partition: OffsetRange(min(max(first, bounds[partition].start), end), end)
        for partition, (first, end) in ranges.items()
    }
    edges = {partition: (found.first, found.end - 1) for partition, found in offsets.items() if found.first < found.end}
    oldest = await reader.records_at(
        {
            partition: bounds[partition].start
            for partition, spec in specs.items()
            if isinstance(spec.first, TimePoint) and bounds[partition].start < bounds[partition].end
        }
    )
    firsts = await reader.records_at({partition: first for partition, (first, _) in edges.items()})
    lasts = await reader.records_at({partition: last for partition, (_, last) in edges.items()})
    return ReplayPlan(
        tuple(
            PlannedPartition(
                partition,
                offsets[partition],
                bounds[partition],
                _truncated(spec, resolved[partition], bounds[partition], oldest.get(partition)),
                firsts[partition].timestamp if partition in firsts else None,
                lasts[partition].timestamp if partition in lasts else None,
            )
            for partition, spec in specs.items()
        )
    )


async def _specs(reader: LogReader, sources: Sequence[Source]) -> dict[TopicPartition, RangeSpec]:
    existing = await reader.partitions(dict.fromkeys(source.topic for source in sources))
    specs: dict[TopicPartition, RangeSpec] = {}
    for source in sources:
        of_topic = [partition for partition in existing if partition.topic == source.topic]
        if not of_topic:
            raise PlanError(f"the topic {source.topic} does not exist; those of this project: arc-eval-db topics list")
        named = [partition for partition in of_topic if source.partition in (None, partition.partition)]
        if not named:
            raise PlanError(
                f"the topic {source.topic} has the partitions 0 to {len(of_topic) - 1}, no {source.partition}"
            )
        for partition in named:
            if partition in specs:
                raise PlanError(f"{partition} is named twice; name each partition once")
            specs[partition] = source.range
    return dict(sorted(specs.items()))


def _resolve(point: Point, held: LogBounds, at: Mapping[int, int | None]) -> int:
    """The offset of a point; it may lie outside of what the log holds."""
    if isinstance(point, TimePoint):
        offset = at[point.timestamp_ms]
        return held.end if offset is None else offset
    match point.anchor:
        case Anchor.START:
            return held.start + point.distance
        case Anchor.END:
            return max(held.start, held.end - point.distance)
        case Anchor.OFFSET:
            return point.distance


def _truncated(spec: RangeSpec, resolved: tuple[int, int], held: LogBounds, oldest: LogRecord | None) -> int:
    """How many of the records that were asked for the log does not hold any more, at the most.

    Args:
        resolved: the offsets that the range means, which may lie outside of what the log holds.
        oldest: the first record that the log holds; None where there is none at its first offset.
    """
    first, end = resolved
    if isinstance(spec.first, OffsetPoint):
        return max(0, min(held.start, end) - first)
    # A log that was never cut has everything, and one that goes back beyond the moment has all of this.
    if held.start == 0 or (oldest is not None and oldest.timestamp <= spec.first.time):
        return 0
    return held.start


def now() -> datetime:
    """The moment that ages count from."""
    return datetime.now(UTC)
