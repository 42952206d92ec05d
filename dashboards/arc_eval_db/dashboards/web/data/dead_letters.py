"""Dead letters for pages."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from arc_eval_db.database import Session
from arc_eval_db.replay import (
    UNRESOLVED,
    LetterContent,
    LetterCount,
    LetterFilter,
    LetterState,
    StoredLetter,
    count_letters,
    list_letters,
    read_letter,
)

PAGE_LETTERS = 50

STATES: Mapping[str, Collection[LetterState]] = {
    "unresolved": UNRESOLVED,
    **{state.value: (state,) for state in LetterState},
    "all": list(LetterState),
}
"""What may be asked for, as `arc-eval-db dead-letters list --state` has it."""


@dataclass(frozen=True, slots=True)
class LetterCounts:
    """How many there are, by topic and reason."""

    counts: tuple[LetterCount, ...]

    @property
    def letters(self) -> int:
        """All together."""
        return sum(count.letters for count in self.counts)


@dataclass(frozen=True, slots=True)
class LetterPage:
    """Some letters, the newest first."""

    letters: tuple[StoredLetter, ...]
    next_before: int | None
    """The next page has the ids below this one; None: there is none."""


@dataclass(frozen=True, slots=True)
class WholeLetter:
    """One letter with what it holds."""

    letter: StoredLetter
    content: LetterContent


async def letter_counts(
    session: Session, chosen: LetterFilter | None = None, state: str = "unresolved"
) -> LetterCounts:
    """How many there are.

    Args:
        state: a key of `STATES`.
    """
    found = await count_letters(session, chosen or LetterFilter(), states=STATES[state])
    return LetterCounts(tuple(found))


async def letter_page(
    session: Session, chosen: LetterFilter, state: str = "unresolved", before_id: int | None = None
) -> LetterPage:
    """A page of letters without their content."""
    found = await list_letters(session, chosen, states=STATES[state], before_id=before_id, limit=PAGE_LETTERS + 1)
    page = found[:PAGE_LETTERS]
    return LetterPage(tuple(page), page[-1].id if len(found) > PAGE_LETTERS else None)


async def whole_letter(session: Session, letter_id: int) -> WholeLetter:
    """One letter with its content, which not every login may read.

    Raises:
        NoSuchDeadLetterError: there is none of this id.
        DeadLetterPrivilegeError: the login may not read what dead letters hold.
    """
    return WholeLetter(*await read_letter(session, letter_id))
