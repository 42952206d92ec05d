"""Where a group stands, by the database, and what else the database knows of its lag."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from arc_eval_db.consumers.lag.rates import Sample
from arc_eval_db.database import Session
from arc_eval_db.sql import queries
from arc_eval_db.writer import Anchor, StoredPosition, TopicPartition


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a group stands on a partition."""

    next_offset: int
    anchor: Anchor | None = None
    updated_at: datetime | None = None
    """When the offset was last moved."""
    unmoved_s: float | None = None
    """For how long it has not moved, by the database's clock."""

    @property
    def position(self) -> StoredPosition:
        """As the consumer knows it."""
        return StoredPosition(self.next_offset, self.anchor)

    @property
    def broker_to_commit_s(self) -> float | None:
        """Of the last record read; None where the last move was over offsets without a record, or a jump."""
        if self.anchor is None or self.updated_at is None or self.anchor.offset != self.next_offset - 1:
            return None
        return self.updated_at.timestamp() - self.anchor.timestamp_ms / 1000


async def read_standing(
    session: Session, group: str, partitions: Sequence[TopicPartition]
) -> dict[TopicPartition, Standing]:
    """Where the group stands on each partition that it has ever seen."""
    topics, numbers = [each.topic for each in partitions], [each.partition for each in partitions]
    rows = await session.fetch(queries("lag")["read_standing"], group, topics, numbers)
    found = {}
    for row in rows:
        anchor = None
        if row["anchor_offset"] is not None:
            anchor = Anchor(row["anchor_offset"], row["anchor_timestamp_ms"], row["anchor_hash"])
        standing = Standing(row["next_offset"], anchor, row["updated_at"], max(0.0, row["unmoved_s"]))
        found[TopicPartition(row["topic"], row["partition"])] = standing
    return found


async def read_samples(
    session: Session, group: str, topics: Sequence[str], history_s: float
) -> dict[TopicPartition, list[Sample]]:
    """The samples of the last while, oldest first, their times by this machine's monotonic clock."""
    rows = await session.fetch(queries("lag")["read_lag_samples"], group, list(topics), timedelta(seconds=history_s))
    now_s = time.monotonic()
    found: dict[TopicPartition, list[Sample]] = {}
    for row in rows:
        at_s = now_s - (row["now"] - row["time"]).total_seconds()
        sample = Sample(at_s, row["next_offset"], row["log_start_offset"], row["log_end_offset"])
        found.setdefault(TopicPartition(row["topic"], row["partition"]), []).append(sample)
    return found


async def read_replays(session: Session, topics: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The replays that a process works on at the moment, in words, by topic."""
    found: dict[str, tuple[str, ...]] = {}
    for row in await session.fetch(queries("lag")["running_replays"], list(topics)):
        words = f"replay {row['id']} to {row['target']} is running"
        found[row["topic"]] = (*found.get(row["topic"], ()), words)
    return found
