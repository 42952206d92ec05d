"""A transport that does what a test says: fail, refuse, hang, or stop its thread. Written against the protocol."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Literal

from arc_eval_db.producers.outbox import OutgoingRecord

Place = Literal["open", "send", "close"]


class FakeTransport:
    """Set the public attributes before the first event; read them at any time."""

    def __init__(self) -> None:
        self.records: list[OutgoingRecord] = []
        """What was delivered."""
        self.attempts: list[list[OutgoingRecord]] = []
        """What `send` was called with, each time."""
        self.calls: list[Place] = []
        self.errors: dict[Place, deque[BaseException]] = {"open": deque(), "send": deque(), "close": deque()}
        """Raised one by one, the next call each; when they are used up, calls succeed."""
        self.hangs_in: set[Place] = set()
        """Calls that wait for ever, and can be cancelled."""
        self.blocks_in: set[Place] = set()
        """Calls that stop the whole thread until `release`, and cannot be cancelled."""
        self.refuses: Callable[[OutgoingRecord], bool] = lambda record: False
        self.reached = threading.Event()
        """Set when a call hangs or blocks."""
        self._released = threading.Event()

    def fail(self, place: Place, *errors: BaseException) -> None:
        """The next calls raise these."""
        self.errors[place].extend(errors)

    def release(self) -> None:
        """Let blocked threads go on."""
        self._released.set()

    async def open(self) -> None:
        """Connect."""
        await self._call("open")

    async def send(self, records: Sequence[OutgoingRecord]) -> Sequence[int]:
        """Deliver."""
        self.attempts.append(list(records))
        await self._call("send")
        refused = [position for position, record in enumerate(records) if self.refuses(record)]
        self.records.extend(record for position, record in enumerate(records) if position not in refused)
        return refused

    async def close(self) -> None:
        """Disconnect."""
        await self._call("close")

    async def _call(self, place: Place) -> None:
        self.calls.append(place)
        if self.errors[place]:
            raise self.errors[place].popleft()
        if place in self.hangs_in:
            self.reached.set()
            await asyncio.Event().wait()
        if place in self.blocks_in:
            self.reached.set()
            self._released.wait(60)
