"""Knows most events that come again, before the database says so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from arc_eval_db.writer.row_batch import RowBatch

# Two generations of hashes are 30 MB.
_GENERATION_IDS = 250_000

# A topic in which events come twice once in a hundred thousand is not worth the memory.
_IDS_WITHOUT_REPETITION_MAX = 1_000_000


class LatestIds:
    """The hashes of the latest ids, from one generation of them to two."""

    def __init__(self, generation_ids: int) -> None:
        self._generation_ids = generation_ids
        self._young: set[int] = set()
        self._old: set[int] = set()

    def __contains__(self, value: int) -> bool:
        return value in self._young or value in self._old

    def isdisjoint(self, hashes: Sequence[int]) -> bool:
        """Whether none of these is among them."""
        return self._young.isdisjoint(hashes) and self._old.isdisjoint(hashes)

    def update(self, *hashes: Iterable[int]) -> None:
        """Add hashes, and forget the oldest where they are too many."""
        self._young.update(*hashes)
        if len(self._young) >= self._generation_ids:
            self._young, self._old = set(), self._young

    def clear(self) -> None:
        """Forget all of them."""
        self._young, self._old = set(), set()


class RepeatedIds:
    """Remembers the hashes of the latest events' ids, as long as some come again.

    One event that is there already makes the COPY of a whole batch fail, and the way around that takes twice as long
    for all of them. What is named here takes that way alone. It is a suspicion and nothing more: the database decides,
    so it does no harm to suspect a new event, or not to know an old one, or to take one for another.
    """

    def __init__(
        self, generation_ids: int = _GENERATION_IDS, without_repetition_max: int = _IDS_WITHOUT_REPETITION_MAX
    ) -> None:
        """
        Args:
            generation_ids: at least so many of the latest ids are remembered, and about twice as many at the most.
            without_repetition_max: after so many events of which none has come again, nothing is remembered.
        """
        self._without_repetition_max = without_repetition_max
        self._left = without_repetition_max
        """How many events more are remembered; 0: none has come again for long."""
        self._is_met = False
        """Whether any has come again among those."""
        self._latest = LatestIds(generation_ids)

    def suspects(self, batch: RowBatch) -> dict[str, set[int]]:
        """By table, the indexes of rows whose event has been written, or stands in the batch before them."""
        if not self._is_met:
            return {}
        return {table: found for table, hashes in batch.hashes.items() if (found := self._suspects(hashes))}

    def _suspects(self, hashes: list[int]) -> set[int]:
        if len(set(hashes)) == len(hashes) and self._latest.isdisjoint(hashes):
            return set()
        found = set()
        seen: set[int] = set()
        for index, value in enumerate(hashes):
            if value in seen or value in self._latest:
                found.add(index)
            seen.add(value)
        return found

    def note(self, batch: RowBatch, duplicates: int) -> None:
        """A batch was written.

        Args:
            duplicates: how many of its events were there already.
        """
        self._is_met |= bool(duplicates)
        self._left = self._without_repetition_max if duplicates else max(0, self._left - len(batch))
        if not self._left:
            self._is_met = False
            self._latest.clear()
            return
        self._latest.update(*batch.hashes.values())
