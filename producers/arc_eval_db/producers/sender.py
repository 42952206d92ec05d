"""The thread that moves records from the outbox to the transport."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from arc_eval_db.errors import SettingsError
from arc_eval_db.producers.bridge import start_in_daemon_thread
from arc_eval_db.producers.outbox import Outbox, OutgoingRecord
from arc_eval_db.producers.transports.base import Transport, TransportError

logger = logging.getLogger("arc_eval_db.producers")

T = TypeVar("T")

_BATCH_RECORDS_MAX = 500
_BATCH_BYTES_MAX = 1_000_000
"""A batch is delivered whole or sent again: over 50 kB/s this one still fits into Kafka's default deadline."""

# Woken for each event, the thread takes the interpreter from the agent 10,000 times a second; like this, 200 times.
_LINGER_S = 0.005

_BACKOFF_S_MIN = 0.1
_BACKOFF_S_MAX = 5.0
_TRANSPORT_CLOSE_S_MAX = 1.0

# A client's own bug may be gone with the next connection. One that is not must not be tried for ever.
_UNEXPECTED_ERRORS_MAX = 3


class _DaemonLoop(asyncio.SelectorEventLoop):
    """Makes blocking calls (look-ups of names) in daemon threads.

    Those of an ordinary executor are joined at interpreter exit, for as long as a dead name server takes.
    """

    def run_in_executor(
        self,
        executor: object,  # noqa: ARG002 - all calls are made alike
        func: Callable[..., T],
        *args: object,
    ) -> asyncio.Future[T]:
        return start_in_daemon_thread(self, lambda: func(*args))


class Sender:
    """Sends until stopped, over and over if need be. Nothing it meets reaches the thread that emits.

    When it ends, for whatever reason, it closes the outbox: nobody waits for a sender that is no more.

    Raises:
        OSError, RuntimeError: the process may open no more files or start no more threads.
    """

    def __init__(self, outbox: Outbox, transport: Transport) -> None:
        self._outbox = outbox
        self._transport = transport
        self._loop = _DaemonLoop()
        self._wake = asyncio.Event()
        self._idle = False
        self._is_open = False
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="arc-eval-sender", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            self._loop.close()
            raise

    def wake(self) -> None:
        """Tell the sender that there is something to send. Cheap when it is busy already."""
        if self._idle:
            self._idle = False
            with contextlib.suppress(RuntimeError):  # the loop is closed: the thread has ended
                self._loop.call_soon_threadsafe(self._wake.set)

    def stop(self, timeout: float) -> bool:
        """End the thread, whatever it does; False when it does not end in time (as a daemon it holds nothing up)."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: the thread has ended by itself
            self._loop.call_soon_threadsafe(self._cancel)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _run(self) -> None:
        self._task = self._loop.create_task(self._send_for_ever())
        try:
            self._run_quietly(self._task)
        finally:
            self._outbox.close()
            self._run_quietly(self._close_transport())
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
                self._run_quietly(task)
            self._loop.close()

    def _run_quietly(self, work: asyncio.Task[None] | Coroutine[Any, Any, None]) -> None:
        try:
            self._loop.run_until_complete(work)
        except asyncio.CancelledError:
            return
        except Exception as error:  # noqa: BLE001 - must not reach the agent: it is logged, and the loss is counted
            logger.error("arc-eval-db stopped sending: %s: %s", type(error).__name__, error)

    async def _send_for_ever(self) -> None:
        backoff_s = _BACKOFF_S_MIN
        unexpected_errors = 0
        while records := await self._next_batch():
            while True:
                try:
                    if not self._is_open:
                        await self._transport.open()
                        self._is_open = True
                    refused = set(await self._transport.send(records))
                    break
                except TransportError as error:
                    # Once an outage: an agent's log is not ours to fill.
                    level = logging.WARNING if backoff_s == _BACKOFF_S_MIN else logging.DEBUG
                    logger.log(level, "%s; trying again until it works", error)
                except SettingsError as error:
                    logger.error("arc-eval-db cannot send events: %s", error)
                    return
                except Exception as error:
                    unexpected_errors += 1
                    if unexpected_errors >= _UNEXPECTED_ERRORS_MAX:
                        raise
                    logger.warning("unexpected %s while sending: %s; trying again", type(error).__name__, error)
                await self._close_transport()
                await asyncio.sleep(backoff_s)
                backoff_s = min(2 * backoff_s, _BACKOFF_S_MAX)
            backoff_s = _BACKOFF_S_MIN
            unexpected_errors = 0
            self._outbox.settle(refused)

    async def _next_batch(self) -> list[OutgoingRecord]:
        while True:
            if not self._outbox.waiting:
                self._wake.clear()
                self._idle = True
                # An emit between the look and the flag would not wake anybody: look once more.
                if not self._outbox.waiting:
                    await self._wake.wait()
                self._idle = False
            if self._outbox.waiting < _BATCH_RECORDS_MAX:
                await asyncio.sleep(_LINGER_S)
            if batch := self._outbox.take(_BATCH_RECORDS_MAX, _BATCH_BYTES_MAX):
                return batch

    async def _close_transport(self) -> None:
        self._is_open = False
        try:
            await asyncio.wait_for(self._transport.close(), _TRANSPORT_CLOSE_S_MAX)
        except Exception as error:  # noqa: BLE001 - there is nothing to be done about it
            logger.debug("closing the transport: %s: %s", type(error).__name__, error)
