"""Knows most events that come again, before the database says so."""

from __future__ import annotations

from arc_eval_db.writer.row_batch import RowBatch

# A producer's retry follows the first attempt by seconds. Two generations of ids of 36 characters are about 40 MB.
_GENERATION_IDS = 100_000

# A topic in which events come twice once in a hundred thousand is not worth the memory.
_IDS_WITHOUT_REPETITION_MAX = 1_000_000


class RepeatedIds:
    """Remembers the ids of the latest events, once one has come again.

    One event that is there already makes the COPY of a whole batch fail, and the way around that takes twice as long
    for all of them. What is named here takes that way alone. It is a suspicion and nothing more: the database decides,
    so it does no harm to suspect a new event, or not to know an old one.
    """

    def __init__(
        self, generation_ids: int = _GENERATION_IDS, without_repetition_max: int = _IDS_WITHOUT_REPETITION_MAX
    ) -> None:
        """
        Args:
            generation_ids: at least so many of the latest ids are remembered, and about twice as many at the most.
            without_repetition_max: after so many events of which none has come again, nothing is remembered.
        """
        self._generation_ids = generation_ids
        self._without_repetition_max = without_repetition_max
        self._left = 0
        """How many events more are remembered; 0: none has come again for long."""
        self._young: set[str] = set()
        self._old: set[str] = set()

    def suspects(self, batch: RowBatch) -> dict[str, set[int]]:
        """By table, the indexes of rows whose event has been written, or stands in the batch before them."""
        if not self._left:
            return {}
        return {table: found for table, rows in batch.filled() if (found := self._suspects([row[1] for row in rows]))}

    def _suspects(self, ids: list[str]) -> set[int]:
        if len(set(ids)) == len(ids) and self._young.isdisjoint(ids) and self._old.isdisjoint(ids):
            return set()
        found = set()
        seen: set[str] = set()
        for index, event_id in enumerate(ids):
            if event_id in seen or event_id in self._young or event_id in self._old:
                found.add(index)
            seen.add(event_id)
        return found

    def note(self, batch: RowBatch, duplicates: int) -> None:
        """A batch was written.

        Args:
            duplicates: how many of its events were there already.
        """
        self._left = self._without_repetition_max if duplicates else max(0, self._left - len(batch))
        if not self._left:
            self._young, self._old = set(), set()
            return
        for _, rows in batch.filled():
            self._young.update(row[1] for row in rows)
        if len(self._young) >= self._generation_ids:
            self._young, self._old = set(), self._young
