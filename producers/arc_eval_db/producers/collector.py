"""Between the outbox and the sending, where there is a spool: what is taken is written first, then sent in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Collection

from arc_eval_db.producers.outbox import Batch, Outbox, Queue
from arc_eval_db.producers.spool import Room, Spool

logger = logging.getLogger("arc_eval_db.producers")

_BATCHES_IN_MEMORY_MAX = 8
"""Of those that wait to be sent. What is beyond it is kept by the spool alone, and read back when its turn comes."""

_LOOK_AGAIN_S = 0.2
"""How soon, while there is room neither in memory nor in the spool, or while nothing can be read back from it."""


class Collector:
    """Moves batches from the outbox through the spool into a backlog, from which they are sent in order.

    The backlog's length in memory is bounded. When the bound is reached, batches that are in the spool leave the
    memory; where the spool takes no more, the outbox is left to fill up, and to drop by its own rules.
    """

    def __init__(
        self,
        outbox: Outbox,
        spool: Spool,
        something_waits: Callable[[], Awaitable[None]],
        batch_max: tuple[int, int],
    ) -> None:
        """`something_waits` returns when the outbox holds records; `batch_max` is in records and bytes."""
        self._outbox = outbox
        self._spool = spool
        self._something_waits = something_waits
        self._batch_max = batch_max
        self._backlog: deque[Batch] = deque()
        """The first is the one that is being sent."""
        self._in_memory = 0
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()

    async def collect_until(self, stopping: asyncio.Event) -> None:
        """Take, write and hand over until told to stop; then write what is left."""
        while not stopping.is_set():
            await self._something_waits()
            self._emptied.clear()
            if self._outbox.waiting and not await self._collect():
                await self._room_or(stopping)
        while await self._collect(into_memory=False):
            pass

    async def _room_or(self, stopping: asyncio.Event) -> None:
        waits = [asyncio.create_task(event.wait()) for event in (self._emptied, stopping)]
        await asyncio.wait(waits, timeout=_LOOK_AGAIN_S, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    async def _collect(self, *, into_memory: bool = True) -> bool:
        """Take a batch if there is room for it in the spool or, with `into_memory`, in memory; False when not."""
        room = await self._spool_what_is_not()
        if room is Room.ALL:
            return await self._take(Queue.ALL, spooled=True)
        moved = room is Room.LIFECYCLE and await self._take(Queue.LIFECYCLE, spooled=True)
        if into_memory and self._in_memory < _BATCHES_IN_MEMORY_MAX:
            rest = Queue.ORDINARY if room is Room.LIFECYCLE else Queue.ALL
            moved = await self._take(rest, spooled=False) or moved
        return moved

    async def next(self) -> Batch:
        """The batch to be sent next, in memory. It is the same one until it is settled.

        While the disk does not give back what is there alone, what is in memory goes first.
        """
        while True:
            while not self._backlog:
                self._filled.clear()
                await self._filled.wait()
            if self._backlog[0].records is not None:
                return self._backlog[0]
            if self._spool.can_be_read:
                await self._read_back(self._backlog[0])
            elif not self._bring_forward():
                self._filled.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._filled.wait(), _LOOK_AGAIN_S)

    def _bring_forward(self) -> bool:
        """Put the first batch that is in memory before the others; False when there is none."""
        for batch in self._backlog:
            if batch.records is not None:
                self._backlog.remove(batch)
                self._backlog.appendleft(batch)
                return True
        return False

    def settle(self, batch: Batch, refused: Collection[int]) -> None:
        """The batch was sent, except the records at the positions `refused`, which never will be."""
        self._outbox.settle(batch, refused)
        if batch.place is not None:
            self._spool.settle(batch.place, batch.count)
        self._backlog.popleft()
        self._in_memory -= 1
        self._emptied.set()

    async def _spool_what_is_not(self) -> Room:
        """Bring batches that only memory has into the spool, when it works again."""
        room = await self._spool.room()
        for batch in list(self._backlog):
            if room is not Room.ALL:
                break
            if batch.place is None:
                await self._write(batch)
                room = await self._spool.room()
        return room

    async def _take(self, queue: Queue, *, spooled: bool) -> bool:
        batch = self._outbox.take(*self._batch_max, queue)
        if batch is None:
            return False
        if spooled:
            await self._write(batch)
        if batch.place is not None and self._in_memory >= _BATCHES_IN_MEMORY_MAX:
            self._keep_on_disk(batch)
        else:
            self._backlog.append(batch)
            self._in_memory += 1
        self._filled.set()
        return True

    async def _write(self, batch: Batch) -> None:
        assert batch.records is not None, "what is not in the spool is in memory"
        place = await self._spool.append(batch.records)
        if place is not None and not self._outbox.put_in_spool(batch, place):
            self._spool.settle(place, batch.count)  # sent meanwhile

    def _keep_on_disk(self, batch: Batch) -> None:
        assert batch.place is not None, "it is on the disk"
        last = self._backlog[-1]
        if last.records is None and last.place is not None and last.place.goes_on_in(batch.place):
            self._outbox.evict(batch, into=last)
        else:
            self._outbox.evict(batch, into=None)
            self._backlog.append(batch)

    async def _read_back(self, batch: Batch) -> None:
        assert batch.place is not None, "only what is in the spool was evicted"
        found = await self._spool.read(batch.place)
        if found is None:
            # It is tried again, after the others: they may be in a file that the disk does give back.
            self._backlog.rotate(-1)
            return
        if not found[0]:
            logger.error("%d events stay in the spool: they could not be read back, for they are damaged", batch.count)
            self._outbox.leave(batch)
            self._backlog.popleft()
            return
        part = self._outbox.read_back(batch, *found)
        if not batch.count:
            self._backlog.popleft()
        self._backlog.appendleft(part)
        self._in_memory += 1
