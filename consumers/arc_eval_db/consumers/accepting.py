"""What a person does about a topic that was made anew: let a group begin it again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from arc_eval_db.consumers.kafka import LogBounds, LogReader, MissingTopicsError
from arc_eval_db.consumers.positioning import HaltReason, anchors_in, halt_reason
from arc_eval_db.consumers.sink import CONSUMER_VERSION
from arc_eval_db.database import Session
from arc_eval_db.writer import FencedError, OffsetStore, StoredPosition, TopicPartition

_ATTEMPTS_MAX = 5


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
    is_recognised: bool
    """The record that the group read last is still there."""
    changes: bool
    """Whether the group begins it again. One whose log is the same stays where it is."""

    @property
    def begin(self) -> int:
        """Where the group shall begin."""
        return self.bounds.start if self.bounds else 0


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
    findings = {
        partition: reason
        for partition, position in held.items()
        if (reason := halt_reason(position, bounds[partition], found.get(partition)))
    }
    gone = {
        partition
        for partition, position in stored.items()
        if partition not in bounds and position != StoredPosition(0, None)
    }
    # A topic is made anew as a whole: where one partition shows it, one that has nothing to compare is doubted too.
    doubted = {
        partition
        for partition, position in held.items()
        if (findings or gone) and partition not in found and position.next_offset > bounds[partition].start
    }
    return [
        AcceptedPartition(
            partition,
            position,
            bounds.get(partition),
            findings.get(partition),
            is_recognised=partition in found and partition not in findings,
            changes=partition in findings or partition in gone or partition in doubted,
        )
        for partition, position in sorted(stored.items())
    ]


async def accept_topic(
    reader: LogReader, session: Session, offsets: OffsetStore, looked_at: Sequence[AcceptedPartition]
) -> list[TopicPartition]:
    """Let the group begin again what `looked_at` says, and record what it has lost, in one transaction.

    Where a worker moves a partition meanwhile, the topic is looked at again. A partition that needs nothing any more is
    left out, and none is added.

    Returns:
        The partitions that the group begins again.

    Raises:
        FencedError: a worker moved the group each time; nothing was changed.
    """
    changes = [one for one in looked_at if one.changes]
    for attempt in range(1, _ATTEMPTS_MAX + 1):
        if not changes:
            break
        moves = {one.partition: (one.position.next_offset, one.begin) for one in changes}
        try:
            await offsets.reset(session, moves, version=CONSUMER_VERSION)
            break
        except FencedError:
            if attempt == _ATTEMPTS_MAX:
                raise
        again = await look_at_topic(reader, session, offsets, changes[0].partition.topic)
        changes = [one for one in again if one.changes and one.partition in moves]
    return [one.partition for one in changes]
