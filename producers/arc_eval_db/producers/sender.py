"""The thread that moves records from the outbox to the transport."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Coroutine
from typing import Any

from arc_eval_db.errors import SettingsError
from arc_eval_db.producers.outbox import DropReason, Outbox, OutgoingRecord
from arc_eval_db.producers.transports.base import Transport, TransportError

logger = logging.getLogger("arc_eval_db.producers")

_BATCH_RECORDS_MAX = 500
_BACKOFF_S_MIN = 0.1
_BACKOFF_S_MAX = 5.0


class Sender:
    """Sends until stopped, over and over if need be. Nothing it meets reaches the thread that emits."""

    def __init__(self, outbox: Outbox, transport: Transport) -> None:
        self._outbox = outbox
        self._transport = transport
        self._loop = asyncio.new_event_loop()
        self._wake: asyncio.Event = asyncio.Event()
        self._idle = False
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="arc-eval-sender", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Tell the sender that there is something to send. Cheap when it is busy already."""
        if self._idle:
            self._idle = False
            with contextlib.suppress(RuntimeError):  # the loop is closed: the thread has ended, and the outbox fills up
                self._loop.call_soon_threadsafe(self._wake.set)

    def is_alive(self) -> bool:
        """Whether the thread still sends."""
        return self._thread.is_alive()

    def stop(self, timeout: float) -> bool:
        """End the thread, whatever it does; False when it does not end in time (as a daemon it holds nothing up)."""
        try:
            self._loop.call_soon_threadsafe(self._cancel)
        except RuntimeError:  # the loop is closed: the thread has ended by itself
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._task = self._loop.create_task(self._send_for_ever())
        try:
            self._run_quietly(self._task)
        finally:
            self._run_quietly(self._transport.close())
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
                self._run_quietly(task)
            self._loop.close()

    def _run_quietly(self, work: asyncio.Task[None] | Coroutine[Any, Any, None]) -> None:
        try:
            self._loop.run_until_complete(work)
        except asyncio.CancelledError:
            return
        except Exception as error:  # noqa: BLE001 - a bug of ours must not reach the agent: it is logged, and events are counted as undelivered
            logger.error("arc-eval-db stopped sending: %s: %s", type(error).__name__, error)

    async def _send_for_ever(self) -> None:
        backoff_s = _BACKOFF_S_MIN
        is_open = False
        batch: list[OutgoingRecord] = []
        try:
            while True:
                batch = batch or await self._next_batch()
                try:
                    if not is_open:
                        await self._transport.open()
                        is_open = True
                    refused = await self._transport.send(batch)
                except TransportError as error:
                    logger.warning("%s; trying again in %.1f s", error, backoff_s)
                    is_open = False
                    await self._transport.close()
                    await asyncio.sleep(backoff_s)
                    backoff_s = min(2 * backoff_s, _BACKOFF_S_MAX)
                    continue
                backoff_s = _BACKOFF_S_MIN
                self._settle(batch, set(refused))
                batch = []
        except SettingsError as error:
            logger.error("arc-eval-db cannot send events: %s", error)
        finally:
            self._outbox.settle_dropped(batch, DropReason.UNDELIVERED)

    async def _next_batch(self) -> list[OutgoingRecord]:
        while not (batch := self._outbox.take(_BATCH_RECORDS_MAX)):
            self._wake.clear()
            self._idle = True
            # An emit between the look and the flag would not wake anybody: look once more.
            if batch := self._outbox.take(_BATCH_RECORDS_MAX):
                self._idle = False
                break
            await self._wake.wait()
        return batch

    def _settle(self, batch: list[OutgoingRecord], refused: set[int]) -> None:
        self._outbox.settle_sent(len(batch) - len(refused))
        if refused:
            self._outbox.settle_dropped([batch[position] for position in refused], DropReason.REFUSED_BY_BROKER)
