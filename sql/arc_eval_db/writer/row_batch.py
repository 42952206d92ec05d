"""The rows of a batch of events, by table."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Self

from arc_eval_db.schemas.bulk import PlainEvent
from arc_eval_db.schemas.topics import STARTED
from arc_eval_db.writer.parents import Parents
from arc_eval_db.writer.rows import COLUMNS, ROW_OF_TYPE, TABLE_OF_TYPE, EventRow, Row


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

    def add_events(self, events: Iterable[tuple[int, PlainEvent]], partition: int, offsets: Sequence[int]) -> None:
        """Add the rows of events of a partition; the offset of each is found by its index."""
        for index, event in events:
            type_ = event["type"]
            rows = self.tables[TABLE_OF_TYPE[type_]]
            if type_ == STARTED:
                self.started[Place(TABLE_OF_TYPE[type_], len(rows))] = event
            rows.append(ROW_OF_TYPE[type_](event, partition, offsets[index]))

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

    def parents(self, without: Collection[Place] = ()) -> Parents:
        """What the rows point at; not what only those do that are left out."""
        if without:
            return self.part([place for place in self.places() if place not in without]).parents()
        return Parents.of(self.tables, self.started.values())
