"""Prints events to standard output, for sandboxes without a network: one JSON event a line."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from arc_eval_db.producers.outbox import OutgoingRecord


class StdoutTransport:
    """One event a line, flushed after each batch. Lines of other programs are not events: readers skip them."""

    async def open(self) -> None:
        """Nothing to do."""

    async def send(self, records: Sequence[OutgoingRecord]) -> Sequence[int]:
        """Write and flush."""
        sys.stdout.write("".join(record.value.decode() + "\n" for record in records))
        sys.stdout.flush()
        return ()

    async def close(self) -> None:
        """Nothing to do."""
