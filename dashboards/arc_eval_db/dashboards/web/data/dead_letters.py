"""Dead letters for pages."""

from __future__ import annotations

from dataclasses import dataclass

from arc_eval_db.database import Session
from arc_eval_db.replay import LetterCount, LetterFilter, count_letters


@dataclass(frozen=True, slots=True)
class LetterCounts:
    """Those that are unresolved, by topic and reason."""

    counts: tuple[LetterCount, ...]

    @property
    def letters(self) -> int:
        """All together."""
        return sum(count.letters for count in self.counts)


async def letter_counts(session: Session) -> LetterCounts:
    """How many there are."""
    return LetterCounts(tuple(await count_letters(session, LetterFilter())))
