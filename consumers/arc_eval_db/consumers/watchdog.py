"""Liveness is progress: ends work that has stopped moving, so that it can start over."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import structlog

from arc_eval_db.errors import RetryableError

_CANCEL_TIMEOUT_S = 10.0
_PLACES_MAX = 40

log: structlog.stdlib.BoundLogger = structlog.get_logger("arc_eval_db.consumers")


class StalledError(RetryableError):
    """The work had stopped moving and was ended. Start over with new connections."""


class Watchdog:
    """Watches one piece of work at a time, which calls `progress` whenever it has got somewhere.

    It runs on the event loop of the work; for a loop that is itself blocked there is `ended_when_blocked`.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._moved_at = time.monotonic()

    def progress(self, *, pause_s: float = 0.0) -> None:
        """The work got somewhere, or is about to wait on purpose for `pause_s` seconds."""
        self._moved_at = time.monotonic() + pause_s

    async def guard(self, work: Coroutine[None, None, None], before_cancel: Callable[[], None]) -> None:
        """Run `work` to its end; end it when it does not move, or when this is cancelled.

        Args:
            before_cancel: called right before the work is cancelled, to let go of what it may be waiting for.

        Raises:
            StalledError: the work did not move for the time-out (it may not have taken notice of its cancellation yet),
                or something in it cancelled it.
        """
        self.progress()
        task = asyncio.create_task(work)
        try:
            while not task.done():
                left = self._moved_at + self._timeout_s - time.monotonic()
                if left <= 0:
                    self._say(task)
                    raise StalledError(f"no progress for {self._timeout_s:g} s")
                await asyncio.wait({task}, timeout=left)
            if task.cancelled():
                # aiokafka can do so while its broker is gone. To end here would look as if somebody had asked for it.
                raise StalledError("the work was cancelled by a part of itself")
            task.result()
        finally:
            if not task.done():
                before_cancel()
                task.cancel()
                await asyncio.wait({task}, timeout=_CANCEL_TIMEOUT_S)

    def _say(self, task: asyncio.Task[None]) -> None:
        log.error("worker_stalled", seconds=self._timeout_s, waiting_in=_places(task.get_coro()))


@contextlib.asynccontextmanager
async def ended_when_blocked(timeout_s: float) -> AsyncIterator[None]:
    """End the whole process, with the stacks of its threads on standard error, when the event loop stands still.

    For a process that something starts again. The watch is a thread that needs no interpreter lock. A process that was
    stopped (SIGSTOP) for longer than `timeout_s` ends as well when it goes on.
    """

    async def rearm() -> None:
        while True:
            faulthandler.dump_traceback_later(timeout_s, exit=True)
            await asyncio.sleep(min(1.0, timeout_s / 4))

    rearming = asyncio.create_task(rearm())
    try:
        yield
    finally:
        rearming.cancel()
        faulthandler.cancel_dump_traceback_later()


def _places(waiting: Any) -> list[str]:
    """Where a coroutine waits, and where what it waits for waits. A task's own `get_stack` ends at the first."""
    places: list[str] = []
    while (frame := getattr(waiting, "cr_frame", None)) is not None and len(places) < _PLACES_MAX:
        places.append(f"{frame.f_code.co_qualname}:{frame.f_lineno}")
        waiting = waiting.cr_await
    return places
