"""Exactly once: rows, dead letters and offsets in one transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version

from arc_eval_db.consumers.dead_letter_limit import DeadLetterLimit
from arc_eval_db.consumers.handler import HandledBatch
from arc_eval_db.database import Session
from arc_eval_db.writer import (
    Anchor,
    BatchWriter,
    DeadLetter,
    KnownParents,
    OffsetRange,
    OffsetStore,
    RepeatedIds,
    TopicPartition,
    insert_dead_letters,
)

CONSUMER_VERSION = version("arc-eval-db")


@dataclass(frozen=True, slots=True)
class CommitReport:
    """What one committed transaction did."""

    inserted: int
    duplicates: int
    dead_letters: Mapping[str, int]
    """By reason."""


class ExactlyOnceSink:
    """Commits handled batches for one consumer group.

    The offsets move in the transaction of the rows, by compare-and-set on the offset that the batch started from. So a
    batch is in the database either whole or not at all, and a consumer that lost its partition writes nothing.
    """

    def __init__(self, offsets: OffsetStore, limit: DeadLetterLimit | None = None) -> None:
        """
        Args:
            limit: refuses batches that would become too many dead letters; by default none are.
        """
        self._offsets = offsets
        self._limit = limit or DeadLetterLimit(share_max=1, window_records=1)
        self._writer = BatchWriter()
        self._repeated = RepeatedIds()
        self._known = KnownParents()
        self._session: Session | None = None

    async def write(
        self,
        session: Session,
        batch: HandledBatch,
        ranges: Mapping[TopicPartition, OffsetRange],
        anchors: Mapping[TopicPartition, Anchor] | None = None,
    ) -> CommitReport:
        """Write one batch and commit it.

        Args:
            session: not in a transaction. After any error but FencedError it may be closed.
            ranges: for each partition of the batch, the offset it started from and the one to go on from.
            anchors: the last record of each partition, by which a topic that was made anew is recognised.

        Raises:
            FencedError: another consumer has moved a partition; nothing was written.
            RetryableError: nothing was written, or (when the connection was lost during the commit) it is not known:
                read the stored offsets, which say which.
            DeadLetterLimitError: too many dead letters; nothing was written.
            FatalError: the schema does not fit; nothing was written.
        """
        if session is not self._session:
            self._session = session
            self._known.forget()
        async with session.transaction():
            report = await self._writer.write_batch(session, batch.rows, self._repeated, self._known)
            letters = batch.dead_letters + batch.refused(report.refused)
            self._limit.check(batch.records, letters)
            await insert_dead_letters(session, letters, group=self._offsets.group, version=CONSUMER_VERSION)
            # Last, so that the lock on the offsets is held no longer than the commit takes.
            await self._offsets.advance(session, ranges, anchors)
        self._limit.note(batch.records, letters)
        self._known.note(report.contexts)
        return CommitReport(report.inserted, report.duplicates, _by_reason(letters))


def _by_reason(letters: list[DeadLetter]) -> Mapping[str, int]:
    return Counter(letter.reason.value for letter in letters)
