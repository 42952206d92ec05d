"""Where each consumer group stands, and the fence that keeps two consumers from moving it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from arc_eval_db.database import Session
from arc_eval_db.errors import RetryableError
from arc_eval_db.sql import queries


class TopicPartition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}"


@dataclass(frozen=True, slots=True)
class OffsetRange:
    """Offsets from `first` up to, not including, `end` of one partition. There may be holes in it."""

    first: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.first <= self.end:
            raise ValueError(f"not a range of offsets: {self.first} to {self.end}")


class Anchor(NamedTuple):
    """A record that the group has read, as a mark: where it has changed, the log is not the one that was read."""

    offset: int
    timestamp_ms: int
    """Kafka's time of the record."""
    hash: bytes
    """Of the record's key and value."""


class StoredPosition(NamedTuple):
    """Where a group stands on a partition."""

    next_offset: int
    anchor: Anchor | None
    """The last record that it read; None where it has read none since it began or jumped."""


class GapReason(StrEnum):
    """Why a group did not read what the log once held."""

    RETENTION = "retention"
    """Kafka deleted it first."""
    RECREATED = "recreated"
    """The topic was deleted, or cut short; how much was left in it nobody knows."""


class FencedError(RetryableError):
    """Another consumer has moved these partitions. Nothing was written: go on from the stored offsets."""

    def __init__(self, partitions: Sequence[TopicPartition]) -> None:
        super().__init__(f"another consumer of the group has moved {', '.join(map(str, partitions))}")
        self.partitions = tuple(partitions)


class OffsetStore:
    """The offsets of one consumer group, in the database."""

    def __init__(self, group: str) -> None:
        self.group = group
        self._queries = queries("offsets")

    async def read(self, session: Session, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """The next offset of each partition that the group has ever seen."""
        stored = await self.read_positions(session, partitions)
        return {partition: position.next_offset for partition, position in stored.items()}

    async def read_positions(
        self, session: Session, partitions: Sequence[TopicPartition]
    ) -> dict[TopicPartition, StoredPosition]:
        """Where the group stands on each partition that it has ever seen."""
        topics, numbers = _arrays(partitions)
        rows = await session.fetch(self._queries["read_offsets"], self.group, topics, numbers)
        return {TopicPartition(row["topic"], row["partition"]): _position(row) for row in rows}

    async def read_topic(self, session: Session, topic: str) -> dict[TopicPartition, StoredPosition]:
        """Where the group stands on each partition of a topic that it has ever seen, also on those that are gone."""
        rows = await session.fetch(self._queries["read_offsets_of_topic"], self.group, topic)
        return {TopicPartition(row["topic"], row["partition"]): _position(row) for row in rows}

    async def start_at(self, session: Session, offsets: Mapping[TopicPartition, int]) -> None:
        """Record where the group begins on partitions it has never seen; the others stay as they are."""
        topics, numbers = _arrays(list(offsets))
        await session.execute(self._queries["insert_offsets"], self.group, topics, numbers, list(offsets.values()))

    async def advance(
        self,
        session: Session,
        ranges: Mapping[TopicPartition, OffsetRange],
        anchors: Mapping[TopicPartition, Anchor] | None = None,
    ) -> None:
        """Move each partition from a range's first offset to its end; the last statement before a commit.

        Args:
            anchors: the last record of each partition; where there is none, the one that is stored stays.

        Raises:
            FencedError: the group does not stand at `first` any more; the transaction must be rolled back.
        """
        topics, numbers = _arrays(list(ranges))
        before = [offsets.first for offsets in ranges.values()]
        after = [offsets.end for offsets in ranges.values()]
        marks = [(anchors or {}).get(partition) for partition in ranges]
        rows = await session.fetch(
            self._queries["advance_offsets"],
            self.group,
            topics,
            numbers,
            before,
            after,
            [mark and mark.offset for mark in marks],
            [mark and mark.timestamp_ms for mark in marks],
            [mark and mark.hash for mark in marks],
        )
        _check_fence(ranges.keys(), rows)

    async def record_gap(self, session: Session, partition: TopicPartition, gap: OffsetRange, *, version: str) -> None:
        """Move past what Kafka deleted before the group read it, and record that, in one transaction.

        Raises:
            FencedError: the group does not stand at the gap's beginning any more; nothing was written.
        """
        async with session.transaction():
            await self._insert_gaps(session, {partition: gap.first}, gap.end, GapReason.RETENTION, version)
            await self._jump(session, {partition: (gap.first, gap.end)})

    async def reset(self, session: Session, moves: Mapping[TopicPartition, tuple[int, int]], *, version: str) -> None:
        """Move partitions of a topic that was made anew, and record that what was left of the old one is lost.

        Args:
            moves: where the group stands on each partition, and where it shall begin.

        Raises:
            FencedError: the group does not stand there any more; nothing was written.
        """
        async with session.transaction():
            left = {partition: before for partition, (before, _) in moves.items()}
            await self._insert_gaps(session, left, None, GapReason.RECREATED, version)
            await self._jump(session, moves)

    async def _insert_gaps(
        self, session: Session, first: Mapping[TopicPartition, int], end: int | None, reason: GapReason, version: str
    ) -> None:
        topics, numbers = _arrays(list(first))
        statement = self._queries["insert_log_gaps"]
        await session.execute(statement, self.group, topics, numbers, list(first.values()), end, reason.value, version)

    async def _jump(self, session: Session, moves: Mapping[TopicPartition, tuple[int, int]]) -> None:
        topics, numbers = _arrays(list(moves))
        before, after = zip(*moves.values(), strict=True)
        rows = await session.fetch(self._queries["reset_offsets"], self.group, topics, numbers, before, after)
        _check_fence(moves.keys(), rows)


def _arrays(partitions: Sequence[TopicPartition]) -> tuple[list[str], list[int]]:
    return [partition.topic for partition in partitions], [partition.partition for partition in partitions]


def _position(row: Mapping[str, Any]) -> StoredPosition:
    if row["anchor_offset"] is None:
        return StoredPosition(row["next_offset"], None)
    return StoredPosition(
        row["next_offset"], Anchor(row["anchor_offset"], row["anchor_timestamp_ms"], row["anchor_hash"])
    )


def _check_fence(wanted: Iterable[TopicPartition], rows: Iterable[Mapping[str, Any]]) -> None:
    moved = {TopicPartition(row["topic"], row["partition"]) for row in rows}
    if fenced := sorted(set(wanted) - moved):
        raise FencedError(fenced)
