"""A monitor on an event loop of its own: it is asked by threads, and goes on where the worker's loop is blocked."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import CancelledError
from typing import Any, TypeVar

from arc_eval_db.consumers.monitoring import PipelineMonitor, Update, Updates
from arc_eval_db.errors import RetryableError

T = TypeVar("T")

_START_TIMEOUT_S = 10.0
# A stop of the worker is not held up by a Kafka that does not answer: the thread ends with the process.
_STOP_TIMEOUT_S = 2.0

Ask = Callable[[PipelineMonitor], Coroutine[Any, Any, T]]


class MonitorAwayError(RetryableError):
    """The monitor does not run, or is about to end."""


class BackgroundMonitor:
    """Begins when it is first asked, so that a worker whom nobody asks pays nothing. Any thread may use it."""

    def __init__(self, make: Callable[[], PipelineMonitor]) -> None:
        """
        Args:
            make: the monitor; called in the thread.
        """
        self._make = make
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._has_begun = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._monitor: PipelineMonitor | None = None
        self._ending: asyncio.Event | None = None
        self._why = "the monitor has not begun"

    def ask(self, ask: Ask[T], timeout_s: float) -> T:
        """What the monitor answers.

        Raises:
            TimeoutError: not within the time.
            MonitorAwayError: it cannot be asked.
        """
        self._begin()
        loop, monitor = self._loop, self._monitor
        if loop is None or monitor is None or loop.is_closed():
            raise MonitorAwayError(self._why)
        asking = ask(monitor)
        try:
            future = asyncio.run_coroutine_threadsafe(asking, loop)
        except RuntimeError as error:  # closed meanwhile
            asking.close()
            raise MonitorAwayError(self._why) from error
        try:
            return future.result(timeout_s)
        except CancelledError as error:  # ended meanwhile
            raise MonitorAwayError(self._why) from error
        finally:
            future.cancel()

    @contextlib.contextmanager
    def follow(self, timeout_s: float) -> Iterator[Callable[[float], Update | None]]:
        """Follow the monitor: gives a function that waits so long for the next update.

        Raises:
            TooManyListenersError: so many follow already.
        """
        stack = contextlib.AsyncExitStack()

        async def begin(monitor: PipelineMonitor) -> Updates:
            return await stack.enter_async_context(monitor.follow())

        async def end(_: PipelineMonitor) -> None:
            await stack.aclose()

        updates = self.ask(begin, timeout_s)
        try:
            yield lambda wait_s: self.ask(lambda _: updates.next(wait_s), wait_s + timeout_s)
        finally:
            with contextlib.suppress(MonitorAwayError, TimeoutError):
                self.ask(end, timeout_s)

    def close(self) -> None:
        """End it, within two seconds."""
        with self._lock:
            thread, loop, ending = self._thread, self._loop, self._ending
            self._monitor, self._why = None, "the server is about to end"
            self._has_begun.set()
        if thread is None:
            # It must not begin any more.
            self._thread = threading.current_thread()
            return
        if loop is not None and ending is not None:
            with contextlib.suppress(RuntimeError):  # closed meanwhile
                loop.call_soon_threadsafe(ending.set)
        thread.join(_STOP_TIMEOUT_S)

    def _begin(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="arc-eval-db monitor", daemon=True)
                self._thread.start()
        if not self._has_begun.wait(_START_TIMEOUT_S):
            raise MonitorAwayError(self._why)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:  # noqa: BLE001 - told to whoever asks
            self._why = f"the monitor has ended: {error}"
        finally:
            self._monitor = None
            self._has_begun.set()

    async def _serve(self) -> None:
        async with self._make() as monitor:
            self._loop, self._ending, self._monitor = asyncio.get_running_loop(), asyncio.Event(), monitor
            self._has_begun.set()
            await self._ending.wait()
            self._monitor = None
