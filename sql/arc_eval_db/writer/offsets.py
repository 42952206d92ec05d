"""Where each consumer group stands, and the fence that keeps two consumers from moving it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

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
        topics, numbers = _arrays(partitions)
        rows = await session.fetch(self._queries["read_offsets"], self.group, topics, numbers)
        return {TopicPartition(row["topic"], row["partition"]): row["next_offset"] for row in rows}

    async def start_at(self, session: Session, offsets: Mapping[TopicPartition, int]) -> None:
        """Record where the group begins on partitions it has never seen; the others stay as they are."""
        topics, numbers = _arrays(list(offsets))
        await session.execute(self._queries["insert_offsets"], self.group, topics, numbers, list(offsets.values()))

    async def advance(self, session: Session, ranges: Mapping[TopicPartition, OffsetRange]) -> None:
        """Move each partition from a range's first offset to its end; the last statement before a commit.

        Raises:
            FencedError: the group does not stand at `first` any more; the transaction must be rolled back.
        """
        topics, numbers = _arrays(list(ranges))
        before = [offsets.first for offsets in ranges.values()]
        after = [offsets.end for offsets in ranges.values()]
        rows = await session.fetch(self._queries["advance_offsets"], self.group, topics, numbers, before, after)
        moved = {TopicPartition(row["topic"], row["partition"]) for row in rows}
        if fenced := sorted(ranges.keys() - moved):
            raise FencedError(fenced)


def _arrays(partitions: Sequence[TopicPartition]) -> tuple[list[str], list[int]]:
    return [partition.topic for partition in partitions], [partition.partition for partition in partitions]
