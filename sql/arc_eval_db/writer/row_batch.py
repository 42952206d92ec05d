"""The rows of a batch of events, by table."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Self

from arc_eval_db.schemas.bulk import PlainEvent, PlainEvents
from arc_eval_db.schemas.topics import COMPLETED, STARTED
from arc_eval_db.writer.known_parents import Context
from arc_eval_db.writer.parents import CONTEXT_COLUMNS, Parents, context_of
from arc_eval_db.writer.rows import COLUMNS, TABLE_OF_TYPE, EventRow, Row, plain_rows

OUTCOMES = TABLE_OF_TYPE[COMPLETED]


class Place(NamedTuple):
    """Where a row of a batch stands."""

    table: str
    position: int
    """Among the batch's rows of this table."""


@dataclass(slots=True)
class RowBatch:
    """Rows by table, and what is needed to find what they point at."""

    tables: dict[str, list[Row]] = field(default_factory=lambda: {table: [] for table in COLUMNS})
    started: dict[Place, PlainEvent] = field(default_factory=dict)
    """The started events, by the place of their row."""
    contexts: dict[Context, None] = field(default_factory=dict)
    """What the rows point at, each once."""
    ended: dict[Context, datetime] = field(default_factory=dict)
    """The latest end of the executions that ended."""
    hashes: dict[str, list[int]] = field(default_factory=lambda: {table: [] for table in COLUMNS})
    """Of the events' ids, in the order of the rows."""

    @classmethod
    def of(cls, rows: Iterable[EventRow]) -> Self:
        """Sort rows by table, each table's in their order."""
        batch = cls()
        for row in rows:
            batch.add(*row)
        return batch

    def add(self, table: str, row: Row, started: PlainEvent | None = None) -> None:
        """Add the row of an event."""
        rows = self.tables[table]
        if started is not None:
            self.started[Place(table, len(rows))] = started
        rows.append(row)
        self._note(table, [row[0]], [row[1]], [context_of(row)])

    def add_events(self, found: Iterable[PlainEvents], partition: int, offsets: Sequence[int]) -> None:
        """Add the rows of events of a partition; the offset of each is found by its index."""
        for events in found:
            table = TABLE_OF_TYPE[events.type]
            rows = self.tables[table]
            if events.type == STARTED:
                for position, event in enumerate(events.events(), len(rows)):
                    self.started[Place(table, position)] = event
            rows += plain_rows(events, partition, [offsets[index] for index in events.indexes])
            columns = events.columns
            contexts = list(zip(*map(columns.__getitem__, CONTEXT_COLUMNS), strict=True))
            self._note(table, columns["time"], columns["id"], contexts)

    def _note(self, table: str, times: Iterable[datetime], ids: Iterable[str], contexts: Sequence[Context]) -> None:
        """Keep what is asked of all rows while they are in the CPU's cache: to go through them later takes longer."""
        self.hashes[table] += map(hash, ids)
        self.contexts |= dict.fromkeys(contexts)
        if table == OUTCOMES:
            for context, time in zip(contexts, times, strict=True):
                if self.ended.setdefault(context, time) < time:
                    self.ended[context] = time

    def __len__(self) -> int:
        return sum(map(len, self.tables.values()))

    def filled(self) -> list[tuple[str, list[Row]]]:
        """The tables that have rows, in the order in which every writer takes them."""
        return [(table, rows) for table, rows in self.tables.items() if rows]

    def places(self) -> Iterator[Place]:
        """Every row's place."""
        return (Place(table, position) for table, rows in self.tables.items() for position in range(len(rows)))

    def row(self, place: Place) -> Row:
        """The row at a place."""
        return self.tables[place.table][place.position]

    def part(self, places: Sequence[Place]) -> Self:
        """The rows at `places`, which are in the order of `places()`, as a batch of its own."""
        batch = type(self)()
        for place in places:
            batch.add(place.table, self.row(place), self.started.get(place))
        return batch

    def parents(self, without: Collection[Place] = (), known: Container[Context] = ()) -> Parents:
        """What the rows point at; not what only those do that are left out, nor what is known already."""
        if without:
            return self.part([place for place in self.places() if place not in without]).parents()
        return Parents.of(self.contexts, self.started.values(), self.ended, self.tables["failures"], known)
