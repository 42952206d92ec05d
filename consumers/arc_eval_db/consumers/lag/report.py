"""What a look at a group's lag found, for people and programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from arc_eval_db.consumers.lag.measuring import PartitionLag
from arc_eval_db.consumers.lag.rates import Rates
from arc_eval_db.consumers.lag.stages import Stages
from arc_eval_db.consumers.lag.states import LagState, Verdict, worst


@dataclass(frozen=True, slots=True)
class PartitionReport:
    """One partition."""

    lag: PartitionLag
    lag_messages: int
    lag_s: float | None
    event_age_s: float | None
    rates: Rates
    retention_share: float | None
    verdict: Verdict

    @property
    def catch_up_s(self) -> float | None:
        """Until nothing is unread; None where that will not happen, or is not known."""
        return self.rates.catch_up_s(self.lag_messages)

    def to_json(self) -> dict[str, Any]:
        """docs/lag.md explains each field."""
        return {
            "topic": self.lag.partition.topic,
            "partition": self.lag.partition.partition,
            "state": self.verdict.state.value,
            "reason": self.verdict.reason,
            "next_step": self.verdict.next_step,
            "next_offset": self.lag.next_offset,
            "log_start": self.lag.log_start,
            "log_end": self.lag.log_end,
            "lag_messages": self.lag_messages,
            "lost_messages": self.lag.lost_messages,
            "lag_seconds": self.lag_s,
            "event_age_seconds": self.event_age_s,
            "in_per_second": self.rates.in_per_s,
            "out_per_second": self.rates.out_per_s,
            "catch_up_seconds": self.catch_up_s,
            "retention_share": self.retention_share,
        }


@dataclass(frozen=True, slots=True)
class TopicReport:
    """One topic: totals of its partitions, and what they are at worst."""

    topic: str
    partitions: Sequence[PartitionReport]
    stages: Stages

    @property
    def lag_messages(self) -> int:
        """Of all partitions."""
        return sum(each.lag_messages for each in self.partitions)

    @property
    def lag_s(self) -> float | None:
        """Of the partition that is furthest behind."""
        return _largest(each.lag_s for each in self.partitions)

    @property
    def rates(self) -> Rates:
        """Of all partitions together; not known while one of them is not."""
        return Rates(
            _sum(each.rates.in_per_s for each in self.partitions),
            _sum(each.rates.out_per_s for each in self.partitions),
        )

    @property
    def catch_up_s(self) -> float | None:
        """Until the slowest partition is caught up; None where one will not be, or is not known to."""
        each_s = [each.catch_up_s for each in self.partitions]
        return None if None in each_s else _largest(each_s)

    @property
    def retention_share(self) -> float | None:
        """The largest."""
        return _largest(each.retention_share for each in self.partitions)

    @property
    def state(self) -> LagState:
        """The worst."""
        return worst(each.verdict.state for each in self.partitions)

    def to_json(self) -> dict[str, Any]:
        """docs/lag.md explains each field."""
        rates = self.rates
        return {
            "topic": self.topic,
            "state": self.state.value,
            "lag_messages": self.lag_messages,
            "lag_seconds": self.lag_s,
            "in_per_second": rates.in_per_s,
            "out_per_second": rates.out_per_s,
            "catch_up_seconds": self.catch_up_s,
            "retention_share": self.retention_share,
            "stages": self.stages.to_json(),
        }


@dataclass(frozen=True, slots=True)
class LagReport:
    """One look at one group."""

    group: str
    measured_at: datetime
    topics: Sequence[TopicReport]
    workers: int | None
    """Members of the group; None where Kafka does not say."""
    warnings: Sequence[str] = ()
    """What could not be known, and why."""
    from_kafka: bool = False
    """The database did not answer: the offsets are Kafka's copy, which is up to some seconds old."""
    missing: Sequence[str] = ()
    """Topics that were asked for and are not there, or that the login may not see."""

    @property
    def partitions(self) -> list[PartitionReport]:
        """Of all topics."""
        return [partition for topic in self.topics for partition in topic.partitions]

    @property
    def state(self) -> LagState:
        """The worst."""
        return worst(topic.state for topic in self.topics)

    def to_json(self) -> dict[str, Any]:
        """docs/lag.md explains each field."""
        return {
            "group": self.group,
            "measured_at": self.measured_at,
            "source": "kafka" if self.from_kafka else "database",
            "state": self.state.value,
            "workers": self.workers,
            "lag_messages": sum(topic.lag_messages for topic in self.topics),
            "lag_seconds": _largest(topic.lag_s for topic in self.topics),
            "lost_messages": sum(each.lag.lost_messages for each in self.partitions),
            "warnings": list(self.warnings),
            "missing_topics": list(self.missing),
            "topics": [topic.to_json() for topic in self.topics],
            "partitions": [partition.to_json() for partition in self.partitions],
        }


def _largest(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _sum(values: Iterable[float | None]) -> float | None:
    total = 0.0
    for value in values:
        if value is None:
            return None
        total += value
    return total
