"""The brake: a deploy that makes every event unreadable must not turn a topic into dead letters."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from math import ceil

from arc_eval_db.database import Session
from arc_eval_db.errors import FatalError
from arc_eval_db.writer import DeadLetter, OffsetRange, TopicPartition, count_dead_letters

_REASONS_NAMED_MAX = 3


class DeadLetterLimitError(FatalError):
    """Too many of a topic's records would become dead letters. The batch was not written and will be read again."""


class DeadLetterLimit:
    """Looks at the share of dead letters among the latest records of each topic.

    By topic, as a bad producer of one must not hide among the good records of the others; and of a fixed number of
    records rather than of a batch, as a single bad event in a batch of one is no reason to stop.
    """

    def __init__(self, share_max: float, window_records: int) -> None:
        """
        Args:
            share_max: from 0 to 1; at 1 there is no limit.
            window_records: judge nothing by fewer records than this.
        """
        self._share_max = share_max
        self._window_records = window_records
        self._windows: dict[str, deque[tuple[int, int]]] = {}
        """Of each topic the latest batches: how many records, and how many of them were refused."""

    async def recall(self, session: Session, positions: Mapping[TopicPartition, int]) -> None:
        """Look up the latest records of topics that are new to this worker: started again, it must be no less strict.

        Args:
            positions: where the worker goes on from.
        """
        ranges = {
            partition: offsets
            for topic in {partition.topic for partition in positions} - self._windows.keys()
            for partition, offsets in self._latest(topic, positions).items()
        }
        if not ranges:
            return
        letters = await count_dead_letters(session, ranges)
        read: Counter[str] = Counter()
        for partition, offsets in ranges.items():
            read[partition.topic] += offsets.end - offsets.first
        for topic, count in read.items():
            self._windows[topic] = deque([(count, letters.get(topic, 0))])

    def _latest(self, topic: str, positions: Mapping[TopicPartition, int]) -> dict[TopicPartition, OffsetRange]:
        """A window of the topic's latest records: the same number of each partition, as far as they go."""
        offsets = sorted((offset, partition) for partition, offset in positions.items() if partition.topic == topic)
        left = self._window_records
        ranges = {}
        for index, (offset, partition) in enumerate(offsets):
            count = min(offset, ceil(left / (len(offsets) - index)))
            ranges[partition] = OffsetRange(offset - count, offset)
            left -= count
        return ranges

    def check(self, records: Mapping[str, int], letters: Iterable[DeadLetter]) -> None:
        """Judge a batch before it is committed; changes nothing, as the batch may be tried again.

        Args:
            records: how many of each topic are in the batch.
            letters: what would become of some of them.

        Raises:
            DeadLetterLimitError: the share is above the limit.
        """
        reasons: dict[str, Counter[str]] = {}
        for letter in letters:
            reasons.setdefault(letter.partition.topic, Counter())[letter.reason.value] += 1
        for topic, of_topic in reasons.items():
            window = self._windows.get(topic, ())
            read = records[topic] + sum(count for count, _ in window)
            refused = of_topic.total() + sum(count for _, count in window)
            if read >= self._window_records and refused > self._share_max * read:
                raise DeadLetterLimitError(self._explanation(topic, read, refused, of_topic))

    def note(self, records: Mapping[str, int], letters: Iterable[DeadLetter]) -> None:
        """A batch was committed."""
        refused = Counter(letter.partition.topic for letter in letters)
        for topic, count in records.items():
            window = self._windows.setdefault(topic, deque())
            window.append((count, refused[topic]))
            total = sum(count for count, _ in window)
            while total - window[0][0] >= self._window_records:
                total -= window.popleft()[0]

    def _explanation(self, topic: str, read: int, refused: int, reasons: Counter[str]) -> str:
        named = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common(_REASONS_NAMED_MAX))
        return (
            f"{refused} of the last {read} records of {topic} would be dead letters (in this batch: {named}), which is "
            f"more than the limit of {self._share_max:.0%}. Nothing of this batch was written, and nothing is lost. "
            "Undo the deploy that is to blame, be it of producers or of this consumer; or, to set the records aside "
            "all the same, start with ARC_EVAL_CONSUMER_DEAD_LETTER_SHARE_MAX=1 until they are through"
        )
