"""Prints events to standard output, for sandboxes without a network: one JSON event a line."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from arc_eval_db.producers.outbox import OutgoingRecord
from arc_eval_db.producers.transports.base import TransportError


class StdoutTransport:
    """One event a line, flushed after each batch. Lines of other programs are not events: readers skip them.

    It is the process's own standard output: where an agent redirects `sys.stdout`, to catch what a tool prints, it
    must not catch events.
    """

    async def open(self) -> None:
        """Nothing to do."""

    async def send(self, records: Sequence[OutgoingRecord]) -> Sequence[int]:
        """Write and flush."""
        stdout = sys.__stdout__
        if stdout is None:
            raise TransportError("cannot print events: there is no standard output")
        try:
            # The agent's own text first: its lines stay whole. Bytes, because stdout's encoding may know no more
            # than ASCII.
            stdout.flush()
            stdout.buffer.write(b"".join(record.value + b"\n" for record in records))
            stdout.buffer.flush()
        except (OSError, ValueError) as error:
            raise TransportError(f"cannot print events: {error}") from error
        return ()

    async def close(self) -> None:
        """Nothing to do."""
