"""What a person does about a topic that was made anew: let a group begin it again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from arc_eval_db.consumers.kafka import LogBounds, LogReader, MissingTopicsError
from arc_eval_db.consumers.positioning import HaltReason, anchors_in, halt_reason
from arc_eval_db.consumers.sink import CONSUMER_VERSION
from arc_eval_db.database import Session
from arc_eval_db.writer import OffsetStore, StoredPosition, TopicPartition


@dataclass(frozen=True, slots=True)
class AcceptedPartition:
    """One partition of the topic, and what accepting it changes."""

    partition: TopicPartition
    position: StoredPosition
    """Where the group stands."""
    bounds: LogBounds | None
    """What the log holds; None where the topic has no such partition any more."""
    finding: HaltReason | None
    """What speaks for another log than the one that was read."""

    @property
    def begin(self) -> int:
        """Where the group shall begin."""
        return self.bounds.start if self.bounds else 0

    @property
    def changes(self) -> bool:
        """False where the group stands at the beginning already."""
        return self.position != StoredPosition(self.begin, None)


async def look_at_topic(
    reader: LogReader, session: Session, offsets: OffsetStore, topic: str
) -> list[AcceptedPartition]:
    """Compare where a group stands with what the topic holds, partition by partition; changes nothing.

    Raises:
        MissingTopicsError: there is no such topic; without it nothing can be accepted.
    """
    existing = await reader.partitions([topic])
    if not existing:
        raise MissingTopicsError(f"the topic {topic} does not exist; if it is one of ours: arc-eval-db topics create")
    stored = await offsets.read_topic(session, topic)
    bounds = await reader.bounds(existing)
    held = {partition: position for partition, position in stored.items() if partition in bounds}
    found = await reader.records_at(anchors_in(held, bounds))
    return [
        AcceptedPartition(
            partition,
            position,
            bounds.get(partition),
            halt_reason(position, bounds[partition], found.get(partition)) if partition in bounds else None,
        )
        for partition, position in sorted(stored.items())
    ]


async def accept_topic(session: Session, offsets: OffsetStore, partitions: Sequence[AcceptedPartition]) -> None:
    """Let the group begin these partitions again, and record what it has lost, in one transaction.

    Raises:
        FencedError: a worker has moved the group meanwhile; nothing was changed. Look again.
    """
    moves = {one.partition: (one.position.next_offset, one.begin) for one in partitions if one.changes}
    if moves:
        await offsets.reset(session, moves, version=CONSUMER_VERSION)
