"""What is named when the log and the tables, or two sets of tables, do not agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from arc_eval_db.writer import TopicPartition

NAMED_MAX = 1000
"""So many differences are named by default; a person reads fewer, and a report of as many is 200 kB of JSON."""

DEAD_LETTERS = "dead_letters"


class DifferenceKind(StrEnum):
    """What is different."""

    MISSING = "missing"
    """The log has the event; it is neither a row nor set aside."""
    CHANGED = "changed"
    """The row says something else than the event."""
    EXTRA = "extra"
    """A row says that it came from here, and no event here became it."""
    MISSING_DEAD_LETTER = "missing_dead_letter"
    """A record that cannot become a row is not set aside."""
    ONLY_IN_SHADOW = "only_in_shadow"
    """Today's code makes it, and the live tables do not have it."""
    ONLY_LIVE = "only_live"
    """The live tables have it, and today's code does not make it."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One row or record that differs. Holds no value of an event."""

    kind: DifferenceKind
    table: str | None
    """None where a record should be in no table of events."""
    event_id: UUID | None
    time: datetime | None
    """The event's; of a dead letter, the record's."""
    partition: TopicPartition
    offset: int | None
    """None where the row does not say."""
    columns: tuple[str, ...] = ()
    """Which columns differ, of what has changed."""


@dataclass(slots=True)
class Findings:
    """Differences: the first ones by name, all of them counted."""

    named_max: int = NAMED_MAX
    named: list[Difference] = field(default_factory=list)
    counts: Counter[DifferenceKind] = field(default_factory=Counter)

    @property
    def room(self) -> int:
        """How many more can be named."""
        return self.named_max - len(self.named)

    def count(self, kind: DifferenceKind, number: int) -> None:
        """Count differences, which may be named then."""
        if number:
            self.counts[kind] += number

    def name(self, differences: Iterable[Difference]) -> None:
        """Name differences, as long as there is room."""
        self.named += list(differences)[: self.room]


@dataclass(slots=True)
class TableTally:
    """How many rows there are on each side of a table, and a checksum of their content, but for their place in the log.

    Equal content gives equal checksums, in whatever order; a checksum can be compared with one of the same
    major version of PostgreSQL.
    """

    made: int = 0
    """What today's code makes of the log."""
    made_checksum: int = 0
    stored: int = 0
    """What is in the table."""
    stored_checksum: int = 0

    @property
    def agrees(self) -> bool:
        """Whether both sides hold the same."""
        return (self.made, self.made_checksum) == (self.stored, self.stored_checksum)
