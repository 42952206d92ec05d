"""The seam between the SDK and whatever carries its events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from arc_eval_db.errors import RetryableError
from arc_eval_db.producers.outbox import OutgoingRecord


class TransportError(RetryableError):
    """The transport could not deliver; the same records may be sent again."""


class Transport(Protocol):
    """Carries records away. Used by one task at a time, on the sender's event loop.

    `open` and `send` raise `TransportError` for passing failures; the sender then closes the transport and opens it
    again before it sends the same records again, so that a record may arrive twice (consumers know it by its event id)
    but is never lost. `close` may be called at any time, also after a failed `open`, more than once, and is quick:
    what has not been acknowledged when it is called does not count as sent.
    """

    async def open(self) -> None:
        """Connect. May be called again after `close`."""

    async def send(self, records: Sequence[OutgoingRecord]) -> Sequence[int]:
        """Deliver all records and wait for the acknowledgements.

        Returns:
            The positions of records that were refused for good and must not be sent again.
        """

    async def close(self) -> None:
        """Let go of everything that is held."""
