"""Keeps events in memory: for tests of agents and of this package."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from arc_eval_db.producers.outbox import OutgoingRecord

if TYPE_CHECKING:
    from arc_eval_db.schemas.events import Event


class MemoryTransport:
    """Collects what is sent in `records`."""

    def __init__(self) -> None:
        self.records: list[OutgoingRecord] = []

    async def open(self) -> None:
        """Nothing to do."""

    async def send(self, records: Sequence[OutgoingRecord]) -> Sequence[int]:
        """Keep the records."""
        self.records.extend(records)
        return ()

    async def close(self) -> None:
        """Nothing to do; the records stay."""

    def events(self) -> list[Event]:
        """The records as a consumer would read them."""
        from arc_eval_db.schemas.parsing import parse_event  # noqa: PLC0415 - the models cost what a sandbox need not pay

        return [parse_event(record.value) for record in self.records]
