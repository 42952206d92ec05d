"""The thread that moves records from the outbox to the transport."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from arc_eval_db.errors import SettingsError
from arc_eval_db.producers.bridge import start_in_daemon_thread
from arc_eval_db.producers.outbox import Batch, Outbox
from arc_eval_db.producers.transports.base import Transport, TransportError

if TYPE_CHECKING:
    from pathlib import Path

    from arc_eval_db.producers.collector import Collector

logger = logging.getLogger("arc_eval_db.producers")

T = TypeVar("T")

_BATCH_RECORDS_MAX = 500
_BATCH_BYTES_MAX = 1_000_000
"""A batch is delivered whole or sent again: over 50 kB/s this one still fits into Kafka's default deadline."""

# Woken for each event, the thread takes the interpreter from the agent 10,000 times a second; like this, 200 times.
_LINGER_S = 0.005

# Of the time that `stop` has, this share is for the last append to the spool.
_LAST_WRITE_SHARE = 0.7

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

    Where there is a spool, events go there first. When the thread ends, for whatever reason, it closes the outbox:
    nobody waits for a sender that is no more.

    Raises:
        OSError, RuntimeError: the process may open no more files or start no more threads.
    """

    def __init__(
        self, outbox: Outbox, transport: Transport, *, spool_dir: Path | None = None, spool_bytes_max: int = 0
    ) -> None:
        self._outbox = outbox
        self._transport = transport
        self._loop = _DaemonLoop()
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._stop_by = float("inf")
        self._idle = False
        self._is_open = False
        self._collector: Collector | None = None
        if spool_dir is not None:
            from arc_eval_db.producers.collector import Collector  # noqa: PLC0415 - most sandboxes do without
            from arc_eval_db.producers.spool import Spool  # noqa: PLC0415

            self._spool = Spool(spool_dir, spool_bytes_max, _BATCH_BYTES_MAX)
            self._collector = Collector(
                outbox, self._spool, self._something_waits, (_BATCH_RECORDS_MAX, _BATCH_BYTES_MAX)
            )
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
        self._stop_by = time.monotonic() + timeout
        with contextlib.suppress(RuntimeError):  # the loop is closed: the thread has ended by itself
            self._loop.call_soon_threadsafe(self._stop_soon)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def abandon(self) -> None:
        """In a child process, where the thread is not: let go of the files that only the parent may hold."""
        if self._collector is not None:
            self._spool.abandon()

    def _run(self) -> None:
        try:
            self._run_quietly(self._work())
        finally:
            self._outbox.close()
            if self._collector is not None:
                self._run_quietly(self._spool.close())
            self._run_quietly(self._close_transport())
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
                self._run_quietly(task)
            self._loop.close()

    def _run_quietly(self, work: asyncio.Task[Any] | Coroutine[Any, Any, None]) -> None:
        try:
            self._loop.run_until_complete(work)
        except asyncio.CancelledError:
            return
        except Exception as error:  # noqa: BLE001 - must not reach the agent: it is logged, and the loss is counted
            _log_end(error)

    def _stop_soon(self) -> None:
        self._stopping.set()
        self._wake.set()

    async def _work(self) -> None:
        """Send until told to stop; with a spool, collect for as long, also where nothing can be sent."""
        stopping = asyncio.create_task(self._stopping.wait())
        sending = asyncio.create_task(self._send())
        if self._collector is None:
            await asyncio.wait({sending, stopping}, return_when=asyncio.FIRST_COMPLETED)
            sending.cancel()
            return
        collecting = asyncio.create_task(self._collector.collect_until(self._stopping))
        await asyncio.wait({collecting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        sending.cancel()
        # The last append: everything emitted is in the spool at the end.
        done, _ = await asyncio.wait({collecting}, timeout=_LAST_WRITE_SHARE * (self._stop_by - time.monotonic()))
        for task in done:
            task.result()

    async def _send(self) -> None:
        try:
            await self._send_for_ever()
        except Exception as error:  # noqa: BLE001 - as in `_run_quietly`
            _log_end(error)
        finally:
            self._outbox.stop_sending()

    async def _send_for_ever(self) -> None:
        backoff_s = _BACKOFF_S_MIN
        unexpected_errors = 0
        while True:
            batch = await (self._take() if self._collector is None else self._collector.next())
            assert batch.records is not None, "what is sent is in memory"
            while True:
                try:
                    if not self._is_open:
                        await self._transport.open()
                        self._is_open = True
                    refused = set(await self._transport.send(batch.records))
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
            if self._collector is None:
                self._outbox.settle(batch, refused)
            else:
                self._collector.settle(batch, refused)

    async def _take(self) -> Batch:
        while True:
            await self._something_waits()
            if batch := self._outbox.take(_BATCH_RECORDS_MAX, _BATCH_BYTES_MAX):
                return batch

    async def _something_waits(self) -> None:
        """Return when the outbox holds records, or the end has come."""
        if not self._outbox.waiting:
            self._wake.clear()
            self._idle = True
            # An emit between the look and the flag would not wake anybody: look once more.
            if not (self._outbox.waiting or self._stopping.is_set()):
                await self._wake.wait()
            self._idle = False
        if self._outbox.waiting < _BATCH_RECORDS_MAX:
            await asyncio.sleep(0 if self._stopping.is_set() else _LINGER_S)

    async def _close_transport(self) -> None:
        self._is_open = False
        try:
            await asyncio.wait_for(self._transport.close(), _TRANSPORT_CLOSE_S_MAX)
        except Exception as error:  # noqa: BLE001 - there is nothing to be done about it
            logger.debug("closing the transport: %s: %s", type(error).__name__, error)


def _log_end(error: Exception) -> None:
    logger.error("arc-eval-db stopped sending: %s: %s", type(error).__name__, error)
